/** By call, the names that it knows. */
declare const CALLS: {
    connect: string;
    query: string;
    fetch: string;
    get: string;
    history: string;
    changes: string;
    command: string;
    create: string;
    batch: string;
    write: string;
    remove: string;
    restore: string;
    update: string;
    'batch.create': string;
    'batch.remove': string;
    'batch.restore': string;
    'batch.update': string;
};
export type Call = keyof typeof CALLS;
export type Test = (value: any) => boolean;
/** @type {Test} */
export declare const isCount: Test;
/**
 * A copy as JSON has it. What JSON would lose or make another value of is refused: all but members that are `undefined`,
 * and those in a filter too, which would see more without them.
 * @param {any} value
 * @param {string} path
 * @param {string} [where]
 * @param {number} [depth]
 * @returns {any}
 */
export declare function copyOf(value: any, path: string, where?: string, depth?: number): any;
/**
 * A copy of a command, if it is one.
 * @param {any} command
 * @returns {import('./writes.js').Command}
 */
export declare const commandOf: (command: any) => import('./writes.js').Command;
/**
 * Refuses what a call does not take. What is `undefined` counts as left out, but of a command.
 * @param {Call} call
 * @param {any} [options]
 * @returns {any} a copy of the options
 */
export declare function check(call: Call, options?: any): any;
export {};
