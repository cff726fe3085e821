import { compare } from './documents.js';
import { LivelogError } from './errors.js';
export { LivelogError, compare };
export type State = import('./connection.js').State;
export type StateName = import('./connection.js').StateName;
export type Batch = import('./query.js').Batch;
export type Change = import('./query.js').Change;
export type Query = import('./query.js').Query;
export type QueryOptions = import('./query.js').QueryOptions;
export type Row = import('./query.js').Row;
export type Command = import('./edits.js').Command;
export type Conflict = import('./writes.js').Conflict;
export type LostEdit = import('./writes.js').LostEdit;
export type WriteOptions = import('./writes.js').WriteOptions;
export type Written = import('./edits.js').Written;
export type CreateOptions = Omit<WriteOptions, 'expectedVersion'>;
export type UpdateOptions = WriteOptions & {
    merge?: boolean;
};
export type ConnectOptions = {
    /**
     * or an API key, for a server that asks who is there. A function is
     * asked at each connection, and in time before a token expires
     */
    token?: import('./credentials.js').Token;
    /**
     * of those that the token gives
     */
    role?: string;
    /**
     * where writes wait for their answer; pages have IndexedDB, Node has not
     */
    persist?: 'memory' | 'indexeddb';
    /**
     * of the database; by the server's address if left out
     */
    name?: string;
    WebSocket?: typeof globalThis.WebSocket;
    fetch?: typeof globalThis.fetch;
    /**
     * of a write whose `expectedVersion` is not the event's: returns
     * the payload to send instead, or nothing to give up
     */
    onConflict?: (conflict: Conflict) => any;
    /**
     * a write of an earlier page was refused
     */
    onLost?: (edit: LostEdit) => void;
};
export type FetchOptions = {
    filter?: any;
    sort?: Record<string, 1 | -1>;
    limit?: number;
    /**
     * how many match in all; with a `limit` of 0 that alone
     */
    count?: boolean;
    cursor?: string;
    fields?: string[];
    /**
     * as of this seq or time
     */
    at?: number | string;
    /**
     * the last of this client's own writes if left out
     */
    minSeq?: number;
};
export type GetOptions = {
    at?: number | string;
    fields?: string[];
    minSeq?: number;
};
export type Page = {
    data: any[];
    seq: number;
    next?: string;
    count?: number;
    countAtLeast?: number;
};
export type HistoryOptions = {
    /**
     * which change comes first: the newest if left out
     */
    order?: 'newest' | 'oldest';
    /**
     * the `next` of the page before
     */
    after?: number;
    limit?: number;
    fields?: string[];
    minSeq?: number;
};
export type ChangesOptions = {
    filter?: any;
    fields?: string[];
    /**
     * from now on if left out
     */
    after?: number;
    /**
     * of the log that `after` is a position of
     */
    epoch?: string;
};
export type Changes = AsyncGenerator<Change, void, undefined> & {
    close(): void;
};
export type Identity = import('./credentials.js').Identity;
export type AuthenticateOptions = {
    role?: string;
};
export type Db = ReturnType<typeof connect>;
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
declare const commands: {
    /** @param {any} doc */
    create: (doc: any) => {
        type: string;
        payload: any;
    };
    /**
     * @param {string} id
     * @param {any} data fields to set, or operators, or with `merge` a merge patch
     * @param {{ merge?: boolean, expectedVersion?: number }} [options]
     */
    update: (id: string, data: any, { merge, expectedVersion }?: {
        merge?: boolean;
        expectedVersion?: number;
    }) => {
        type: string;
        payload: {
            [x: string]: any;
            id: string;
            expectedVersion: number | undefined;
        };
    };
    /**
     * @param {string} id
     * @param {{ expectedVersion?: number }} [options]
     */
    remove: (id: string, { expectedVersion }?: {
        expectedVersion?: number;
    }) => {
        type: string;
        payload: {
            id: string;
            expectedVersion: number | undefined;
        };
    };
    /**
     * @param {string} id
     * @param {number} version
     * @param {{ expectedVersion?: number }} [options]
     */
    restore: (id: string, version: number, { expectedVersion }?: {
        expectedVersion?: number;
    }) => {
        type: string;
        payload: {
            id: string;
            version: number;
            expectedVersion: number | undefined;
        };
    };
};
export type BatchBuilder = {
    [K in keyof typeof commands]: (...args: Parameters<(typeof commands)[K]>) => void;
};
/**
 * Connects, and keeps connected until `close()`.
 * @param {string | URL} [url] of the server; the page's own if left out
 * @param {ConnectOptions} [options]
 */
