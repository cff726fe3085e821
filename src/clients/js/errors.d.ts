export type Failure = {
    code: string;
    message: string;
    retryable?: boolean;
    retryAfterMs?: number;
    path?: string;
    details?: any;
};
/**
 * What a server says of a request that it refused, or this client of one that it did not send.
 * @typedef {{ code: string, message: string, retryable?: boolean, retryAfterMs?: number, path?: string,
 *   details?: any }} Failure
 */
/** An error of the server, or of this client. */
export declare class LivelogError extends Error {
    code: string;
    retryable: boolean;
    /** How long a server wants to be left alone. */
    retryAfterMs: number | undefined;
    path: string | undefined;
    details: any;
    /** @param {Failure} failure */
    constructor({ code, message, retryable, retryAfterMs, path, details }: Failure);
}
/** Why this client itself does not do something. */
declare const REASONS: {
    closed: string;
    outcome_unknown: string;
    signed_out: string;
    queue_full: string;
    too_large: string;
    unavailable: string;
};
/** @param {keyof typeof REASONS} code */
export declare const failure: (code: keyof typeof REASONS) => LivelogError;
/**
 * @param {string} path
 * @param {string} message
 */
export declare const invalid: (path: string, message: string) => LivelogError;
/**
 * Why a connection ended.
 * @param {number} code
 * @param {string} reason
 * @param {boolean} wasUp
 */
export declare function endOf(code: number, reason: string, wasUp: boolean): string;
export {};
