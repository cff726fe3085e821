import { LivelogError } from './errors.js';
export type Document = import('./documents.js').Document;
export type Command = {
    type: string;
    payload: any;
};
export type Written = {
    seq: number;
    data: any;
    duplicate: boolean;
};
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
export type Edit = {
    commandId: string;
    command: Command;
    /**
     * the commands of a batch, or this one
     */
    parts: {
        id: string;
        type: string;
        payload: any;
    }[];
    optimistic: boolean;
    /**
     * when it was made, as a timestamp of the wire
     */
    at: string;
    /**
     * its seq, if nobody else writes
     */
    seqGuess: number;
    bytes: number;
    /**
     * in the database
     */
    key?: any;
    /**
     * being stored; may be sent; unanswered; its conflict is with
     * the application, or what that made of it waits
     */
    stage: 'keeping' | 'ready' | 'sent' | 'asking';
    conflicts: number;
    wait?: ReturnType<typeof setTimeout>;
    /**
     * while it may have been carried out: its change comes after this seq, which was heard
     * of before it was sent
     */
    unsureAfter?: number;
    /**
     * where in which log it is
     */
    answer?: {
        seq: number;
        epoch: string;
    };
    /**
     * it was refused: nothing shows it any more
     */
    isOver?: boolean;
    resolve: (written: Written) => void;
    reject: (error: any) => void;
};
/**
 * @param {import('./connection.js').Connection} connection
 * @param {WriteHandlers} handlers
 * @param {Promise<import('./persist.js').Store | undefined>} [opening] where edits are kept; nowhere if left out
 */
export declare function openWrites(connection: import('./connection.js').Connection, { onConflict, onLost }: WriteHandlers, opening?: Promise<import('./persist.js').Store | undefined>): {
    write: (command: Command, { commandId, expectedVersion, optimistic }?: WriteOptions) => Promise<Written>;
    shows: Set<(edit: Edit) => void>;
    /** Those that are not answered, in order. */
    readonly edits: Set<Edit>;
    up(): void;
    close(): void;
};
/**
 * What an edit makes of a document; the document itself where only the server can tell.
 * @param {Document | undefined} doc
 * @param {Edit} edit
 * @param {string} ofId
 */
export declare function applied(doc: Document | undefined, { parts, at, seqGuess }: Edit, ofId: string): import("./documents.js").Document | undefined;
