// livelog's client: writes that are never lost and never done twice, and live results of queries.
//
// connection.js has the socket, credentials.js who comes in over it, subscription.js what is subscribed to over it, writes.js the queue of writes, query.js
// live results, documents.js the server's order and filters, options.js what calls take, errors.js what is thrown,
// persist.js (loaded if asked for) the queue on disk.

import { openConnection } from './connection.js';
import { compare } from './documents.js';
import { LivelogError, failure, invalid } from './errors.js';
import { enter, tell } from './listeners.js';
import { check, copyOf } from './options.js';
import { openQuery } from './query.js';
import { openStream, openSubscription } from './subscription.js';
import { openWrites } from './writes.js';

export { LivelogError, compare };

/** @typedef {import('./connection.js').State} State */
/** @typedef {import('./connection.js').StateName} StateName */
/** @typedef {import('./query.js').Batch} Batch */
/** @typedef {import('./query.js').Change} Change */
/** @typedef {import('./query.js').Query} Query */
/** @typedef {import('./query.js').QueryOptions} QueryOptions */
/** @typedef {import('./query.js').Row} Row */
/** @typedef {import('./edits.js').Command} Command */
/** @typedef {import('./writes.js').Conflict} Conflict */
/** @typedef {import('./writes.js').LostEdit} LostEdit */
/** @typedef {import('./writes.js').WriteOptions} WriteOptions */
/** @typedef {import('./edits.js').Written} Written */

/** @typedef {Omit<WriteOptions, 'expectedVersion'>} CreateOptions also of a batch: its commands have conditions */
/** @typedef {WriteOptions & { merge?: boolean }} UpdateOptions `merge`: the data are a merge patch */

/**
 * @typedef {object} ConnectOptions
 * @property {import('./credentials.js').Token} [token] or an API key, for a server that asks who is there. A function is
 *   asked at each connection, and in time before a token expires
 * @property {string} [role] of those that the token gives
 * @property {'memory' | 'indexeddb'} [persist] where writes wait for their answer; pages have IndexedDB, Node has not
 * @property {string} [name] of the database; by the server's address if left out
 * @property {typeof globalThis.WebSocket} [WebSocket]
 * @property {typeof globalThis.fetch} [fetch]
 * @property {(conflict: Conflict) => any} [onConflict] of a write whose `expectedVersion` is not the event's: returns
 *   the payload to send instead, or nothing to give up
 * @property {(edit: LostEdit) => void} [onLost] a write of an earlier page was refused
 */

/**
 * @typedef {object} FetchOptions
 * @property {any} [filter]
 * @property {Record<string, 1 | -1>} [sort]
 * @property {number} [limit]
 * @property {boolean} [count] how many match in all; with a `limit` of 0 that alone
 * @property {string} [cursor]
 * @property {string[]} [fields]
 * @property {number | string} [at] as of this seq or time
 * @property {number} [minSeq] the last of this client's own writes if left out
 */

/** @typedef {{ at?: number | string, fields?: string[], minSeq?: number }} GetOptions */
/** @typedef {{ data: any[], seq: number, next?: string, count?: number, countAtLeast?: number }} Page */

/**
 * @typedef {object} HistoryOptions
 * @property {'newest' | 'oldest'} [order] which change comes first: the newest if left out
 * @property {number} [after] the `next` of the page before
 * @property {number} [limit]
 * @property {string[]} [fields]
 * @property {number} [minSeq]
 */

/**
 * @typedef {object} ChangesOptions
 * @property {any} [filter]
 * @property {string[]} [fields]
 * @property {number} [after] from now on if left out
 * @property {string} [epoch] of the log that `after` is a position of
 */

/** @typedef {AsyncGenerator<Change, void, undefined> & { close(): void }} Changes */
/** @typedef {import('./credentials.js').Identity} Identity */
/** @typedef {{ role?: string }} AuthenticateOptions */
/** @typedef {ReturnType<typeof connect>} Db */

