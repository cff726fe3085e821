export type StateName = 'connecting' | 'live' | 'behind' | 'offline' | 'needs-auth' | 'closed';
export type State = {
    readonly name: StateName;
    readonly reason: string;
    readonly since: number;
    readonly lag: number;
};
export type Frame = Record<string, any>;
export type Answered = (answer: Frame | undefined) => void;
export type Events = {
    /**
     * the server has said welcome; subscriptions begin again after this
     */
    up: () => void;
    broadcast: (payload: any) => void;
    /**
     * it does not come back
     */
    end: () => void;
};
export type Subscriber = {
    seq: number;
    isLagging: boolean;
    /**
     * there is a connection
     */
    begin: () => void;
    /**
     * it has ended
     */
    interrupt: () => void;
    /**
     * the head of the log was heard
     */
    catchUp: () => void;
    /**
     * it does not come back
     */
    fail: (error: import('./errors.js').LivelogError) => void;
};
export type Connection = ReturnType<typeof openConnection>;
/** @param {string} text */
export declare const isTooLarge: (text: string) => boolean;
/**
 * Full jitter: any delay up to one that doubles.
 * @param {number} attempts
 */
export declare const backoff: (attempts: number) => number;
/**
 * Calls all of them. One that throws stops neither the others nor the client; the runtime reports it as uncaught.
 * @template {any[]} A
 * @param {Iterable<(...args: A) => void>} listeners
 * @param {A} args
 */
export declare function tell<A extends any[]>(listeners: Iterable<(...args: A) => void>, ...args: A): void;
/**
 * @template {Function} T
 * @param {Set<T>} set
 * @param {T} member
 * @returns {() => void} takes it out again
 */
export declare function enter<T extends Function>(set: Set<T>, member: T): () => void;
/**
 * @param {string} url of the WebSocket
 * @param {typeof globalThis.WebSocket} WebSocket
 * @param {Events} events
 */
export declare function openConnection(url: string, WebSocket: typeof globalThis.WebSocket, events: Events): {
    /** The greatest seq of a write of this client that was answered: its reads name it. */
    acknowledged: number;
    receivers: Map<string, (frame: Frame) => void>;
    subscriptions: Set<Subscriber>;
    watchers: Set<(state: State) => void>;
    refresh: (reason?: string) => void;
    /** Tells those who watch that something beside the state has changed. */
    notify: () => void;
    readonly isUp: boolean;
    readonly state: State;
    readonly epoch: string;
    readonly head: number;
    /** Resolves while connected; rejects while there is little hope of it. @returns {Promise<void>} */
    whenUp: () => Promise<void>;
    /**
     * @param {Frame} message
     * @param {Answered} answered
     */
    request(message: Frame, answered: Answered): void;
    /** Is the reason of the state from now on, also while all is well otherwise. @param {string} text */
    warn(text: string): void;
    /** @param {string} reason */
    close(reason: string): void;
};