export declare function connect(url?: string | URL, options?: ConnectOptions): {
    /** How the connection is: a new object whenever something of it changes. */
    readonly state: import("./connection.js").State;
    /** Who the server took this client for last; nothing before it did, and without a token. */
    readonly identity: import("./credentials.js").Identity | undefined;
    /** Writes that are not answered yet. */
    readonly pending: number;
    /** Identifies the log. */
    readonly epoch: string;
    /** The greatest seq heard of. */
    readonly seq: number;
    /**
     * Goes on with another token, or another function that gives one, or as nobody. What of it becomes says `state`.
     * Where it is somebody else's, live results are empty until theirs are here, and no write that waits is sent.
     * @param {import('./credentials.js').Token} [token]
     * @param {AuthenticateOptions} [authenticateOptions]
     */
    authenticate(token?: import('./credentials.js').Token, authenticateOptions?: AuthenticateOptions): void;
    /**
     * Calls `listener` each time `state` or `identity` has become another object, or `pending` another number.
     * @param {(state: State) => void} listener
     * @returns {() => void} ends it
     */
    onState: (listener: (state: State) => void) => () => void;
    /**
     * Sends a write as it is on the wire; the others are made of it. Resolves when it is durable.
     * @param {Command} command
     * @param {WriteOptions} [writeOptions]
     */
    write(command: Command, writeOptions?: WriteOptions): Promise<import("./edits.js").Written>;
    /**
     * A new event: `doc` with an `_id`, or it is given one. Resolves with the event.
     * @type {(doc: any, options?: CreateOptions) => Promise<any>}
     */
    create: (doc: any, options?: CreateOptions) => Promise<any>;
    /**
     * Sets fields, or does operators such as `$inc`, or with `merge` a merge patch. Resolves with the event as it became.
     * @type {(id: string, data: any, options?: UpdateOptions) => Promise<any>}
     */
    update: (id: string, data: any, options?: UpdateOptions) => Promise<any>;
    /**
     * Resolves with the event as it was.
     * @type {(id: string, options?: WriteOptions) => Promise<any>}
     */
    remove: (id: string, options?: WriteOptions) => Promise<any>;
    /**
     * Gives an event the fields again that it had at a version. Resolves with the event as it became.
     * @type {(id: string, version: number, options?: WriteOptions) => Promise<any>}
     */
    restore: (id: string, version: number, options?: WriteOptions) => Promise<any>;
    /**
     * Several writes with nothing between, or none of them. Resolves with the events.
     * @type {(list: Command[] | ((builder: BatchBuilder) => void), options?: CreateOptions) => Promise<any[]>}
     */
    batch: (list: Command[] | ((builder: BatchBuilder) => void), options?: CreateOptions) => Promise<any[]>;
    /** @param {FetchOptions} [query] */
    fetch: (query?: FetchOptions) => Promise<Page>;
    /**
     * @param {string} id
     * @param {GetOptions} [getOptions]
     * @returns {Promise<any>} the event, if there is one
     */
    get(id: string, getOptions?: GetOptions): Promise<any>;
    /**
     * The changes of one event.
     * @param {string} id
     * @param {HistoryOptions} [historyOptions]
     * @returns {Promise<{ data: any[], seq: number, next?: number }>}
     */
    history(id: string, historyOptions?: HistoryOptions): Promise<{
        data: any[];
        seq: number;
        next?: number;
    }>;
    /**
     * Tells every session, at most once: it is not tried again, and not kept.
     * @param {any} payload
     * @returns {Promise<void>}
     */
    broadcast(payload: any): Promise<void>;
    /**
     * @param {(payload: any) => void} listener
     * @returns {() => void} ends it
     */
    onBroadcast: (listener: (payload: any) => void) => () => void;
    /**
     * @param {ChangesOptions} changesOptions
     * @param {(change: Change) => void} listener
     * @param {(error: LivelogError) => void} [onError] why no more come, unless it was ended
     * @returns {() => void} ends it
     */
    onChange(changesOptions: ChangesOptions, listener: (change: Change) => void, onError?: (error: LivelogError) => void): () => void;
    changes: (changesOptions?: ChangesOptions) => Changes;
    /**
     * A live result.
     * @param {QueryOptions} [queryOptions]
     */
    query: (queryOptions?: QueryOptions) => {
        get: () => readonly import("./documents.js").Document[];
        subscribe: (listener: () => void) => () => void;
        readonly ready: boolean;
        readonly count: number | undefined;
        readonly countAtLeast: number | undefined;
        readonly error: LivelogError | undefined;
        readonly seq: number;
        whenReady: () => Promise<void>;
        seen(of: number): Promise<void>;
        pending: (id: string) => boolean;
        onBatch: (listener: (batch: import("./query.js").Batch) => void) => () => void;
        [Symbol.asyncIterator](): AsyncGenerator<import("./query.js").Change, void, undefined>;
        close(): void;
    };
    /** Ends it. What waits is rejected with `closed`; with `persist: 'indexeddb'` its writes stay for the next time. */
    close: () => void;
};
