export type Edit = import('./writes.js').Edit;
export type KeptEdit = Pick<Edit, 'commandId' | 'command' | 'optimistic' | 'at' | 'seqGuess' | 'key'>;
export type Kept = KeptEdit & {
    owner: string;
};
export type Store = Awaited<ReturnType<typeof openStore>>;
/** @param {string} name of the database */
export declare function openStore(name: string): Promise<{
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
