/**
 * livelog as a source of TanStack DB: a collection that is a live result of the server, and whose changes are commands.
 *
 * @module
 */

import { LivelogError } from './livelog.js';

/** @import { Batch, Command, Db, FetchOptions, Query } from './livelog.js' */
/** @import { CollectionConfig, IR, LoadSubsetOptions, SyncConfig } from '@tanstack/db' */

/** @typedef {Record<string, unknown>} Filter */

/**
 * A change that TanStack DB has made locally, as far as it matters here.
 * @typedef {object} Mutation
 * @property {'insert' | 'update' | 'delete'} type
 * @property {any} original
 * @property {any} modified
 * @property {{ utils: any }} collection
 */

/**
 * @typedef {object} LivelogUtils
 * @property {Db} db whose collection it is
 * @property {(seq: number) => Promise<void>} seen resolves when the collection has taken in what was written as `seq`
 * @property {(change: { transaction: { mutations: readonly any[] } }) => Promise<void>} send the `mutationFn` of a transaction
 *   of your own: its changes, which may be of several collections of one client, are one BATCH
 */

/**
 * Beside these, what a collection of TanStack DB takes, but no handlers of its changes. Any other name is refused: a filter
 * that is misspelt would ask for everything.
 *
 * @template {object} T
 * @typedef {object} LivelogOptions
 * @property {Db} db from `connect()`
 * @property {Filter} [filter] which events the collection is about; all of them if left out
 * @property {string[]} [fields] what of them; everything if left out
 * @property {(row: T) => string | number} [getKey] the row's `_id` if left out
 * @property {boolean} [expectedVersion] refuse a change of a row that somebody else has changed meanwhile. Then wait for one
 *   change of a row before the next of it
 */

/**
 * @template {object} T
 * @typedef {LivelogOptions<T> & Partial<Omit<CollectionConfig<T, string | number, never, any>, 'getKey' | 'sync' | 'onInsert' | 'onUpdate' | 'onDelete' | 'utils'>>} LivelogCollectionOptions
 */

/** With so many subscriptions a collection asks for everything instead of more of them. */
const SUBSETS = 32;

/** The server's bounds: events of a FETCH, commands of a BATCH. */
const PAGE = 1000;
const CHANGES = 100;

/** What is handed on to TanStack DB. What a later one takes can be added to the options that come out. */
const HANDED_ON = /^(id|schema|gcTime|startSync|autoIndex|defaultIndexType|compare|syncMode|defaultStringCollation|singleResult)$/;

/** @type {Record<string, string>} */
const NEGATED = { gt: 'lte', gte: 'lt', lt: 'gte', lte: 'gt' };

/**
 * Options for `createCollection`: the events that `filter` sees as a collection.
 *
 * With `syncMode: 'on-demand'` each live query asks the server for what it needs: its conditions become the filter of a
 * subscription. What a filter cannot say (`like`, computed values) is left to TanStack DB, so the server sends more than
 * would be needed, never less. Values compare as the server compares them: within one type, arrays by their elements.
 *
 * A change is shown at once, sent as a BATCH (all of its rows or none), and taken back if the server refuses it. One of more
 * than 100 rows is not sent at all, for half of it could be refused when the other half is done. An update sends the fields that it changed, also inside of others, so that what somebody else changes stays.
 *
 * @template {object} [T=Record<string, any>]
 * @param {LivelogCollectionOptions<T>} options
 * @returns {CollectionConfig<T, string | number, never, LivelogUtils> & { schema?: never, utils: LivelogUtils }}
 */
