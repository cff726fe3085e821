import { LivelogError } from './errors.js';
export type Frame = import('./connection.js').Frame;
export type Options = {
    filter?: any;
    fields?: string[];
    snapshot?: boolean;
    after?: number;
    epoch?: string;
    list?: List;
};
export type List = {
    sort?: Record<string, 1 | -1>;
    limit: number;
    count?: boolean;
};
export type Handlers = {
    /**
     * what was told is nobody's any more
     */
    clear?: () => void;
    /**
     * what was gathered is void: a snapshot or, without one, changes after a
     * gap follow; with a reason if the server gave one
     */
    restart: (reason?: string) => void;
    /**
     * a page of it
     */
    snapshot?: (rows: any[]) => void;
    change: (change: Frame) => void;
    /**
     * how many events a list has in all
     */
    count?: (counted: Frame) => void;
    /**
     * everything up to now was told
     */
    live?: () => void;
    /**
     * it cannot go on
     */
    fail: (error: LivelogError) => void;
};
export type Subscription = ReturnType<typeof openSubscription>;
/**
 * @param {import('./connection.js').Connection} connection
 * @param {Options} options
 * @param {Handlers} handlers
 */
export declare function openSubscription(connection: import('./connection.js').Connection, { filter, fields, snapshot, after, epoch, list }: Options, handlers: Handlers): {
    begin: () => void;
    leave: () => void;
    fail: (error: LivelogError) => void;
    expect: (seq: number) => void;
    /** Stops the changes, to go on from here with `resume`. */
    pause(): void;
    resume(): void;
    readonly seq: number;
    readonly epoch: string | undefined;
    readonly isLive: boolean;
    readonly isLagging: boolean;
    /**
     * What was told may not be what is seen now: a snapshot is taken anew, and a gap in changes is said.
     * @param {boolean} isOther somebody else sees it
     */
    forget(isOther: boolean): void;
    /** The connection has ended. */
    interrupt(): void;
    /** Moves up a position that lags behind: to resume from it the server would read all of the log since. */
    catchUp(): void;
};
export type Stream<T> = {
    iterator: AsyncGenerator<T, void, undefined>;
    push: (value: T) => void;
    /**
     * after what waits
     */
    end: (reason: LivelogError) => void;
};
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
export declare function openStream<T>({ stop, full, drained }: {
    stop: () => void;
    full: () => T[] | void;
    drained?: () => void;
}): Stream<T>;
