// Who this client is to the server: the token that it shows, whose that is, and when it needs another.

import { LivelogError } from './errors.js';

/** @typedef {import('./errors.js').Failure} Failure */
/** @typedef {string | (() => string | undefined | Promise<string | undefined>)} Token */

/**
 * Who the server takes this client for: `iss` and `sub` of a token, or the id of a `key`. Empty where nobody asks.
 * @typedef {{ readonly role?: string, readonly iss?: string, readonly sub?: string, readonly key?: string,
 *   readonly expiresAt?: string }} Identity
 */

/**
 * @typedef {object} Handlers
 * @property {(message: { type: string, payload: any }, answered: (answer: any) => void) => void} request
 * @property {() => void} changed the identity is another
 * @property {() => void} leave somebody else is there
 * @property {(reason: string) => void} lose the connection is not for these credentials
 */

/** @typedef {ReturnType<typeof openCredentials>} Credentials */

/**
 * What a server says of credentials, by the code that it closes with. It is not asked again with the same.
 * @type {Record<number, string>}
 */
export const REFUSALS = { 4003: 'token_expired', 4502: 'unauthenticated', 4503: 'forbidden' };

/** No token has anything else in it, and no page of HTML or JSON with spaces is one. */
const TOKEN = /^[^\s<]+$/;

/** The part of a token's time after which another is asked for, and how much more at random. */
const RENEWAL_FROM = 0.75;
const RENEWAL_SPREAD = 0.15;
/** However a clock goes. */
const RENEWAL_LEAST_MS = 10_000;
/** A timer takes no more. */
const RENEWAL_MOST_MS = 2 ** 31 - 1;

/**
 * Whose a token is, by what it says itself: known before there is a connection, and the same for every token of theirs.
 * @param {string | undefined} token
 */
export function subjectOf(token) {
  if (!token) return '';
  try {
    const { iss, sub } = JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
    return JSON.stringify([iss, sub]);
  } catch {
    // The id of an API key; what is neither is refused.
    return /^lk_.*(?=_)/.exec(token)?.[0] ?? '?';
  }
}

/**
 * @param {Token | undefined} source
 * @param {string | undefined} role
 * @param {Handlers} handlers
 */
