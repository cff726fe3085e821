import { LivelogError } from './connection.js';
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
/**
 * @param {string} path
 * @param {string} message
 */
export declare const invalid: (path: string, message: string) => LivelogError;
/**
 * Refuses what a call does not take. What is `undefined` counts as left out.
 * @param {Call} call
 * @param {any} [options]
 * @returns {any} the options
 */
export declare function check(call: Call, options?: any): any;
export {};
