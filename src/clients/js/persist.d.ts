export type Edit = import('./edits.js').Edit;
export type KeptEdit = Pick<Edit, 'commandId' | 'command' | 'optimistic' | 'at' | 'seqGuess' | 'key'>;
export type Kept = KeptEdit & {
    owner: string;
    subject?: string;
};
export type Store = Awaited<ReturnType<typeof openStore>>;
/**
 * @param {string} name of the database
 * @param {string} subject whose writes are meant; those of others stay where they are
 */
export declare function openStore(name: string, subject: string): Promise<{
    close: () => void;
    /** @param {Edit} edit */
    put(edit: Edit): Promise<void>;
    /** @param {Edit} edit */
    remove({ key }: Edit): Promise<void>;
    /**
     * Claims the writes of pages that are gone.
     * @returns {Promise<Kept[]>} in the order in which they were made
     */
    adopt(): Promise<Kept[]>;
}>;