export function livelogCollectionOptions(options) {
  const { db, filter, fields, getKey = (/** @type {any} */ row) => row._id, expectedVersion, ...rest } = options;
  const path = Object.keys(rest).find((name) => !HANDED_ON.test(name));
  if (path) throw new LivelogError({ code: 'invalid_option', message: `a collection takes no ${path}`, path });
  /** @type {Set<Subset>} */
  const subsets = new Set();

  /** @param {number} seq */
  const seen = async (seq) => {
    // A subset that ended has nothing more to wait for.
    const taken = (/** @type {Subset} */ { query }) => query.seen(seq).catch((error) => query.error || Promise.reject(error));
    await Promise.all([...subsets].map(taken));
  };

  /** @param {{ transaction: { mutations: readonly any[] } }} change */
  const send = async ({ transaction: { mutations } }) => {
    // Found before anything is sent: of what is done nothing is taken back.
    if (mutations[CHANGES] || mutations.some(({ collection }) => collection.utils.db !== db)) {
      throw new LivelogError({ code: 'bad_request', message: `a transaction has at most ${CHANGES} changes, all of one client` });
    }
    const commands = mutations.map((mutation) => commandOf(mutation, expectedVersion));
    const { seq } = await db.write({ type: 'BATCH', payload: { commands } }, { optimistic: false });
    await Promise.all(mutations.map(({ collection }) => collection.utils.seen(seq)));
  };

  return /** @type {any} */ ({
    // The server's order of text, so that it can cut an ordered query.
    defaultStringCollation: { stringSort: 'lexical' },
    getKey,
    ...rest,
    sync: {
      sync: (/** @type {any} */ tools) => sourceOf(db, filter, fields, getKey, rest.syncMode !== 'on-demand', subsets, tools),
      rowUpdateMode: 'full',
    },
    onInsert: send,
    onUpdate: send,
    onDelete: send,
    utils: { db, seen, send },
  });
}

/**
 * One subscription of a collection: everything if it is eager, else what one or several of its live queries need.
 * @typedef {object} Subset
 * @property {string} key the JSON of its filter
 * @property {Query} query
 * @property {Set<string>} ids the events that it holds
 * @property {Promise<unknown>} promise of what it begins with
 * @property {(visible: unknown) => void} resolve
 * @property {(error: unknown) => void} reject
 */

/**
 * What runs between the start of a collection and its cleanup.
 * @param {Db} db
 * @param {Filter | undefined} filter
 * @param {string[] | undefined} fields
 * @param {(row: any) => string | number} getKey
 * @param {boolean} eager
 * @param {Set<Subset>} subsets
 * @param {Parameters<SyncConfig<any, string | number>['sync']>[0]} tools
 */