export function openCredentials(source, role, handlers) {
  /** The token that was shown last. @type {string | undefined} */
  let bearer;
  /** Why there is nothing to come in with. @type {LivelogError | undefined} */
  let refusal;
  /** What the server has refused last. @type {string | undefined | null} */
  let refused = null;
  let isAdmitted = false;
  /** Whose it is, once it is known. @type {string | undefined} */
  let subject = typeof source === 'function' ? undefined : subjectOf(source);
  /** @type {(subject: string) => void} */
  let tellSubject = () => {};
  /** @type {Promise<string>} */
  const known = new Promise((resolve) => void (tellSubject = resolve));
  if (subject !== undefined) tellSubject(subject);
  /** @type {Identity | undefined} */
  let identity;
  /** What the last connection could see. @type {string | undefined} */
  let access;
  /** @type {Promise<any> | undefined} */
  let asking;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let renewal;

  async function ask() {
    try {
      const given = typeof source === 'function' ? await source() : source;
      if (given !== undefined && typeof given !== 'string') throw new TypeError('the token is no text');
      // A page that says why there is none, say: the server would not know what it is either.
      if (given !== undefined && !TOKEN.test(given)) throw new TypeError('what came as the token is none');
      return given;
    } catch (error) {
      const message = /** @type {any} */ (error)?.message ?? String(error);
      throw new LivelogError({ code: 'unauthenticated', message });
    }
  }

  /** @param {string | undefined} token */
  function become(token) {
    const next = subjectOf(token);
    const isOther = subject !== undefined && next !== subject;
    bearer = token;
    subject = next;
    tellSubject(next);
    if (!isOther) return;
    identity = access = undefined;
    handlers.leave();
  }

  /** @param {any} data */
  function admit(data) {
    identity = Object.freeze(data ?? {});
    isAdmitted = true;
    plan();
    handlers.changed();
  }

  /** In time, and not all clients at once. */
  function plan() {
    clearTimeout(renewal);
    if (typeof source !== 'function' || !identity?.expiresAt) return;
    const left = Date.parse(identity.expiresAt) - Date.now();
    const wait = left * (RENEWAL_FROM + RENEWAL_SPREAD * Math.random());
    renewal = setTimeout(renew, Math.min(Math.max(wait, RENEWAL_LEAST_MS), RENEWAL_MOST_MS));
  }

  /** One that does not come is asked for again: the old one holds as long as it did. */
  async function renew() {
    const mine = (asking = ask());
    const given = await mine.catch(() => bearer);
    if (mine !== asking) return;
    asking = undefined;
    if (given === bearer) plan();
    else show(given);
  }

  /** Shows another token to the server, which knows the one before. @param {string | undefined} token */
  function show(token) {
    if (subjectOf(token) !== subject) return handlers.lose('');
    bearer = token;
    handlers.request(message(), (answer) => {
      if (answer?.error?.retryable) plan();
      // What is wrong with it is said to who comes in with it.
      else if (answer?.error) handlers.lose(answer.error.message);
      else if (answer) admit(answer.data);
    });
  }

  const message = () => ({ type: 'AUTH', payload: { token: bearer, role } });

  return {
    known,
    admit,
    show,
    get subject() {
      return subject;
    },
    get identity() {
      return identity;
    },
    get refusal() {
      return refusal;
    },
    /** Whether the token has, and another can be had. */
    get isExpired() {
      return typeof source === 'function' && refusal?.code === 'token_expired';
    },

    /**
     * Calls one of them, at once if it can.
     * @param {() => void} ready there is something to come in with, or nothing is needed
     * @param {(error: LivelogError) => void} lacking there is none, or only what was refused
     */
    take(ready, lacking) {
      /** @param {string | undefined} given */
      const use = (given) => {
        if (refusal && given === refused) return lacking(refusal);
        refusal = undefined;
        become(given);
        ready();
      };
      if (typeof source !== 'function') return use(source);
      if (asking) return;
      const mine = (asking = ask());
      const isMine = () => mine === asking && !(asking = undefined);
      mine.then(
        (given) => isMine() && use(given),
        (error) => isMine() && lacking((refusal = error)),
      );
    },

    /** The first message of a connection; without a token a server that wants one says so to any. */
    hello: () => JSON.stringify(bearer === undefined ? { type: 'PING' } : { ...message(), id: 0 }),

    /** Whether nothing more has to be said before welcome. */
    get isShown() {
      return bearer === undefined || isAdmitted;
    },

    /** What the server says of them, or of something else. @param {Failure} error */
    refuse(error) {
      if (!Object.values(REFUSALS).includes(error.code)) return;
      refusal = new LivelogError(error);
      refused = bearer;
    },

    /** What welcome says of who has shown nothing here: AUTH says more of who has. @param {Identity} welcome */
    greet({ role, expiresAt }) {
      if (role && bearer === undefined) admit({ role, ...(expiresAt && { expiresAt }) });
    },

    /**
     * Whether as much is seen as over the last connection. Where the server does not say so, each token may see less.
     * @param {string} [now]
     */
    seeTheSame(now = identity?.role ? `${role} ${bearer}` : '') {
      const isSame = (access ?? now) === now;
      access = now;
      return isSame;
    },

    /** The connection has ended. */
    rest() {
      clearTimeout(renewal);
      asking = undefined;
      isAdmitted = false;
    },

    /**
     * From now on it is this.
     * @param {Token | undefined} token
     * @param {string | undefined} newRole
     * @returns {boolean} whether the server need only be shown it
     */
    replace(token, newRole) {
      const isSame = typeof token === 'string' && subjectOf(token) === subject && newRole === role;
      source = token;
      role = newRole;
      refusal = undefined;
      return isSame;
    },

    /** For requests beside the connection. @returns {Promise<Record<string, string>>} */
    async headers() {
      const token = identity && !refusal ? bearer : await ask();
      return { ...(token && { authorization: `Bearer ${token}` }), ...(role && { 'livelog-role': role }) };
    },
  };
}
