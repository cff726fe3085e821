// Errors: those of the server, and why this client itself does not do something.

/**
 * What a server says of a request that it refused, or this client of one that it did not send.
 * @typedef {{ code: string, message: string, retryable?: boolean, retryAfterMs?: number, path?: string,
 *   details?: any }} Failure
 */

/** An error of the server, or of this client. */
export class LivelogError extends Error {
  /** @param {Failure} failure */
  constructor({ code, message, retryable = false, retryAfterMs, path, details }) {
    super(message);
    this.name = 'LivelogError';
    this.code = code;
    this.retryable = retryable;
    /** How long a server wants to be left alone. */
    this.retryAfterMs = retryAfterMs;
    this.path = path;
    this.details = details;
  }
}

/** Why this client itself does not do something. */
const REASONS = {
  closed: 'the client is closed',
  outcome_unknown: 'the connection ended before the answer',
  signed_out: 'somebody else signed in before the answer',
  queue_full: 'too many writes wait for a connection',
  too_large: 'a message has at most 256 KiB',
  unavailable: 'there is no connection',
};

/** @param {keyof typeof REASONS} code */
export const failure = (code) =>
  new LivelogError({ code, message: REASONS[code], retryable: code === 'unavailable' });

/**
 * @param {string} path
 * @param {string} message
 */
export const invalid = (path, message) => new LivelogError({ code: 'invalid_option', message, path });

/**
 * Why a connection ended.
 * @param {number} code
 * @param {string} reason
 * @param {boolean} wasUp
 */
export function endOf(code, reason, wasUp) {
  if (code !== 1006) return `the server ended the connection: ${reason || code}`;
  return wasUp ? 'the connection broke off' : 'the server cannot be reached, or refuses this page';
}
