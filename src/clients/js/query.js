// A live result: rows that a subscription confirms, and over them the edits that are not answered yet.

import { covers, judgeOf, orderBy, project, rearrange } from './documents.js';
import { applied } from './edits.js';
import { failure, invalid } from './errors.js';
import { enter, tell } from './listeners.js';
import { isCount, withSorted } from './options.js';
import { openStream, openSubscription } from './subscription.js';

/** @typedef {import('./documents.js').Document} Row */
/** @typedef {import('./edits.js').Edit} Edit */
/** @typedef {import('./errors.js').LivelogError} LivelogError */

/**
 * @typedef {object} QueryOptions
 * @property {any} [filter]
 * @property {Record<string, 1 | -1>} [sort] by `_id` if left out
 * @property {number} [limit] cuts after sorting, here: the filter decides how much is subscribed to, unless `window`
 * @property {boolean} [window] whether the server keeps the list: then no more than `limit` events are subscribed to
 * @property {boolean} [count] whether the server tells how many there are in all, with `window`
 * @property {string[]} [fields] those sorted by come along
 * @property {boolean} [optimistic] whether edits show before they are answered: yes, unless `false`
 */

/**
 * @typedef {object} Change
 * @property {'create' | 'update' | 'enter' | 'leave' | 'delete' | 'reset'} kind `reset`: the rows were read anew
 * @property {number} seq
 * @property {string} [eventId]
 * @property {number} [version]
 * @property {string} [at] not of a window
 * @property {number} [index] of a window, on the server
 * @property {any} [data]
 * @property {{ set: any, unset: string[] }} [patch]
 * @property {string} [reason] of a reset
 */

/**
 * What was taken in at once: confirmed rows only, neither cut by the limit nor with edits over them.
 * @typedef {{ reset: boolean, rows?: Row[], changes: Change[], seq: number, live: boolean }} Batch
 */

/** @typedef {ReturnType<typeof openQuery>} Query */

/** No change waits longer than this for the next to be told with it. */
const REST_MAX_MS = 50;

/**
 * @param {import('./connection.js').Connection} connection
 * @param {import('./writes.js').Writes} writes
 * @param {QueryOptions} options
 */
