import { LivelogError } from './errors.js';
export type Failure = import('./errors.js').Failure;
export type Token = string | (() => string | undefined | Promise<string | undefined>);
export type Identity = {
    readonly role?: string;
    readonly iss?: string;
    readonly sub?: string;
    readonly key?: string;
    readonly expiresAt?: string;
};
export type Handlers = {
    request: (message: {
        type: string;
        payload: any;
    }, answered: (answer: any) => void) => void;
    /**
     * the identity is another
     */
    changed: () => void;
    /**
     * somebody else is there
     */
    leave: () => void;
    /**
     * the connection is not for these credentials
     */
    lose: (reason: string) => void;
};
export type Credentials = ReturnType<typeof openCredentials>;
/** @typedef {import('./errors.js').Failure} Failure */
/** @typedef {string | (() => string | undefined | Promise<string | undefined>)} Token */
/**
 * Who the server takes this client for: `iss` and `sub` of a token, or the id of a `key`. Empty where nobody asks.
 * @typedef {{ readonly role?: string, readonly iss?: string, readonly sub?: string, readonly key?: string,
 *   readonly expiresAt?: string }} Identity
 */
/**
 * @typedef {object} Handlers
 * @property {(message: { type: string, payload: any }, answered: (answer: any) => void) => void} request
 * @property {() => void} changed the identity is another
 * @property {() => void} leave somebody else is there
 * @property {(reason: string) => void} lose the connection is not for these credentials
 */
/** @typedef {ReturnType<typeof openCredentials>} Credentials */
/**
 * What a server says of credentials, by the code that it closes with. It is not asked again with the same.
 * @type {Record<number, string>}
 */
export declare const REFUSALS: Record<number, string>;
/**
 * Whose a token is, by what it says itself: known before there is a connection, and the same for every token of theirs.
 * @param {string | undefined} token
 */
export declare function subjectOf(token: string | undefined): string;
/**
 * @param {Token | undefined} source
 * @param {string | undefined} role
 * @param {Handlers} handlers
 */
export declare function openCredentials(source: Token | undefined, role: string | undefined, handlers: Handlers): {
    known: Promise<string>;
    admit: (data: any) => void;
    show: (token: string | undefined) => void;
    readonly subject: string | undefined;
    readonly identity: Identity | undefined;
    readonly refusal: LivelogError | undefined;
    /** Whether the token has, and another can be had. */
    readonly isExpired: boolean;
    /**
     * Calls one of them, at once if it can.
     * @param {() => void} ready there is something to come in with, or nothing is needed
     * @param {(error: LivelogError) => void} lacking there is none, or only what was refused
     */
    take(ready: () => void, lacking: (error: LivelogError) => void): void;
    /** The first message of a connection; without a token a server that wants one says so to any. */
    hello: () => string;
    /** Whether nothing more has to be said before welcome. */
    readonly isShown: boolean;
    /** What the server says of them, or of something else. @param {Failure} error */
    refuse(error: Failure): void;
    /** What welcome says of who has shown nothing here: AUTH says more of who has. @param {Identity} welcome */
    greet({ role, expiresAt }: Identity): void;
    /**
     * Whether as much is seen as over the last connection. Where the server does not say so, each token may see less.
     * @param {string} [now]
     */
    seeTheSame(now?: string): boolean;
    /** The connection has ended. */
    rest(): void;
    /**
     * From now on it is this.
     * @param {Token | undefined} token
     * @param {string | undefined} newRole
     * @returns {boolean} whether the server need only be shown it
     */
    replace(token: Token | undefined, newRole: string | undefined): boolean;
    /** For requests beside the connection. @returns {Promise<Record<string, string>>} */
    headers(): Promise<Record<string, string>>;
};
