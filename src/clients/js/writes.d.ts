import { LivelogError } from './errors.js';
export type Command = import('./edits.js').Command;
export type Edit = import('./edits.js').Edit;
export type Written = import('./edits.js').Written;
export type WriteOptions = {
    /**
     * chosen by the caller, to repeat a write that it has made before
     */
    commandId?: string;
    /**
     * refused as `version_conflict` if the event is at another
     */
    expectedVersion?: number;
    /**
     * whether live results show it before it is answered: yes, unless `false`
     */
    optimistic?: boolean;
};
export type Conflict = {
    command: Command;
    error: LivelogError;
    current: any;
    attempt: number;
};
export type LostEdit = {
    command: Command;
    error: LivelogError;
};
export type WriteHandlers = {
    /**
     * returns the payload to send instead, or nothing to give up
     */
    onConflict?: (conflict: Conflict) => any;
    /**
     * a write of an earlier page was refused
     */
    onLost?: (edit: LostEdit) => void;
};
export type Writes = ReturnType<typeof openWrites>;
/**
 * @param {import('./connection.js').Connection} connection
 * @param {WriteHandlers} handlers
 * @param {(subject: string) => Promise<import('./persist.js').Store>} [openStore] of somebody's edits; they are kept
 *   nowhere if left out
 */
export declare function openWrites(connection: import('./connection.js').Connection, { onConflict, onLost }: WriteHandlers, openStore?: (subject: string) => Promise<import('./persist.js').Store>): {
    write: (command: Command, { commandId, expectedVersion, optimistic }?: WriteOptions) => Promise<Written>;
    shows: Set<(edit: Edit) => void>;
    /** Those that are not answered, in order. */
    readonly edits: Set<import("./edits.js").Edit>;
    up(): void;
    /** Somebody else is there: what waits is not theirs. It stays in the database for who made it. */
    leave(): void;
    close(): void;
};
