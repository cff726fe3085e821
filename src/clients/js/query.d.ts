export type Row = import('./documents.js').Document;
export type Edit = import('./edits.js').Edit;
export type LivelogError = import('./errors.js').LivelogError;
export type QueryOptions = {
    filter?: any;
    /**
     * by `_id` if left out
     */
    sort?: Record<string, 1 | -1>;
    /**
     * cuts after sorting, here: the filter decides how much is subscribed to, unless `window`
     */
    limit?: number;
    /**
     * whether the server keeps the list: then no more than `limit` events are subscribed to
     */
    window?: boolean;
    /**
     * whether the server tells how many there are in all, with `window`
     */
    count?: boolean;
    /**
     * those sorted by come along
     */
    fields?: string[];
    /**
     * whether edits show before they are answered: yes, unless `false`
     */
    optimistic?: boolean;
};
export type Change = {
    /**
     * `reset`: the rows were read anew
     */
    kind: 'create' | 'update' | 'enter' | 'leave' | 'delete' | 'reset';
    seq: number;
    eventId?: string;
    version?: number;
    /**
     * not of a window
     */
    at?: string;
    /**
     * of a window, on the server
     */
    index?: number;
    data?: any;
    patch?: {
        set: any;
        unset: string[];
    };
    /**
     * of a reset
     */
    reason?: string;
};
export type Batch = {
    reset: boolean;
    rows?: Row[];
    changes: Change[];
    seq: number;
    live: boolean;
};
export type Query = ReturnType<typeof openQuery>;
/**
 * @param {import('./connection.js').Connection} connection
 * @param {import('./writes.js').Writes} writes
 * @param {QueryOptions} options
 */
export declare function openQuery(connection: import('./connection.js').Connection, writes: import('./writes.js').Writes, options: QueryOptions): {
    /** The rows; the same array until something has changed. Bound, as `subscribe` is. */
    get: () => readonly import("./documents.js").Document[];
    /**
     * Calls `listener` when `get()` would return another array, or `ready`, `count` or `error` has changed.
     * @param {() => void} listener
     * @returns {() => void} ends it
     */
    subscribe: (listener: () => void) => () => void;
    /** Whether the first snapshot is whole. */
    readonly ready: boolean;
    /** How many events there are in all, if that is counted. */
    readonly count: number | undefined;
    /** The same, where so many were counted and there may be more. */
    readonly countAtLeast: number | undefined;
    /** Why it is over. */
    readonly error: import("./errors.js").LivelogError | undefined;
    /** Everything up to here is taken in. */
    readonly seq: number;
    whenReady: () => Promise<void>;
    /**
     * Resolves when this result has taken in that seq.
     * @param {number} of
     */
    seen(of: number): Promise<void>;
    /**
     * Whether its row shows something that is not confirmed.
     * @param {string} id
     */
    pending: (id: string) => boolean;
    /**
     * @param {(batch: Batch) => void} listener
     * @returns {() => void} ends it
     */
    onBatch: (listener: (batch: Batch) => void) => () => void;
    /** Its changes from now on, in order. */
    [Symbol.asyncIterator](): AsyncGenerator<Change, void, undefined>;
    close(): void;
};
