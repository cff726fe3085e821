/**
 * Where a table's rows come from: a live result of the client, or pages that are read as one scrolls (of the past, and
 * of more events than a page should hold). Both have `rows`, `note`, `error`, `more()` and `close()`, and call `changed`.
 */
import { many } from './format.js';
import { countUpTo } from './rest.js';

/** Events that a live table holds at most: some 50 MiB of memory. Beyond it pages are read. */
export const LIVE_ROWS_MAX = 100_000;
const PAGE_ROWS = 200;

/** @typedef {{ filter: object, sort: Record<string, 1 | -1>, fields?: string[], at?: number }} Query */

export class LiveSource {
  #query;
  #first;
  #stop;

  /** `first`: rows to show until the whole result is here. */
  constructor(db, { filter, sort, fields }, first, changed) {
    this.#first = first;
    this.#query = db.query({ filter, sort, fields });
    this.#stop = this.#query.subscribe(changed);
  }

  get rows() {
    return this.#query.ready ? this.#query.get() : this.#first;
  }

  get error() {
    return this.#query.error;
  }

  get live() {
    return this.#query.ready;
  }

  get note() {
    if (this.#query.error) return 'not live';
    return this.#query.ready ? many(this.rows.length, 'event') : 'reading …';
  }

  more() {}

  close() {
    this.#stop();
    this.#query.close();
  }
}

export class PageSource {
  #db;
  #query;
  #changed;
  #next;
  #busy = false;
  #closed = false;
  live = false;
  error = undefined;

  /** `begin`: the first page, which was read before. */
  constructor(db, query, begin, changed) {
    this.#db = db;
    this.#query = query;
    this.#changed = changed;
    this.rows = begin.data;
    this.#next = begin.next;
    this.seq = begin.seq;
  }

  get note() {
    if (this.#next === undefined) return many(this.rows.length, 'event');
    return `the first ${many(this.rows.length, 'event')}, more as you scroll`;
  }

  async more() {
    if (this.#busy || this.#closed || this.#next === undefined) return;
    this.#busy = true;
    try {
      const { filter, sort, fields } = this.#query;
      const at = this.#query.at === undefined ? undefined : this.seq;
      const page = await this.#db.fetch({ filter, sort, fields, at, cursor: this.#next, limit: PAGE_ROWS });
      this.rows = [...this.rows, ...page.data];
      this.#next = page.next;
    } catch (error) {
      this.error = error;
    }
    this.#busy = false;
    if (!this.#closed) this.#changed();
  }

  close() {
    this.#closed = true;
  }
}

/** A clock may go so much behind the server's. */
const CLOCKS_DIFFER_MS = 60_000;

/** What an address means by a moment: a seq, or a time that only the server can judge. A `+` in it came as a space. */
export function readAt(text) {
  if (text === undefined) return undefined;
  return /^\d+$/.test(text) ? Number(text) : text.replace(/ (\d\d:\d\d)$/, '+$1');
}

/** Says why the events as of there cannot be told: what has not happened yet is not waited for. */
export async function whyNotYet(db, at) {
  if (at === undefined || at <= (db.seq ?? 0)) return undefined;
  if (typeof at === 'string') return isAhead(at) ? `${at} is still to come.` : undefined;
  const { seq } = await db.fetch({ limit: 1, fields: ['_id'] });
  return at > seq ? `Seq ${at} is still to come: the log ends at ${seq} now.` : undefined;
}

function isAhead(time) {
  return /^\d{4}-/.test(time) && Date.parse(time) > Date.now() + CLOCKS_DIFFER_MS;
}

/** The first page of a query, from which the columns are chosen too. */
export function firstPage(db, { filter, sort, at }) {
  return db.fetch({ filter, sort, at, limit: PAGE_ROWS });
}

/** Whether a filter sees few enough events for a live table. The log's length is a bound of it that costs nothing. */
export async function fewEnough(filter, seq) {
  if (seq <= LIVE_ROWS_MAX) return true;
  return (await countUpTo(filter, LIVE_ROWS_MAX + 1)) <= LIVE_ROWS_MAX;
}
