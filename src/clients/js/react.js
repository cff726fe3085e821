/**
 * livelog in React: live results and the state of the connection as hooks.
 *
 * @module
 */
import { useCallback, useMemo, useSyncExternalStore } from 'react';

/** @import { Db, LivelogError, Query, QueryOptions, State } from './livelog.js' */

/**
 * What {@link useQuery} returns. It is the same object until something of it changes, and rows that did not change are the
 * same objects, so that memoized children do not render again.
 *
 * @template T
 * @typedef {object} QueryResult
 * @property {readonly T[]} rows the result; empty until it is `ready`
 * @property {boolean} ready whether the first snapshot is there
 * @property {LivelogError | undefined} error why the result ended, if it did (`invalid_filter`, say)
 * @property {(id: string) => boolean} pending whether a row shows something that the server has not confirmed
 */

/**
 * A live result that components share, and what they have of it now.
 *
 * @typedef {{ query?: Query, result: QueryResult<any>, listeners: Set<() => void> }} Shared
 */

/** @type {QueryResult<any>} */
const NOTHING = Object.freeze({ rows: Object.freeze([]), ready: false, error: undefined, pending: () => false });

/** @type {State} */
const CONNECTING = Object.freeze({ name: 'connecting', reason: '', since: 0, lag: 0 });

/**
 * The results in use, by client and by the JSON of their options: components that ask the same share a subscription.
 *
 * @type {WeakMap<Db, Map<string, Shared>>}
 */
const clients = new WeakMap();

/** @param {Db} db */
function sharedOf(db) {
  const shared = clients.get(db) ?? new Map();
  clients.set(db, shared);
  return shared;
}

/**
 * A live result. It is asked for when the component is mounted and given up when the last component that uses it is gone.
 * Options are compared by value, so they may be written in place. With `null` or `false` instead nothing is asked, as while
 * there is no `db` yet. A result that has ended with an error is asked for again by the next component that is mounted with it.
 *
 * ```jsx
 * const { rows, ready, error } = useQuery(db, { filter: { done: false }, sort: { _createdAt: -1 } });
 * ```
 *
 * @template {object} [T=any]
 * @param {Db | null | undefined} db
 * @param {QueryOptions | null | false} [options]
 * @returns {QueryResult<T>}
 */
export function useQuery(db, options = {}) {
  const key = keyOf(options || null);
  const store = useMemo(() => storeOf(db, key), [db, key]);
  return useSyncExternalStore(store.subscribe, store.get, () => NOTHING);
}

/**
 * Whether JSON keeps it as it is: of the instance of a class it has less than there is.
 * @param {any} value
 */
const isKept = (value) =>
  value === null ||
  /^(string|boolean)$/.test(typeof value) ||
  Number.isFinite(value) ||
  Array.isArray(value) ||
  (typeof value === 'object' && !Object.getPrototypeOf(Object.getPrototypeOf(value) ?? {}));

/**
 * The JSON of options. What it would leave out of a filter or make null of, such as `undefined`, is an operator that does
 * not exist: the result has an error then, and does not show everything.
 *
 * @param {QueryOptions | null} options
 */
function keyOf(options) {
  return JSON.stringify(options, /** @this {any} */ function (name, value) {
    // A date that is none is null already.
    const isLost = !isKept(value) || (value === null && this[name] !== null);
    return isLost && (value !== undefined || this !== options) ? { [`$${typeof value}`]: 1 } : value;
  });
}

/**
 * Nothing happens before `subscribe`: React may render what it never mounts.
 *
 * @param {Db | null | undefined} db
 * @param {string} key
 */
function storeOf(db, key) {
  return {
    get: () => (db && clients.get(db)?.get(key)?.result) ?? NOTHING,
    /** @param {() => void} changed */
    subscribe(changed) {
      if (!db || key === 'null') return () => {};
      const shared = share(db, key);
      shared.listeners.add(changed);
      return () => {
        shared.listeners.delete(changed);
        // Later, because StrictMode and a change of pages mount again what they have just unmounted.
        setTimeout(() => giveUp(db, key, shared));
      };
    },
  };
}

/**
 * @param {Db} db
 * @param {string} key
 * @returns {Shared}
 */
function share(db, key) {
  const all = sharedOf(db);
  /** @type {Shared} */
  const shared = all.get(key) ?? { result: NOTHING, listeners: new Set() };
  if (!shared.query || shared.query.error) ask(shared, db, key);
  all.set(key, shared);
  return shared;
}

/**
 * @param {Shared} shared
 * @param {Db} db
 * @param {string} key
 */
function ask(shared, db, key) {
  const query = db.query(JSON.parse(key));
  const read = () => {
    const { ready, error, pending } = query;
    shared.result = Object.freeze({ rows: query.get(), ready, error, pending });
    for (const listener of [...shared.listeners]) listener();
  };
  shared.query = query;
  query.subscribe(read);
  read();
}

/**
 * @param {Db} db
 * @param {string} key
 * @param {Shared} shared
 */
function giveUp(db, key, shared) {
  const all = sharedOf(db);
  if (shared.listeners.size > 0 || all.get(key) !== shared) return;
  all.delete(key);
  shared.query?.close();
}

/**
 * The state of the connection: `{ name, reason, since, lag }`, a new object when something of it changes. While there is no
 * `db` yet it is `connecting`.
 *
 * @param {Db | null | undefined} db
 * @returns {State}
 */
export function useConnection(db) {
  const subscribe = useCallback((/** @type {() => void} */ changed) => db?.onState(changed) ?? (() => {}), [db]);
  return useSyncExternalStore(subscribe, () => db?.state ?? CONNECTING, () => CONNECTING);
}
