/**
 * livelog as a source of TanStack DB: a collection that is a live result of the server, and whose changes are commands.
 *
 * @module
 */
import type { Db, Query } from './livelog.js';
import type { CollectionConfig } from '@tanstack/db';
export type Filter = Record<string, unknown>;
export type Mutation = {
    type: 'insert' | 'update' | 'delete';
    original: any;
    modified: any;
    collection: {
        utils: any;
    };
};
export type LivelogUtils = {
    /**
     * whose collection it is
     */
    db: Db;
    /**
     * resolves when the collection has taken in what was written as `seq`
     */
    seen: (seq: number) => Promise<void>;
    /**
     * the `mutationFn` of a transaction
     * of your own: its changes, which may be of several collections of one client, are one BATCH
     */
    send: (change: {
        transaction: {
            mutations: readonly any[];
        };
    }) => Promise<void>;
};
export type LivelogOptions<T extends object> = {
    /**
     * from `connect()`
     */
    db: Db;
    /**
     * which events the collection is about; all of them if left out
     */
    filter?: Filter;
    /**
     * what of them; everything if left out
     */
    fields?: string[];
    /**
     * the row's `_id` if left out
     */
    getKey?: (row: T) => string | number;
    /**
     * refuse a change of a row that somebody else has changed meanwhile. Then wait for one
     * change of a row before the next of it
     */
    expectedVersion?: boolean;
};
export type LivelogCollectionOptions<T extends object> = LivelogOptions<T> & Partial<Omit<CollectionConfig<T, string | number, never, any>, 'getKey' | 'sync' | 'onInsert' | 'onUpdate' | 'onDelete' | 'utils'>>;
/**
 * Options for `createCollection`: the events that `filter` sees as a collection.
 *
 * With `syncMode: 'on-demand'` each live query asks the server for what it needs: its conditions become the filter of a
 * subscription. What a filter cannot say (`like`, computed values) is left to TanStack DB, so the server sends more than
 * would be needed, never less. Values compare as the server compares them: within one type, arrays by their elements.
 *
 * A change is shown at once, sent as a BATCH (all of its rows or none), and taken back if the server refuses it. One of more
 * than 100 rows is not sent at all, for half of it could be refused when the other half is done. An update sends the fields that it changed, also inside of others, so that what somebody else changes stays.
 *
 * @template {object} [T=Record<string, any>]
 * @param {LivelogCollectionOptions<T>} options
 * @returns {CollectionConfig<T, string | number, never, LivelogUtils> & { schema?: never, utils: LivelogUtils }}
 */
export declare function livelogCollectionOptions<T extends object = Record<string, any>>(options: LivelogCollectionOptions<T>): CollectionConfig<T, string | number, never, LivelogUtils> & {
    schema?: never;
    utils: LivelogUtils;
};
export type Subset = {
    /**
     * the JSON of its filter
     */
    key: string;
    query: Query;
    /**
     * the events that it holds
     */
    ids: Set<string>;
    /**
     * of what it begins with
     */
    promise: Promise<unknown>;
    resolve: (visible: unknown) => void;
    reject: (error: unknown) => void;
};