function sourceOf(db, filter, fields, getKey, eager, subsets, { begin, write, commit, truncate, markReady, markError }) {
  /** @type {Map<string, { row: any, epoch: string | undefined }>} what the collection has, by `_id` */
  const held = new Map();
  /** @type {Map<LoadSubsetOptions, Subset | undefined>} who has asked for what */
  const loans = new Map();
  // The version tells which of two subsets has the newer row.
  const asked = fields && [...new Set([...fields, '_version'])];

  /**
   * @param {Subset} subset
   * @param {any} row
   */
  function put({ ids }, row) {
    const { epoch } = db;
    const old = held.get(row._id);
    ids.add(row._id);
    if (old && old.epoch === epoch && old.row._version >= row._version) return;
    held.set(row._id, { row, epoch });
    // With whole rows, an update of what is not there inserts it.
    write({ type: 'update', value: row });
  }

  /**
   * @param {Subset} subset
   * @param {string} id
   */
  function drop({ ids }, id) {
    const old = held.get(id);
    ids.delete(id);
    if (!old || [...subsets].some((subset) => subset.ids.has(id))) return;
    held.delete(id);
    write({ type: 'delete', key: getKey(old.row) });
  }

  /** @param {Subset} subset */
  const clear = (subset) => subset.ids.forEach((id) => drop(subset, id));

  /**
   * @param {Subset} subset
   * @param {Batch} batch
   */
  function apply(subset, { reset, rows = [], changes }) {
    begin();
    if (reset) clear(subset);
    if (reset && eager) truncate();
    for (const row of rows) put(subset, row);
    for (const { data, eventId } of changes) data ? put(subset, data) : drop(subset, /** @type {string} */ (eventId));
    return commit();
  }

  /** @param {Filter} [wanted] */
  function open(wanted) {
    // A session has 100 subscriptions for everything that it does.
    const chosen = subsets.size < SUBSETS ? wanted : filter;
    const key = JSON.stringify(chosen ?? {});
    const known = [...subsets].find((subset) => subset.key === key);
    if (known) return known;
    const query = db.query({ filter: chosen, fields: asked, optimistic: false });
    /** @type {Subset} */
    const subset = { key, query, ids: new Set(), ...Promise.withResolvers() };
    subsets.add(subset);
    query.onBatch((batch) => subset.resolve(apply(subset, batch)));
    query.subscribe(() => {
      if (!query.error || !subsets.delete(subset)) return;
      subset.reject(query.error);
      // What was live and is not any more must not look as if it were.
      if (eager || query.ready) markError(query.error);
    });
    return subset;
  }

  /** @param {Subset} subset */
  function close(subset) {
    subsets.delete(subset);
    subset.query.close();
    // Nobody waits any more for what it begins with.
    subset.resolve(true);
    begin();
    clear(subset);
    commit();
  }

  /** @param {LoadSubsetOptions} options */
  async function loadSubset(options) {
    /** @param {Filter} [wanted] */
    const lend = async (wanted) => {
      if (!loans.has(options)) return;
      const subset = open(wanted);
      loans.set(options, subset);
      await subset.promise;
    };
    loans.set(options, undefined);
    // More conditions than the server takes: then everything, which is right as well.
    await lend(await narrowed(db, filter, options)).catch(() => lend(filter));
  }

  /** @param {LoadSubsetOptions} options */
  function unloadSubset(options) {
    const subset = loans.get(options);
    loans.delete(options);
    if (subset && ![...loans.values()].includes(subset)) close(subset);
  }

  function cleanup() {
    // Who is about to ask does not.
    loans.clear();
    subsets.forEach(close);
  }

  if (eager) open(filter).promise.then(markReady, () => {});
  else markReady();
  return { loadSubset, unloadSubset, cleanup };
}

/**
 * The command that does on the server what was done here.
 * @param {Mutation} mutation
 * @param {boolean | undefined} expects
 * @returns {Command}
 */
function commandOf({ type, original, modified }, expects) {
  const about = { id: original._id, expectedVersion: expects ? original._version : undefined };
  if (type === 'delete') return { type: 'DELETE', payload: about };
  const updateData = { $set: {}, $unset: {} };
  difference(original, modified, '', updateData);
  if (type === 'update') return { type: 'UPDATE', payload: { ...about, updateData } };
  return { type: 'CREATE', payload: { ...updateData.$set, _id: modified._id } };
}

/**
 * @param {any} from
 * @param {any} to
 * @param {string} path
 * @param {{ $set: Record<string, unknown>, $unset: Record<string, unknown> }} out
 */
function difference(from, to, path, out) {
  for (const name of Object.keys({ ...from, ...to })) {
    const [before, after, place] = [from[name], to[name], path + name];
    // Names that begin with `_` are the server's.
    if (place[0] === '_' || JSON.stringify(before) === JSON.stringify(after)) continue;
    if (after === undefined) out.$unset[place] = '';
    else if (isPlain(before) && isPlain(after)) difference(before, after, place + '.', out);
    else out.$set[place] = after;
  }
}

/** @param {any} value */
function isPlain(value) {
  return value?.constructor === Object;
}

/**
 * The filter of what a live query needs. Of an ordered query with a limit that is everything up to the value at which the
 * server cuts it now: a row that comes before it later is told, too.
 * @param {Db} db
 * @param {Filter | undefined} base
 * @param {LoadSubsetOptions} options
 */
async function narrowed(db, base, { where, orderBy, limit, offset = 0, cursor }) {
  const matching = where && filterOf(where);
  const after = cursor && filterOf(cursor.whereFrom);
  // Of events that are sent in vain nobody knows how many are among the first.
  const isExact = limit && orderBy && !/{}/.test(JSON.stringify([matching, after]));
  const first = all([base, matching, after]);
  const range = isExact ? await rangeOf(db, first, orderBy[0], cursor ? limit : limit + offset) : undefined;
  const beyond = all([after, range]);
  return all([base, matching, cursor && beyond ? { $or: [filterOf(cursor.whereCurrent), beyond] } : beyond]);
}

