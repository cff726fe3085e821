import type { Db, LivelogError, Query, QueryOptions, State } from './livelog.js';
export type QueryResult<T> = {
    /**
     * the result; empty until it is `ready`
     */
    rows: readonly T[];
    /**
     * whether the first snapshot is there
     */
    ready: boolean;
    /**
     * why the result ended, if it did (`invalid_filter`, say)
     */
    error: LivelogError | undefined;
    /**
     * whether a row shows something that the server has not confirmed
     */
    pending: (id: string) => boolean;
};
export type Shared = {
    query?: Query;
    result: QueryResult<any>;
    listeners: Set<() => void>;
};
/**
 * A live result. It is asked for when the component is mounted and given up when the last component that uses it is gone.
 * Options are compared by value, so they may be written in place. With `null` or `false` instead nothing is asked, as while
 * there is no `db` yet. A result that has ended with an error is asked for again by the next component that is mounted with it.
 *
 * ```jsx
 * const { rows, ready, error } = useQuery(db, { filter: { done: false }, sort: { _createdAt: -1 } });
 * ```
 *
 * @template {object} [T=any]
 * @param {Db | null | undefined} db
 * @param {QueryOptions | null | false} [options]
 * @returns {QueryResult<T>}
 */
export declare function useQuery<T extends object = any>(db: Db | null | undefined, options?: QueryOptions | null | false): QueryResult<T>;
/**
 * The state of the connection: `{ name, reason, since, lag }`, a new object when something of it changes. While there is no
 * `db` yet it is `connecting`.
 *
 * @param {Db | null | undefined} db
 * @returns {State}
 */
export declare function useConnection(db: Db | null | undefined): State;
