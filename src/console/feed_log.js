/**
 * The newest changes, bounded in number and in size, each with what its event was before where that is known. It knows
 * nothing of the page.
 */
import { told } from './diff.js';

const ENTRIES_MAX = 2000;
/** Estimated letters of documents: some tens of MiB of memory, however large each is. */
const WEIGHT_MAX = 16 * 1024 * 1024;
const RATE_MS = 2000;

/**
 * @typedef {import('./diff.js').Difference} Difference
 * @typedef {{ change: any, before: any, differences: Difference[], weight: number, number: number }} Entry
 */

export class FeedLog {
  /** Oldest first. @type {Entry[]} */
  #entries = [];
  #start = 0;
  #weight = 0;
  #known = new Map();
  #arrivals = [];
  /** How many there ever were. */
  total = 0;

  /** `isNews`: it happened just now, and counts for the rate. */
  push(change, isNews = true, now = performance.now()) {
    const before = this.#known.get(change.eventId);
    const weight = weigh(change.data);
    this.total += 1;
    this.#entries.push({ change, before, differences: told(change, before), weight, number: this.total });
    this.#weight += weight;
    this.#remember(change);
    this.#shed();
    if (isNews) this.#count(now);
  }

  get length() {
    return this.#entries.length - this.#start;
  }

  /** Newest first: 0 is the newest. */
  at(index) {
    return this.#entries[this.#entries.length - 1 - index];
  }

  /** What is known of the change at this seq; `undefined` if the feed has not heard it, or has forgotten it. */
  find(seq) {
    return this.#entries.findLast((entry) => entry?.change.seq === seq && entry.change.kind !== 'reset');
  }

  /** What is there now, newest first, for a feed that is paused. */
  copy() {
    return this.#entries.slice(this.#start).reverse();
  }

  /** Changes a second, lately. */
  rate(now = performance.now()) {
    this.#forget(now);
    const heard = this.#arrivals.reduce((sum, { count }) => sum + count, 0);
    return heard / (RATE_MS / 1000);
  }

  clear() {
    this.#entries = [];
    this.#start = 0;
    this.#weight = 0;
    this.#known.clear();
  }

  #remember(change) {
    // Another log may have the same ids.
    if (change.kind === 'reset') return this.#known.clear();
    this.#known.delete(change.eventId);
    if (change.kind === 'delete' || change.data === undefined) return undefined;
    this.#known.set(change.eventId, change.data);
    if (this.#known.size > ENTRIES_MAX) this.#known.delete(this.#known.keys().next().value);
    return undefined;
  }

  /** Moves the start on, and cuts off what is before it now and then: a `shift` for each change would move them all. */
  #shed() {
    while (this.length > ENTRIES_MAX || (this.#weight > WEIGHT_MAX && this.length > 1)) {
      const oldest = this.#entries[this.#start];
      this.#weight -= oldest.weight;
      if (this.#known.get(oldest.change.eventId) === oldest.change.data) this.#known.delete(oldest.change.eventId);
      this.#entries[this.#start] = undefined;
      this.#start += 1;
    }
    if (this.#start < ENTRIES_MAX) return;
    this.#entries = this.#entries.slice(this.#start);
    this.#start = 0;
  }

  /** Arrivals of the same hundredth of a second are counted as one. */
  #count(now) {
    const at = Math.floor(now / 10);
    const last = this.#arrivals.at(-1);
    if (last?.at === at) last.count += 1;
    else this.#arrivals.push({ at, count: 1 });
    if (this.#arrivals.length > RATE_MS / 5) this.#forget(now);
  }

  #forget(now) {
    const oldest = (now - RATE_MS) / 10;
    this.#arrivals = this.#arrivals.filter(({ at }) => at >= oldest);
  }
}

/** About how many letters a value has as JSON; stops counting at what one entry can be at most. */
function weigh(value, room = WEIGHT_MAX) {
  if (typeof value === 'string') return value.length + 2;
  if (typeof value !== 'object' || value === null) return 6;
  let weight = 2;
  for (const name in value) {
    weight += name.length + weigh(value[name], room - weight);
    if (weight > room) break;
  }
  return weight;
}