/**
 * What the first `limit` events have in common: a value up to which they go; nothing if there are fewer, or too many.
 * @param {Db} db
 * @param {Filter | undefined} filter
 * @param {IR.OrderByClause} order
 * @param {number} limit
 * @returns {Promise<Filter | undefined>}
 */
async function rangeOf(db, filter, { expression, compareOptions }, limit) {
  const path = pathOf(expression);
  if (!path || limit > PAGE) return;
  const up = compareOptions.direction === 'asc';
  // Null comes first or last, whichever the query says, and is not counted.
  const data = await read(db, { filter: all([filter, { [path]: { $ne: null } }]), sort: { [path]: up ? 1 : -1 }, fields: [path], limit });
  const value = path.split('.').reduce((at, name) => at?.[name], data[limit - 1]);
  if (!canCompare(value) || (compareOptions.stringSort !== 'lexical' && typeof value === 'string')) return;
  const upTo = { $not: { [up ? '$gt' : '$lt']: value } };
  return { [path]: compareOptions.nulls === 'last' ? { ...upTo, $ne: null } : upTo };
}

/**
 * Without hope of a connection a FETCH is refused, but a live query waits for one.
 * @param {Db} db
 * @param {FetchOptions} query
 * @returns {Promise<any[]>}
 */
async function read(db, query) {
  try {
    return (await db.fetch(query)).data;
  } catch (error) {
    if (/** @type {LivelogError} */ (error).code !== 'unavailable') throw error;
    await new Promise((resolve) => {
      const stop = db.onState(() => resolve(stop()));
    });
    return read(db, query);
  }
}

/**
 * The filter that sees at least what an expression is true of (with `not`, false of). `{}` sees everything.
 * @param {any} expression
 * @param {boolean} [not]
 * @returns {Filter}
 */
function filterOf({ type, name, args }, not = false) {
  if (type !== 'func') return {};
  if (name === 'not') return filterOf(args[0], !not);
  if (name === 'and' || name === 'or') {
    return { [(name === 'and') !== not ? '$and' : '$or']: args.map((/** @type {any} */ part) => filterOf(part, not)) };
  }
  const path = pathOf(args[0]);
  const condition = path && conditionOf(name, args[1]?.value, not);
  return condition ? { [path]: condition } : {};
}

/**
 * @param {string} name
 * @param {any} value
 * @param {boolean} not
 * @returns {Filter | undefined}
 */
function conditionOf(name, value, not) {
  if (name === 'isUndefined') return { $exists: not };
  if (name === 'isNull') return not ? undefined : { $type: 'null' };
  const list = name === 'in' ? value : [value];
  if (!list.every(canCompare)) return;
  // To TanStack DB neither a condition nor its opposite is true of null.
  if (name === 'eq' || name === 'in') return not ? { $nin: [...list, null] } : { $in: list };
  if (name in NEGATED) return { ['$' + (not ? NEGATED[name] : name)]: value };
}

/**
 * Whether it is a number, a truth value, or text that both sides order alike: UTF-16 and UTF-8 do not agree on all of it.
 * @param {unknown} value
 */
function canCompare(value) {
  return /^[^un[{][^\ud800-\uffff]*$/.test(JSON.stringify(value));
}

/**
 * The path of a field; none for what no event has.
 * @param {any} expression
 * @returns {string}
 */
function pathOf({ type, path }) {
  return type === 'ref' && path[0]?.[0] !== '$' ? path.join('.') : '';
}

/** @param {(Filter | undefined)[]} parts */
function all(parts) {
  const $and = /** @type {Filter[]} */ (parts.filter(Boolean));
  return $and[1] ? { $and } : $and[0];
}
