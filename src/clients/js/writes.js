// Writes on their way to the server: in order, each until it is answered, none twice.
//
// A write that was sent and not answered may have been carried out or not. It is sent again under the same `commandId`,
// which makes the server answer it as it did, or carry it out for the first time.

import { backoff } from './connection.js';
import { prepare } from './edits.js';
import { LivelogError, failure } from './errors.js';
import { uuid, uuidOf } from './ids.js';
import { tell } from './listeners.js';

/** @typedef {import('./edits.js').Command} Command */
/** @typedef {import('./edits.js').Edit} Edit */
/** @typedef {import('./edits.js').Written} Written */

/**
 * @typedef {object} WriteOptions
 * @property {string} [commandId] chosen by the caller, to repeat a write that it has made before
 * @property {number} [expectedVersion] refused as `version_conflict` if the event is at another
 * @property {boolean} [optimistic] whether live results show it before it is answered: yes, unless `false`
 */

/**
 * `attempt`: how many times this write has been in conflict, from 1.
 * @typedef {{ command: Command, error: LivelogError, current: any, attempt: number }} Conflict
 */
/** @typedef {{ command: Command, error: LivelogError }} LostEdit */

/**
 * @typedef {object} WriteHandlers
 * @property {(conflict: Conflict) => any} [onConflict] returns the payload to send instead, or nothing to give up
 * @property {(edit: LostEdit) => void} [onLost] a write of an earlier page was refused
 */

/** @typedef {ReturnType<typeof openWrites>} Writes */

/** Events with edits under way at a time; all of them are looked through for each answer. */
const PIPELINE_MAX = 100;
/** How often a page looks for writes of pages that are gone. */
const ADOPTION_MS = 3000;
const OFFLINE_MAX = 100;
const OFFLINE_BYTES_MAX = 1024 * 1024;

/**
 * @param {import('./connection.js').Connection} connection
 * @param {WriteHandlers} handlers
 * @param {(subject: string) => Promise<import('./persist.js').Store>} [openStore] of somebody's edits; they are kept
 *   nowhere if left out
 */
