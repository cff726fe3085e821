/**
 * What differs between two documents, as a list of places: `{ path, before, after }`, where what is missing has no such
 * name. Objects are compared within, arrays as wholes.
 *
 * @typedef {{ path: string, before?: any, after?: any }} Difference
 */

const LISTED_MAX = 200;

/** @returns {Difference[]} of the fields that are the user's own */
export function differences(before, after) {
  const found = [];
  compare(own(before), own(after), '', found);
  return found;
}

/** The fields of an event without those that the server keeps. */
export function own(event) {
  return Object.fromEntries(Object.entries(event ?? {}).filter(([name]) => !name.startsWith('_')));
}

function compare(before, after, prefix, found) {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  for (const name of names) {
    if (found.length >= LISTED_MAX) return;
    const path = prefix + name;
    const was = Object.hasOwn(before, name);
    const is = Object.hasOwn(after, name);
    if (!was) found.push({ path, after: after[name] });
    else if (!is) found.push({ path, before: before[name] });
    else if (isPlain(before[name]) && isPlain(after[name])) compare(before[name], after[name], `${path}.`, found);
    else if (!equal(before[name], after[name])) found.push({ path, before: before[name], after: after[name] });
  }
}

export function isPlain(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether two JSON values are the same, whatever the order of their names. */
export function equal(one, other) {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const names = Object.keys(one);
  if (names.length !== Object.keys(other).length) return false;
  return names.every((name) => Object.hasOwn(other, name) && equal(one[name], other[name]));
}

/**
 * The update that makes the one of the other, naming only what differs: so what nobody touched keeps what this browser
 * cannot write, such as integers beyond 2^53. `undefined` if nothing differs.
 */
export function updateBetween(before, after) {
  const found = differences(before, after);
  if (found.length === 0) return undefined;
  if (found.length >= LISTED_MAX) return operators(topLevel(own(before), own(after)));
  return operators(found);
}

/** Differences of whole fields: few enough for one update, however much differs within them. */
function topLevel(before, after) {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names]
    .filter((name) => !equal(before[name], after[name]))
    .map((name) => (Object.hasOwn(after, name) ? { path: name, after: after[name] } : { path: name }));
}

function operators(found) {
  const set = found.filter((difference) => 'after' in difference).map(({ path, after }) => [path, after]);
  const unset = found.filter((difference) => !('after' in difference)).map(({ path }) => [path, 1]);
  const update = {};
  if (set.length > 0) update.$set = Object.fromEntries(set);
  if (unset.length > 0) update.$unset = Object.fromEntries(unset);
  return update;
}

/** The differences that an update's change tells, with what was there before where that is known. */
export function told(change, before) {
  if (!change.patch) return [];
  const set = Object.entries(change.patch.set ?? {}).map(([path, after]) => withBefore({ path, after }, before));
  const unset = (change.patch.unset ?? []).map((path) => withBefore({ path }, before));
  return [...set, ...unset];
}

function withBefore(difference, before) {
  const was = before && valueAt(before, difference.path);
  return was === undefined ? difference : { path: difference.path, before: was, ...difference };
}

/** The value at a dotted path, through documents and places of arrays; `undefined` where there is none. */
export function valueAt(document, path) {
  if (Object.hasOwn(document, path)) return document[path];
  let value = document;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}
