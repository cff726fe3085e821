// One subscription that outlives connections: begun again at every welcome, from the position that it has reached.

import { backoff } from './connection.js';
import { LivelogError, failure } from './errors.js';

/** @typedef {import('./connection.js').Frame} Frame */

/**
 * What is subscribed to. With `snapshot` it begins with the events as they are; without, with the changes from now on,
 * or after a position. With `list` it is to the first events of an order, and begins anew instead of resuming.
 * @typedef {{ filter?: any, fields?: string[], snapshot?: boolean, after?: number, epoch?: string, list?: List }} Options
 */

/** @typedef {{ sort?: Record<string, 1 | -1>, limit: number, count?: boolean }} List
 */

/**
 * @typedef {object} Handlers
 * @property {() => void} [clear] what was told is nobody's any more
 * @property {(reason?: string) => void} restart what was gathered is void: a snapshot or, without one, changes after a
 *   gap follow; with a reason if the server gave one
 * @property {(rows: any[]) => void} [snapshot] a page of it
 * @property {(change: Frame) => void} change
 * @property {(counted: Frame) => void} [count] how many events a list has in all
 * @property {() => void} [live] everything up to now was told
 * @property {(error: LivelogError) => void} fail it cannot go on
 */

/** @typedef {ReturnType<typeof openSubscription>} Subscription */

/** How long a position may stay unconfirmed before it is asked for. */
const FENCE_MS = 300;
/** Changes that a live subscription may lag behind where nothing matches, before its position is moved up. */
const LAG_MAX = 10_000;

let names = 0;

/**
 * @param {import('./connection.js').Connection} connection
 * @param {Options} options
 * @param {Handlers} handlers
 */
export function openSubscription(connection, { filter, fields, snapshot, after, epoch, list }, handlers) {
  /** Of the SUBSCRIBE that holds; frames under an earlier name are nobody's. */
  let name = '';
  let isLive = false;
  /** Whether the SUBSCRIBE that holds has come to its first `live`. */
  let isMarked = false;
  let wasLive = false;
  let isOver = false;
  let isPaused = false;
  let attempts = 0;
  /** What somebody waits for. */
  let wanted = { seq: 0, epoch: '' };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let fence;

  /** One of a log that is gone never comes. */
  const seqWanted = () => (wanted.epoch === connection.epoch ? wanted.seq : 0);

  function leave() {
    isOver = true;
    clearTimeout(fence);
    unsubscribe();
    connection.subscriptions.delete(subscription);
    connection.refresh();
  }

  /** @param {LivelogError} error */
  function fail(error) {
    leave();
    handlers.fail(error);
  }

  function unsubscribe() {
    clearTimeout(retry);
    if (connection.receivers.delete(name)) {
      connection.request({ type: 'UNSUBSCRIBE', payload: { sub: name } }, () => {});
    }
  }

  function begin() {
    if (isOver || isPaused || !connection.isUp) return;
    unsubscribe();
    isMarked = false;
    if (list || after === undefined) handlers.restart();
    const mine = String(++names);
    name = mine;
    connection.receivers.set(name, receive);
    const minSeq = Math.max(connection.acknowledged, seqWanted()) || undefined;
    const from = list ?? { after, epoch };
    const payload = { sub: name, filter, fields, snapshot, ...from, minSeq };
    connection.request({ type: 'SUBSCRIBE', payload }, (answer) => {
      if (!answer || mine !== name || isOver) return;
      if (answer.error) refused(answer.error);
      else if (!snapshot) reach(answer.seq);
    });
  }

  /** @param {number} seq */
  function reach(seq) {
    if (after !== undefined && seq <= after) return;
    after = seq;
    epoch = connection.epoch;
  }

  /** @param {import('./errors.js').Failure} error */
  function refused(error) {
    connection.receivers.delete(name);
    isLive = false;
    if (error.retryable) {
      retry = setTimeout(begin, Math.max(backoff(attempts++), error.retryAfterMs ?? 0));
      return connection.refresh();
    }
    fail(new LivelogError(error));
  }

  /** @param {Frame} frame */
  function receive(frame) {
    if (frame.type === 'change') {
      // Before the first `live` of a snapshot there is no position, and nothing is told twice.
      // A step of a list may take several frames.
      if (!list && after !== undefined && frame.seq <= after) return;
      handlers.change(frame);
      if (after !== undefined) after = frame.seq;
    } else if (frame.type === 'snapshot') {
      handlers.snapshot?.(frame.data);
    } else if (frame.type === 'count') {
      handlers.count?.(frame);
    } else if (frame.type === 'live') {
      live(frame.seq);
    } else if (frame.type === 'behind') {
      isLive = false;
      connection.refresh();
    } else if (frame.type === 'reset') {
      after = snapshot ? undefined : frame.seq;
      epoch = connection.epoch;
      handlers.restart(frame.reason);
    } else if (frame.error) {
      refused(frame.error);
    }
  }

  /** @param {number} seq */
  function live(seq) {
    after = seq;
    epoch = connection.epoch;
    attempts = 0;
    isLive = isMarked = wasLive = true;
    handlers.live?.();
    expect(seqWanted());
    connection.refresh();
  }

  /**
   * Sees to it that the position comes to this seq, also where nothing up to it concerns the filter. No frame says so
   * then, but the `live` of a subscription that is begun anew does.
   * @param {number} seq
   */
  function expect(seq) {
    if (isOver || (after ?? 0) >= seq) return;
    wanted = { seq: Math.max(seqWanted(), seq), epoch: connection.epoch };
    fence ??= setTimeout(() => {
      fence = undefined;
      if (isLive && isMarked && (after ?? 0) < seqWanted()) begin();
    }, FENCE_MS);
  }

  const subscription = {
    begin,
    leave,
    fail,
    expect,

    /** Stops the changes, to go on from here with `resume`. */
    pause() {
      isPaused = true;
      unsubscribe();
    },
    resume() {
      if (!isPaused) return;
      isPaused = false;
      begin();
    },

    get seq() {
      return after ?? 0;
    },
    get epoch() {
      return epoch;
    },
    get isLive() {
      return isLive;
    },
    get isLagging() {
      return wasLive && !isLive;
    },

    /**
     * What was told may not be what is seen now: a snapshot is taken anew, and a gap in changes is said.
     * @param {boolean} isOther somebody else sees it
     */
    forget(isOther) {
      if (isOther) handlers.clear?.();
      if (snapshot) after = undefined;
      else handlers.restart('access_changed');
    },

    /** The connection has ended. */
    interrupt() {
      isLive = false;
      clearTimeout(retry);
    },

    /** Moves up a position that lags behind: to resume from it the server would read all of the log since. */
    catchUp() {
      if (!list && isLive && isMarked && connection.head - (after ?? 0) > LAG_MAX) begin();
    },
  };
  connection.subscriptions.add(subscription);
  if (connection.state.name === 'closed') queueMicrotask(() => fail(failure('closed')));
  begin();
  return subscription;
}