const commands = {
  /** @param {any} doc */
  create: (doc) => ({ type: 'CREATE', payload: doc }),
  /**
   * @param {string} id
   * @param {any} data fields to set, or operators, or with `merge` a merge patch
   * @param {{ merge?: boolean, expectedVersion?: number }} [options]
   */
  update: (id, data, { merge, expectedVersion } = {}) => ({
    type: 'UPDATE',
    payload: { id, [merge ? 'mergePatch' : 'updateData']: data, expectedVersion },
  }),
  /**
   * @param {string} id
   * @param {{ expectedVersion?: number }} [options]
   */
  remove: (id, { expectedVersion } = {}) => ({ type: 'DELETE', payload: { id, expectedVersion } }),
  /**
   * @param {string} id
   * @param {number} version
   * @param {{ expectedVersion?: number }} [options]
   */
  restore: (id, version, { expectedVersion } = {}) => ({ type: 'RESTORE', payload: { id, version, expectedVersion } }),
};

/** Addresses leave out `.` and `..`, and have no halves of characters. @param {any} id */
const isNameable = (id) => typeof id === 'string' && !/^\.{0,2}$|\p{Cs}/u.test(id);

/** @typedef {{ [K in keyof typeof commands]: (...args: Parameters<(typeof commands)[K]>) => void }} BatchBuilder */

/**
 * @param {(builder: BatchBuilder) => void} build
 * @returns {Command[]}
 */
function gather(build) {
  /** @type {Command[]} */
  const gathered = [];
  const methods = Object.entries(commands).map(([name, command]) => {
    const add = (/** @type {any[]} */ ...args) => {
      check(/** @type {any} */ (`batch.${name}`), args[command.length]);
      gathered.push(/** @type {any} */ (command)(...args));
    };
    return [name, add];
  });
  /** @type {any} */
  const later = build(Object.fromEntries(methods));
  // What comes later would be missing in the batch.
  if (later?.then) throw invalid('commands', 'the commands of a batch are gathered at once, without a promise');
  return gathered;
}

/**
 * Connects, and keeps connected until `close()`.
 * @param {string | URL} [url] of the server; the page's own if left out
 * @param {ConnectOptions} [options]
 */
