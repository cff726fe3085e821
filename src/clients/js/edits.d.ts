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
 * Takes a command apart and copies it, so that what its caller changes later is not sent.
 * @param {Command} original
 * @param {string} commandId
 * @param {number} [expectedVersion]
 * @param {(at: number) => string} [newId] of what is created by the command at this place of a batch
 */
export declare function prepare(original: Command, commandId: string, expectedVersion?: number, newId?: (at: number) => string): {
    commandId: string;
    command: Command;
    parts: {
        type: string;
        payload: any;
        id: string;
    }[];
    bytes: number;
};
/**
 * What an edit makes of a document; the document itself where only the server can tell.
 * @param {Document | undefined} doc
 * @param {Edit} edit
 * @param {string} ofId
 */
export declare function applied(doc: Document | undefined, { parts, at, seqGuess }: Edit, ofId: string): import("./documents.js").Document | undefined;