export function openQuery(connection, writes, options) {
  const { filter = {}, sort = {}, limit, fields, optimistic = true, window, count: counts } = options;
  if (limit === undefined && (window || counts)) throw invalid('limit', 'a window has a limit');
  const asked = fields && withSorted(fields, sort);
  const order = orderBy(sort);
  const judge = judgeOf(filter);
  /** Whether a row shows all that the filter looks at. */
  const isJudgeable = judge && (!asked || judge.paths.every((path) => covers([...asked, '_id'], path)));

  /** What the server has told. @type {Map<string, Row>} */
  let confirmed = new Map();
  /** A snapshot that is not whole yet. @type {Map<string, Row> | undefined} */
  let incoming = new Map();
  let resetReason = '';
  /** Confirmed rows before changes that may be of an edit in flight. @type {Map<string, Row | undefined>} */
  const held = new Map();
  /** Of each event the edits that show, in order. @type {Map<string, Set<Edit>>} */
  const overlay = new Map();
  /** Edits that are answered, but not taken in. @type {Set<Edit>} */
  const answered = new Set();

  /** Events whose row may be another. @type {Set<string>} */
  const touched = new Set();
  /** @type {Map<string, Row>} */
  const shown = new Map();
  /** Those shown, in order; and of these as many as the limit says. @type {Row[]} */
  let sorted = [];
  /** @type {readonly Row[]} */
  let view = Object.freeze([]);

  let seq = 0;
  /** @type {string | undefined} */
  let epoch;
  let isReady = false;
  /** @type {{ count?: number, countAtLeast?: number } | undefined} */
  let counted;
  /** @type {LivelogError | undefined} */
  let error;
  /** @type {Set<() => void>} */
  const listeners = new Set();
  /** @type {Set<(batch: Batch) => void>} */
  const batchListeners = new Set();
  /** @type {Set<import('./subscription.js').Stream<Change>>} */
  const streams = new Set();
  /** @type {Set<{ test: () => boolean, resolve: () => void, reject: (error: LivelogError) => void }>} */
  const waiters = new Set();

  /** What listeners know. @type {any[]} */
  let told = [view, isReady, error, counted];
  /** Not told yet. @type {Change[]} */
  let changes = [];
  let wasReset = false;
  let isScheduled = false;
  let restUntil = 0;

  // --- what the server tells ---

  /** @param {Row} row */
  function take(row) {
    if (typeof row._id !== 'string') throw new TypeError('a row without an _id');
    (incoming ?? confirmed).set(row._id, Object.freeze(row));
  }

  /** @param {any} change */
  function onChange(change) {
    const { kind, eventId: id, data } = change;
    const isGone = kind === 'leave' || kind === 'delete';
    if (!isGone && data?._id !== id) throw new TypeError('a change without its row');
    if (!incoming) {
      hold(change);
      touched.add(id);
      seq = change.seq;
      changes.push(change);
    }
    if (isGone) (incoming ?? confirmed).delete(id);
    else take(data);
    settleAnswered();
    schedule();
  }

  /**
   * While an answer is awaited nobody knows whether a change after what was heard before is the edit's own: what shows
   * stands still.
   * @param {any} change
   */
  function hold({ eventId: id, seq: of }) {
    if (!held.has(id) && editsOf(id).some(({ unsureAfter }) => unsureAfter !== undefined && unsureAfter < of)) {
      held.set(id, confirmed.get(id));
    }
  }

  /** @param {string} id */
  const editsOf = (id) => [...(overlay.get(id) ?? [])];

  function onLive() {
    if (incoming) swap(incoming);
    incoming = undefined;
    ({ seq, epoch } = subscription);
    isReady = true;
    settleAnswered();
    schedule();
  }

  /**
   * A snapshot takes the place of the rows; those that are equal stay the objects that they are.
   * @param {Map<string, Row>} rows
   */
  function swap(rows) {
    for (const [id, row] of rows) {
      const old = confirmed.get(id);
      if (old && JSON.stringify(old) === JSON.stringify(row)) rows.set(id, old);
    }
    for (const id of [...confirmed.keys(), ...rows.keys(), ...overlay.keys()]) touched.add(id);
    confirmed = rows;
    held.clear();
    changes = [];
    wasReset = true;
  }

  // --- the overlay ---

  /** An edit is new, answered, certainly not carried out or, after a refusal, over. @param {Edit} edit */
  function show(edit) {
    if (!optimistic || !edit.optimistic) return;
    if (edit.isOver) return drop(edit);
    for (const { id } of edit.parts) overlay.set(id, (overlay.get(id) ?? new Set()).add(edit));
    release(edit);
    if (!edit.answer) return;
    answered.add(edit);
    settleAnswered();
    if (answered.has(edit)) subscription.expect(edit.answer.seq);
  }

  function settleAnswered() {
    for (const edit of answered) {
      if (edit.answer && hasTaken(edit.answer)) drop(edit);
    }
  }

  /** @param {Edit} edit */
  function drop(edit) {
    answered.delete(edit);
    for (const { id } of edit.parts) {
      overlay.get(id)?.delete(edit);
      if (!overlay.get(id)?.size) overlay.delete(id);
    }
    release(edit);
  }

  /** @param {Edit} edit */
  function release(edit) {
    for (const { id } of edit.parts) {
      if (editsOf(id).every(({ unsureAfter }) => unsureAfter === undefined)) held.delete(id);
      touched.add(id);
    }
    schedule();
  }

  /**
   * What shows of an event: its confirmed row, as the edits make it.
   * @param {string} id
   * @returns {Row | undefined}
   */
  function rowOf(id) {
    const row = held.has(id) ? held.get(id) : confirmed.get(id);
    let edited = row;
    for (const edit of editsOf(id)) edited = applied(edited, edit, id);
    if (!edited || edited === row) return edited;
    // Where only the server can judge, a row stays and a new one waits.
    const isJudged = row ? isJudgeable : judge;
    if (isJudged ? !judge?.matches(edited) : !row) return undefined;
    return Object.freeze(asked ? project(edited, [...asked, '_id']) : edited);
  }

  // --- what is shown ---

  function arrange() {
    if (!isReady || !touched.size) return view;
    /** @type {Set<Row>} */
    const gone = new Set();
    const come = [];
    for (const id of touched) {
      const before = shown.get(id);
      const after = rowOf(id);
      if (before === after) continue;
      if (before) gone.add(before);
      if (after) come.push(after);
      if (after) shown.set(id, after);
      else shown.delete(id);
    }
    touched.clear();
    if (!gone.size && !come.length) return view;
    sorted = rearrange(sorted, gone, come, order);
    // Of its own: V8 is slow to copy a frozen array.
    const next = sorted.slice(0, limit);
    const isSame = next.length === view.length && next.every((row, at) => row === view[at]);
    if (!isSame) view = Object.freeze(next);
    return view;
  }

  /** At once, unless telling the last time took long: then after a rest as long, in which more is gathered. */
  function schedule() {
    if (isScheduled) return;
    isScheduled = true;
    const rest = restUntil - performance.now();
    if (rest > 1) setTimeout(flush, rest);
    else queueMicrotask(flush);
  }

  function flush() {
    isScheduled = false;
    const start = performance.now();
    arrange();
    const now = [view, isReady, error, counted];
    if (now.some((value, at) => value !== told[at])) tell(listeners);
    told = now;
    tellChanges();
    for (const waiter of waiters) {
      if (!error && !waiter.test()) continue;
      waiters.delete(waiter);
      if (error) waiter.reject(error);
      else waiter.resolve();
    }
    const end = performance.now();
    restUntil = end + Math.min(end - start, REST_MAX_MS);
  }

  function tellChanges() {
    if (!wasReset && !changes.length) return;
    const rows = wasReset ? [...confirmed.values()] : undefined;
    const batch = { reset: wasReset, rows, changes, seq, live: subscription.isLive };
    /** @type {Change[]} */
    const resets = wasReset ? [{ kind: 'reset', seq, reason: resetReason }] : [];
    const all = [...resets, ...changes];
    changes = [];
    wasReset = false;
    tell(batchListeners, batch);
    for (const stream of streams) all.forEach(stream.push);
  }

  /**
   * Whether a position is taken in. One of an earlier log is, once the rows are of the log that is there now.
   * @param {{ seq: number, epoch: string }} position
   */
  const hasTaken = (position) => (epoch === position.epoch ? seq >= position.seq : epoch === connection.epoch);

  /** @param {() => boolean} test */
  function until(test) {
    schedule();
    /** @type {Promise<void>} */
    const promise = new Promise((resolve, reject) => void waiters.add({ test, resolve, reject }));
    return promise;
  }

  const list = window || counts ? { sort, limit: limit ?? 0, count: counts } : undefined;
  const leave = enter(writes.shows, show);
  const subscription = openSubscription(
    connection,
    { filter, fields: asked, snapshot: true, list },
    {
      clear() {
        swap(new Map());
        arrange();
        isReady = false;
        counted = undefined;
        seq = 0;
        schedule();
      },
      restart(reason = '') {
        incoming = new Map();
        resetReason = reason;
      },
      snapshot: (rows) => rows.forEach(take),
      change: onChange,
      count(frame) {
        counted = frame;
        schedule();
      },
      live: onLive,
      fail(reason) {
        leave();
        error = reason;
        for (const stream of streams) stream.end(reason);
        schedule();
      },
    },
  );
  for (const edit of writes.edits) show(edit);

  return {
    /** The rows; the same array until something has changed. Bound, as `subscribe` is. */
    get: () => arrange(),

    /**
     * Calls `listener` when `get()` would return another array, or `ready`, `count` or `error` has changed.
     * @param {() => void} listener
     * @returns {() => void} ends it
     */
    subscribe: (listener) => enter(listeners, listener),

    /** Whether the first snapshot is whole. */
    get ready() {
      return isReady;
    },
    /** How many events there are in all, if that is counted. */
    get count() {
      return counted?.count;
    },
    /** The same, where so many were counted and there may be more. */
    get countAtLeast() {
      return counted?.countAtLeast;
    },
    /** Why it is over. */
    get error() {
      return error;
    },
    /** Everything up to here is taken in. */
    get seq() {
      return seq;
    },
    whenReady: () => until(() => isReady),

    /**
     * Resolves when this result has taken in that seq.
     * @param {number} of
     */
    async seen(of) {
      if (!isCount(of)) throw invalid('seq', 'a seq is a number from 0');
      const position = { seq: of, epoch: connection.epoch };
      subscription.expect(of);
      return until(() => hasTaken(position));
    },

    /**
     * Whether its row shows something that is not confirmed.
     * @param {string} id
     */
    pending: (id) => overlay.has(id),

    /**
     * @param {(batch: Batch) => void} listener
     * @returns {() => void} ends it
     */
    onBatch: (listener) => enter(batchListeners, listener),

    /** Its changes from now on, in order. */
    [Symbol.asyncIterator]() {
      /** @type {import('./subscription.js').Stream<Change>} */
      const stream = openStream({
        stop: () => void streams.delete(stream),
        full: () => [/** @type {Change} */ ({ kind: 'reset', seq, reason: 'too_slow' })],
      });
      streams.add(stream);
      if (error) stream.end(error);
      return stream.iterator;
    },

    close() {
      if (!error) subscription.fail(failure('closed'));
    },
  };
}
