/**
 * Who is signed in here: the token or API key that was given, kept as long as this tab lives and shown to nobody but the
 * server. Where none was given, and on servers that ask for none, there is nothing.
 */
const PLACE = 'livelog-credentials';

/** @typedef {{ token: string, role?: string }} Credentials */

/** @type {Credentials | undefined} */
let kept = read();

/** @returns {Credentials | undefined} */
function read() {
  try {
    const { token, role } = JSON.parse(sessionStorage.getItem(PLACE)) ?? {};
    return typeof token === 'string' ? { token, role } : undefined;
  } catch {
    // A browser that lets pages keep nothing: then it holds until the page goes.
    return undefined;
  }
}

export function credentials() {
  return kept;
}

/** @param {Credentials | undefined} given nothing, to forget what there was */
export function keep(given) {
  kept = given;
  try {
    if (given) sessionStorage.setItem(PLACE, JSON.stringify(given));
    else sessionStorage.removeItem(PLACE);
  } catch {
    // As above.
  }
}

/** For requests beside the client's. @returns {Record<string, string>} */
export function headers() {
  if (!kept) return {};
  return { authorization: `Bearer ${kept.token}`, ...(kept.role && { 'livelog-role': kept.role }) };
}

/** Whether the server asks who is there, as far as it has said so. */
export function isGuarded(db) {
  return db.state.name === 'needs-auth' || db.identity?.role !== undefined;
}

/** Whether a change says that something else may be seen from now on: nothing that was read still holds. */
export function isOtherSight({ kind, reason }) {
  return kind === 'reset' && reason === 'access_changed';
}

/** Whom the server takes this page for, to compare; nothing for nobody in particular. */
export function personOf({ iss, sub, key } = {}) {
  return key === undefined && sub === undefined ? undefined : JSON.stringify([iss, sub, key]);
}

/** What somebody is called, as in the log: `{ iss, sub }` or `{ key }`. */
export function nameOf({ sub, key } = {}) {
  return sub ?? (key === undefined ? 'nobody in particular' : `key ${key}`);
}

/** The same with who says so. */
export function authorOf(author) {
  return author.iss ? `${nameOf(author)}, as ${author.iss} says` : nameOf(author);
}
