/** By call, the names that it knows. */
declare const CALLS: {
    connect: string;
    authenticate: string;
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
 * @returns {import('./edits.js').Command}
 */
export declare const commandOf: (command: any) => import('./edits.js').Command;
/**
 * Refuses what a call does not take. What is `undefined` counts as left out, but of a command.
 * @param {Call} call
 * @param {any} [options]
 * @returns {any} a copy of the options
 */
export declare function check(call: Call, options?: any): any;
/**
 * The fields with those that are sorted by. No path may lead into another.
 * @param {string[]} fields
 * @param {Record<string, 1 | -1>} sort
 */
export declare function withSorted(fields: string[], sort: Record<string, 1 | -1>): string[];
/** @param {string} text */
export declare const isTooLarge: (text: string) => boolean;
export {};
