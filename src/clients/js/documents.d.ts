export type Document = Record<string, any>;
export type Matcher = (doc: Document) => boolean;
export type Order = (a: Document, b: Document) => number;
/**
 * @param {any} value
 * @returns {value is Document}
 */
export declare const isObject: (value: any) => value is Document;
/**
 * MongoDB's order of values.
 * @param {any} a
 * @param {any} b
 * @returns {number} below, above or equal to 0
 */
export declare function compare(a: any, b: any): number;
/**
 * The order of a query; equals order by `_id`.
 * @param {Record<string, 1 | -1>} sort
 * @returns {Order}
 */
export declare function orderBy(sort: Record<string, 1 | -1>): Order;
/**
 * The rows without some and with others, in their order, as a new array: nothing but those that come is sorted.
 * @param {Document[]} rows
 * @param {Set<Document>} gone
 * @param {Document[]} come
 * @param {Order} order
 */
export declare function rearrange(rows: Document[], gone: Set<Document>, come: Document[], order: Order): Document[];
/**
 * What judges documents by this filter, and the paths that it looks at; nothing if only the server can.
 * @param {Document} filter
 */
export declare const judgeOf: (filter: Document) => {
    matches: Matcher;
    paths: string[];
} | undefined;
/**
 * @param {Document} doc
 * @param {{ updateData?: any, mergePatch?: any }} payload of an UPDATE
 * @returns {Document | undefined} nothing if only the server can tell
 */
export declare function update(doc: Document, { updateData, mergePatch }: {
    updateData?: any;
    mergePatch?: any;
}): Document | undefined;
/**
 * The named fields of a document, and `_id`. A path reaches into the documents of an array.
 * @param {any} value
 * @param {string[]} fields
 * @returns {any}
 */
export declare function project(value: any, fields: string[]): any;
/**
 * Whether these fields contain all that a path leads to.
 * @param {string[]} fields
 * @param {string} path
 */
export declare const covers: (fields: string[], path: string) => boolean;