export function openWrites(connection, { onConflict, onLost }, openStore) {
  /** In the order of the calls; those of earlier pages before them. @type {Set<Edit>} */
  let queue = new Set();
  let bytes = 0;
  let attempts = 0;
  /** Of live results: called with an edit whenever it is another. @type {Set<(edit: Edit) => void>} */
  const shows = new Set();
  let isReady = true;
  let isClosed = false;
  /** @type {Promise<import('./persist.js').Store | undefined> | undefined} */
  let opening;
  /** @type {import('./persist.js').Store | undefined} */
  let store;
  /** @type {ReturnType<typeof setTimeout> | undefined} while the server wants to be left alone */
  let pause;
  /** Until when, whatever becomes of the connection. */
  let limitedUntil = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let adopting;

  /**
   * @param {Command} command
   * @param {WriteOptions} [options]
   * @returns {Promise<Written>}
   */
  function write(command, { commandId, expectedVersion, optimistic = true } = {}) {
    return new Promise((resolve, reject) => {
      // Who repeats a command repeats the ids that it chose for new events.
      const newId = commandId === undefined ? uuid : (/** @type {number} */ at) => uuidOf(`${at} ${commandId}`);
      const prepared = prepare(command, commandId ?? uuid(), expectedVersion, newId);
      if (isClosed) throw failure('closed');
      const isFull = queue.size >= OFFLINE_MAX || bytes + prepared.bytes > OFFLINE_BYTES_MAX;
      if (isFull && !connection.isUp) throw failure('queue_full');
      const at = new Date().toISOString();
      const seqGuess = connection.head + queue.size + 1;
      /** @type {Edit} */
      const edit = { ...prepared, optimistic, at, seqGuess, stage: 'ready', conflicts: 0, resolve, reject };
      queue.add(edit);
      bytes += edit.bytes;
      show(edit);
      keep(edit);
      connection.notify();
    });
  }

  /**
   * @param {Edit} edit
   * @param {boolean} [isOver]
   */
  function show(edit, isOver = false) {
    edit.isOver = isOver;
    tell(shows, edit);
  }

  /**
   * Shows all edits anew, so that they lie over each other in the order of the queue.
   * @param {() => void} change what makes it another
   */
  function restack(change) {
    for (const edit of queue) show(edit, true);
    change();
    for (const edit of queue) show(edit);
  }

  /** Sends an edit once it is stored; where nothing can be stored it is sent all the same. @param {Edit} edit */
  async function keep(edit) {
    if (opening) {
      edit.stage = 'keeping';
      await opening;
      await store?.put(edit).catch(unkept);
    }
    edit.stage = 'ready';
    pump();
  }

  /** @param {any} error */
  function unkept(error) {
    connection.warn(`writes that wait are lost with this page: ${error?.message}`);
    return undefined;
  }

  /**
   * Sends what may be sent. No edit overtakes an earlier one, but for those whose conflict the application ponders:
   * then the later edits of the same events wait, and the others go on. And none is sent before the earlier edits of
   * the same event are answered, so that none is tried again after a later one was carried out.
   */
  function pump() {
    if (!isReady || pause || isClosed || !connection.isUp) return;
    /** @type {Set<string>} */
    const pondered = new Set();
    /** @type {Set<string>} */
    const unanswered = new Set();
    for (const edit of queue) {
      if (unanswered.size >= PIPELINE_MAX) return;
      const ids = edit.parts.map((part) => part.id);
      const waitsFor = (/** @type {Set<string>} */ events) => ids.some((id) => events.has(id));
      const isPondered = edit.stage === 'asking' || waitsFor(pondered);
      if (!isPondered && edit.stage !== 'sent') {
        if (edit.stage === 'keeping' || waitsFor(unanswered)) return;
        send(edit);
      }
      for (const id of ids) (isPondered ? pondered : unanswered).add(id);
    }
  }

  /** @param {Edit} edit */
  function send(edit) {
    edit.stage = 'sent';
    // A log that was made anew has come less far: there it comes after less.
    edit.unsureAfter = Math.min(edit.unsureAfter ?? Infinity, connection.head);
    connection.request({ ...edit.command, commandId: edit.commandId }, (answer) => {
      edit.stage = 'ready';
      if (!answer) return;
      if (!answer.error) return succeed(edit, answer);
      const error = new LivelogError(answer.error);
      const isUnknown = error.code === 'outcome_unknown';
      if (!isUnknown) edit.unsureAfter = undefined;
      if (error.retryable || isUnknown) return tryLater(edit, error);
      refuse(edit, error);
    });
  }

  /**
   * @param {Edit} edit
   * @param {LivelogError} error
   */
  function tryLater(edit, { retryAfterMs = 0 }) {
    show(edit);
    limitedUntil = Math.max(limitedUntil, Date.now() + retryAfterMs);
    if (!pause || retryAfterMs) rest(pause ? 0 : backoff(attempts++));
  }

  /** @param {number} leastMs */
  function rest(leastMs) {
    clearTimeout(pause);
    pause = setTimeout(
      () => {
        pause = undefined;
        pump();
      },
      Math.max(leastMs, limitedUntil - Date.now()),
    );
  }

  /**
   * @param {Edit} edit
   * @param {import('./connection.js').Frame} answer
   */
  function succeed(edit, { seq, data, duplicate = false }) {
    if (seq === undefined) throw new TypeError('an answer without a seq');
    attempts = 0;
    edit.answer = { seq, epoch: connection.epoch };
    edit.unsureAfter = undefined;
    connection.acknowledged = Math.max(connection.acknowledged, seq);
    show(edit);
    end(edit);
    edit.resolve({ seq, data, duplicate });
  }

  /** @param {Edit} edit */
  function end(edit) {
    if (queue.delete(edit)) bytes -= edit.bytes;
    // What is not deleted is sent once more, by a later page, to no effect.
    store?.remove(edit).catch(() => {});
    pump();
    connection.notify();
  }

  /**
   * @param {Edit} edit
   * @param {any} error
   */
  async function refuse(edit, error) {
    if (error.code === 'version_conflict' && onConflict) {
      edit.stage = 'asking';
      pump();
      try {
        const current = error.details?.current;
        const attempt = ++edit.conflicts;
        const payload = await onConflict({ command: edit.command, error, current, attempt });
        if (isClosed || !queue.has(edit)) return;
        if (payload) return replace(edit, payload);
      } catch (thrown) {
        error = thrown;
      }
    }
    if (isClosed || !queue.has(edit)) return;
    show(edit, true);
    end(edit);
    edit.reject(error);
  }

  /**
   * Sends at once what is made of a first conflict. What is in conflict again may be so for ever.
   * @param {Edit} edit
   * @param {any} payload
   */
  function replace(edit, payload) {
    const prepared = prepare({ type: edit.command.type, payload }, uuid());
    bytes += prepared.bytes - edit.bytes;
    restack(() => Object.assign(edit, prepared));
    if (edit.conflicts < 2) keep(edit);
    else edit.wait = setTimeout(() => keep(edit), backoff(edit.conflicts));
  }

  /** Takes over the edits of pages that are gone: they go before those of this one. */
  async function adopt() {
    const from = store;
    const records = (await from?.adopt()) ?? [];
    if (from !== store) return;
    /** @type {Edit[]} */
    const adopted = records.map(({ commandId, command, ...rest }) => ({
      ...prepare(command, commandId),
      ...rest,
      stage: 'ready',
      conflicts: 0,
      resolve() {},
      reject(error) {
        if (!isClosed && error.code !== 'signed_out') onLost?.({ command: this.command, error });
      },
    }));
    if (!adopted.length) return;
    for (const edit of adopted) bytes += edit.bytes;
    restack(() => void (queue = new Set([...adopted, ...queue])));
    connection.notify();
  }

  /** @param {import('./persist.js').Store | undefined} opened */
  async function begin(opened) {
    store = opened;
    // What cannot be read now is left to a later page.
    await adopt().catch(() => {});
    if (store !== opened || isClosed) return;
    isReady = true;
    pump();
    if (store) adopting = setInterval(() => adopt().then(pump, () => {}), ADOPTION_MS);
  }

  async function start() {
    if (!openStore) return;
    isReady = false;
    const { known } = connection.credentials;
    const mine = (opening = known.then(() => openStore(connection.credentials.subject ?? '')).catch(unkept));
    const opened = await mine;
    if (mine === opening) begin(opened);
    else opened?.close();
  }
  start();

  return {
    write,
    shows,
    /** Those that are not answered, in order. */
    get edits() {
      return queue;
    },

    up() {
      if (limitedUntil > Date.now()) return rest(0);
      clearTimeout(pause);
      pause = undefined;
      pump();
    },

    /** Somebody else is there: what waits is not theirs. It stays in the database for who made it. */
    leave() {
      clearInterval(adopting);
      store?.close();
      store = undefined;
      const left = queue;
      queue = new Set();
      bytes = 0;
      for (const edit of left) {
        clearTimeout(edit.wait);
        show(edit, true);
        edit.reject(failure('signed_out'));
      }
      start();
      connection.notify();
    },

    close() {
      isClosed = true;
      clearTimeout(pause);
      clearInterval(adopting);
      for (const edit of queue) {
        clearTimeout(edit.wait);
        edit.reject(failure('closed'));
      }
      opening?.then(() => store?.close());
    },
  };
}
