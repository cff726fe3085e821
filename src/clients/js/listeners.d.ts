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