/** Values that may wait to be taken from a stream. */
const STREAM_MAX = 1000;

/**
 * @template T
 * @typedef {object} Stream
 * @property {AsyncGenerator<T, void, undefined>} iterator
 * @property {(value: T) => void} push
 * @property {(reason: LivelogError) => void} end after what waits
 */

/**
 * What is pushed, to be taken by `for await`.
 * @template T
 * @param {object} ends
 * @param {() => void} ends.stop whoever takes has had enough
 * @param {() => T[] | void} ends.full too much waits: what is to wait instead, or nothing if it may stay
 * @param {() => void} [ends.drained] nothing waits any more
 * @returns {Stream<T>}
 */
export function openStream({ stop, full, drained }) {
  /** @type {T[]} */
  let buffer = [];
  let isOver = false;
  /** @type {LivelogError | undefined} */
  let error;
  let wake = () => {};

  async function* iterate() {
    try {
      for (;;) {
        while (buffer.length) yield* buffer.splice(0);
        if (error) throw error;
        if (isOver) return;
        drained?.();
        /** @type {Promise<void>} */
        const more = new Promise((resolve) => void (wake = resolve));
        await more;
      }
    } finally {
      stop();
    }
  }

  const iterator = iterate();
  const finish = iterator.return.bind(iterator);
  // By itself it would wait for the value that a `next` before it waits for, and one that was never begun would not stop.
  iterator.return = (value) => {
    isOver = true;
    buffer = [];
    wake();
    stop();
    return finish(value);
  };

  return {
    iterator,
    push(value) {
      buffer.push(value);
      if (buffer.length === STREAM_MAX) buffer = full() ?? buffer;
      wake();
    },
    end(reason) {
      isOver = true;
      if (reason.code !== 'closed') error = reason;
      wake();
    },
  };
}