export function connect(url = globalThis.location?.origin, options) {
  if (!/^(http|ws)s?:\/\/[^/?#%\s]+[^?#\s]*$/.test(String(url))) {
    throw invalid('url', `the url is an address like 'http://127.0.0.1:3000', and not '${url}'`);
  }
  /** @type {ConnectOptions} */
  const checked = check('connect', options);
  const { persist, name = `livelog ${url}`, WebSocket = globalThis.WebSocket } = checked;
  const isKept = persist === 'indexeddb';
  if (isKept && !globalThis.indexedDB) throw invalid('persist', 'persist needs IndexedDB, and there is none here');
  if (!WebSocket) throw invalid('WebSocket', 'there is no WebSocket here; Node has it from version 22 on');
  const base = String(url).replace(/^ws/, 'http').replace(/\/$/, '');
  /** @type {Set<(payload: any) => void>} */
  const broadcastListeners = new Set();

  const connection = openConnection(`${base.replace(/^http/, 'ws')}/ws?changes=none`, WebSocket, checked, {
    up: () => writes.up(),
    broadcast: (payload) => tell(broadcastListeners, payload),
    leave: () => writes.leave(),
    end: () => writes.close(),
  });
  /** @param {string} subject */
  const openKept = async (subject) => (await import('./persist.js')).openStore(name, subject);
  const writes = openWrites(connection, checked, isKept ? openKept : undefined);

  /**
   * Asks again if the connection ends before the answer, perhaps another log, in which other positions are known.
   * @param {string} type
   * @param {() => any} payloadNow
   */
  async function read(type, payloadNow) {
    for (;;) {
      await connection.whenUp();
      /** @type {Promise<import('./connection.js').Frame | undefined>} */
      const asking = new Promise((resolve) => connection.request({ type, payload: payloadNow() }, resolve));
      const answer = await asking;
      if (answer?.error) throw new LivelogError(answer.error);
      if (answer) return answer;
    }
  }

  /**
   * The changes that a filter sees, as the log has them, once each and in order. Goes on by itself where a connection
   * ends; where it cannot, `{ kind: 'reset' }` says that some are missing. Who takes slowly costs the server reads of
   * the log, and nobody memory.
   * @param {ChangesOptions} [changesOptions]
   * @returns {Changes}
   */
  function changes(changesOptions) {
    /** @type {import('./subscription.js').Stream<Change>} */
    const { iterator, push, end } = openStream({
      stop: () => close(),
      full: () => subscription.pause(),
      drained: () => subscription.resume(),
    });
    const subscription = openSubscription(connection, check('changes', changesOptions), {
      restart(reason) {
        if (reason) push({ kind: 'reset', reason, seq: subscription.seq });
      },
      change: (change) => push(/** @type {Change} */ (change)),
      fail: end,
    });
    const close = () => subscription.fail(failure('closed'));
    return Object.assign(iterator, { close });
  }

  /**
   * The call that sends such a command, and resolves with its data.
   * @param {import('./options.js').Call} call
   * @param {(...args: any[]) => Command} command whose options come last
   * @returns {(...args: any[]) => Promise<any>}
   */
  const sending = (call, command) => async (...args) => {
    const writeOptions = check(call, args[command.length]);
    return (await writes.write(command(...args), writeOptions)).data;
  };

  /** @param {FetchOptions} query @returns {Promise<Page>} */
  async function fetch(query) {
    const minSeq = () => (query.at === undefined && connection.acknowledged) || undefined;
    const answer = await read('FETCH', () => ({ minSeq: minSeq(), ...query }));
    const { data, seq, next, count, countAtLeast } = answer;
    return { data, seq, next, count, countAtLeast };
  }

  return {
    /** How the connection is: a new object whenever something of it changes. */
    get state() {
      return connection.state;
    },
    /** Who the server took this client for last; nothing before it did, and without a token. */
    get identity() {
      return connection.credentials.identity;
    },
    /** Writes that are not answered yet. */
    get pending() {
      return writes.edits.size;
    },
    /** Identifies the log. */
    get epoch() {
      return connection.epoch;
    },
    /** The greatest seq heard of. */
    get seq() {
      return connection.head;
    },

    /**
     * Goes on with another token, or another function that gives one, or as nobody. What of it becomes says `state`.
     * Where it is somebody else's, live results are empty until theirs are here, and no write that waits is sent.
     * @param {import('./credentials.js').Token} [token]
     * @param {AuthenticateOptions} [authenticateOptions]
     */
    authenticate(token, authenticateOptions) {
      const { role } = check('authenticate', { ...authenticateOptions, token });
      connection.authenticate(token, role);
    },

    /**
     * Calls `listener` each time `state` or `identity` has become another object, or `pending` another number.
     * @param {(state: State) => void} listener
     * @returns {() => void} ends it
     */
    onState: (listener) => enter(connection.watchers, listener),

    /**
     * Sends a write as it is on the wire; the others are made of it. Resolves when it is durable.
     * @param {Command} command
     * @param {WriteOptions} [writeOptions]
     */
    async write(command, writeOptions) {
      return writes.write(command, check(command?.type === 'CREATE' ? 'create' : 'write', writeOptions));
    },

    /**
     * A new event: `doc` with an `_id`, or it is given one. Resolves with the event.
     * @type {(doc: any, options?: CreateOptions) => Promise<any>}
     */
    create: sending('create', commands.create),

    /**
     * Sets fields, or does operators such as `$inc`, or with `merge` a merge patch. Resolves with the event as it became.
     * @type {(id: string, data: any, options?: UpdateOptions) => Promise<any>}
     */
    update: sending('update', commands.update),

    /**
     * Resolves with the event as it was.
     * @type {(id: string, options?: WriteOptions) => Promise<any>}
     */
    remove: sending('remove', commands.remove),

    /**
     * Gives an event the fields again that it had at a version. Resolves with the event as it became.
     * @type {(id: string, version: number, options?: WriteOptions) => Promise<any>}
     */
    restore: sending('restore', commands.restore),

    /**
     * Several writes with nothing between, or none of them. Resolves with the events.
     * @type {(list: Command[] | ((builder: BatchBuilder) => void), options?: CreateOptions) => Promise<any[]>}
     */
    batch: sending('batch', (list) => ({
      type: 'BATCH',
      payload: { commands: typeof list === 'function' ? gather(list) : list },
    })),

    /** @param {FetchOptions} [query] */
    fetch: async (query) => fetch(check('fetch', query)),

    /**
     * @param {string} id
     * @param {GetOptions} [getOptions]
     * @returns {Promise<any>} the event, if there is one
     */
    async get(id, getOptions) {
      // One that is missing would ask for any event.
      if (typeof id !== 'string') throw invalid('id', 'the id of an event is a string');
      const { data } = await fetch({ filter: { _id: id }, limit: 1, ...check('get', getOptions) });
      return data[0];
    },

    /**
     * The changes of one event.
     * @param {string} id
     * @param {HistoryOptions} [historyOptions]
     * @returns {Promise<{ data: any[], seq: number, next?: number }>}
     */
    async history(id, historyOptions) {
      if (!isNameable(id)) throw invalid('id', 'the id of an event is a string that an address can name');
      const asked = check('history', historyOptions);
      const headers = await connection.credentials.headers();
      // Through JSON, which leaves out what is undefined.
      const { acknowledged } = connection;
      const parameters = new URLSearchParams(
        JSON.parse(JSON.stringify({ minSeq: acknowledged || undefined, ...asked })),
      );
      const address = `${base}/api/events/${encodeURIComponent(id)}/history?${parameters}`;
      const { fetch: request = globalThis.fetch } = checked;
      const { data, seq, next, error } = await request(address, { headers })
        .then((response) => response.json())
        .catch(() => {
          throw failure('unavailable');
        });
      if (error) throw new LivelogError(error);
      return { data, seq, next };
    },

    /**
     * Tells every session, at most once: it is not tried again, and not kept.
     * @param {any} payload
     * @returns {Promise<void>}
     */
    broadcast(payload) {
      return new Promise((resolve, reject) => {
        if (!connection.isUp) throw failure('unavailable');
        connection.request({ type: 'BROADCAST', payload: copyOf(payload, 'payload') }, (answer) => {
          if (!answer) reject(failure('outcome_unknown'));
          else if (answer.error) reject(new LivelogError(answer.error));
          else resolve();
        });
      });
    },

    /**
     * @param {(payload: any) => void} listener
     * @returns {() => void} ends it
     */
    onBroadcast: (listener) => enter(broadcastListeners, listener),

    /**
     * @param {ChangesOptions} changesOptions
     * @param {(change: Change) => void} listener
     * @param {(error: LivelogError) => void} [onError] why no more come, unless it was ended
     * @returns {() => void} ends it
     */
    onChange(changesOptions, listener, onError = console.error) {
      /** @type {Set<(change: Change) => void>} */
      const listeners = new Set();
      enter(listeners, listener);
      const taken = changes(changesOptions);
      (async () => {
        for await (const change of taken) tell(listeners, change);
      })().catch((error) => tell([onError], error));
      return taken.close;
    },

    changes,

    /**
     * A live result.
     * @param {QueryOptions} [queryOptions]
     */
    query: (queryOptions) => openQuery(connection, writes, check('query', queryOptions)),

    /** Ends it. What waits is rejected with `closed`; with `persist: 'indexeddb'` its writes stay for the next time. */
    close: () => connection.close('closed by the application'),
  };
}
