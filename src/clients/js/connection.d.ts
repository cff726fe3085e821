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
     * somebody else is there
     */
    leave: () => void;
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
     * something else may be seen, perhaps by somebody else
     */
    forget: (isOther: boolean) => void;
    /**
     * it does not come back
     */
    fail: (error: import('./errors.js').LivelogError) => void;
};
export type Connection = ReturnType<typeof openConnection>;
/**
 * Full jitter: any delay up to one that doubles.
 * @param {number} attempts
 */
export declare const backoff: (attempts: number) => number;
/**
 * @param {string} url of the WebSocket
 * @param {typeof globalThis.WebSocket} WebSocket
 * @param {{ token?: import('./credentials.js').Token, role?: string }} options
 * @param {Events} events
 */
export declare function openConnection(url: string, WebSocket: typeof globalThis.WebSocket, { token, role }: {
    token?: import('./credentials.js').Token;
    role?: string;
}, events: Events): {
    credentials: {
        known: Promise<string>;
        admit: (data: any) => void;
        show: (token: string | undefined) => void;
        readonly subject: string | undefined;
        readonly identity: import("./credentials.js").Identity | undefined;
        readonly refusal: import("./errors.js").LivelogError | undefined;
        readonly isExpired: boolean;
        take(ready: () => void, lacking: (error: import("./errors.js").LivelogError) => void): void;
        hello: () => string;
        readonly isShown: boolean;
        refuse(error: import("./credentials.js").Failure): void;
        greet({ role, expiresAt }: import("./credentials.js").Identity): void;
        seeTheSame(now?: string): boolean;
        rest(): void;
        replace(token: import("./credentials.js").Token | undefined, newRole: string | undefined): boolean;
        headers(): Promise<Record<string, string>>;
    };
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
    /**
     * Goes on with these.
     * @param {import('./credentials.js').Token | undefined} next
     * @param {string | undefined} as
     */
    authenticate(next: import('./credentials.js').Token | undefined, as: string | undefined): void;
    /** @param {string} reason */
    close(reason: string): void;
};
