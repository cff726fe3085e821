/** A UUIDv7. Those of one page rise; pages without TLS have no `crypto.randomUUID`. */
export declare function uuid(): string;
/**
 * A UUIDv8 that is always the same for a text: its FNV-1a of 128 bits. The text itself may be no id, or tell a secret.
 * @param {string} text
 */
export declare function uuidOf(text: string): string;
