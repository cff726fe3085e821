/**
 * Where one is: `#/events?filter=…&id=…`. All of a view's state that is worth a link is in the address, so a reload,
 * the back button and a link sent to a colleague show the same.
 */

/**
 * @typedef {{ view: string, rest: string[], query: Record<string, string> }} Route
 * @returns {Route}
 */
export function parse(hash) {
  const [path, ...searches] = hash.replace(/^#?\/?/, '').split('?');
  const [view, ...rest] = path.split('/').map(decode);
  return { view, rest, query: Object.fromEntries(new URLSearchParams(searches.join('?'))) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a view. What is `undefined` or empty in `query` is left out. */
export function address(view, query = {}, rest = []) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const path = [view, ...rest].map(encodeURIComponent).join('/');
  const search = new URLSearchParams(given).toString();
  return `#/${path}${search && `?${search}`}`;
}

export function current() {
  return parse(location.hash);
}

/** Changes some of the query and stays on the view. `replace` leaves no step for the back button. */
export function turn(change, replace = false) {
  const { view, rest, query } = current();
  const next = address(view, { ...query, ...change }, rest);
  if (next === location.hash) return;
  if (!replace) return void (location.hash = next);
  history.replaceState(null, '', next);
  dispatchEvent(new HashChangeEvent('hashchange'));
}
