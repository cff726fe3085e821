/** Which columns a table of documents has, from a sample of them, and how a value stands in its cell. */
import { PROJECTION_FIELDS_MAX } from './bounds.js';
import { isPlain, valueAt } from './diff.js';
import { brief, scalar, when } from './format.js';

const OWN_MAX = 5;
/** Columns that come without being asked for, with those that were there before. */
const GROWN_MAX = 10;
const OFFERED_MAX = 60;
/** With what they are sorted by and the time of their last change, as many fields as one may ask for. */
const NAMED_MAX = PROJECTION_FIELDS_MAX - 2;
const SYSTEM = ['_id', '_version', '_seq', '_createdAt', '_updatedAt'];
const TIMES = new Set(['_createdAt', '_updatedAt']);
const WIDTHS = {
  number: '11ch',
  boolean: '9ch',
  time: '16ch',
  id: 'minmax(14ch, 1.2fr)',
  short: 'minmax(13ch, 1fr)',
  long: 'minmax(16ch, 2.4fr)',
};
const LEAST = { number: 11, boolean: 9, time: 16, id: 14, short: 13, long: 16 };

/** @typedef {{ path: string, kind: keyof typeof WIDTHS }} Column */

/**
 * The columns to show: the id, the fields that most of the sample have, and when it changed last.
 *
 * @returns {Column[]}
 */
export function chooseColumns(sample) {
  const own = [...seen(sample, 1).entries()].sort(([, one], [, other]) => other - one).slice(0, OWN_MAX);
  return columnsOf(['_id', ...own.map(([path]) => path), '_updatedAt'], sample);
}

/**
 * The columns that there were, each as wide as it was, and of another sample those that fit beside them: what is shown
 * stays, however the data change.
 *
 * @param {Column[]} before
 */
export function growColumns(before, sample) {
  if (before.length === 0) return chooseColumns(sample);
  const known = new Set(before.map(({ path }) => path));
  const room = GROWN_MAX - before.length;
  const grown = chooseColumns(sample)
    .filter(({ path }) => !known.has(path))
    .slice(0, Math.max(0, room));
  const end = before.findIndex(({ path }) => path === '_updatedAt');
  return end < 0 ? [...before, ...grown] : before.toSpliced(end, 0, ...grown);
}

/** How many of these columns have room in so many letters: whole ones only, and at least the first. */
export function fitting(columns, letters) {
  let count = columns.length;
  while (count > 1 && lettersOf(columns.slice(0, count)) > letters) count -= 1;
  return count;
}

export function columnsOf(paths, sample) {
  return paths.map((path) => ({ path, kind: kindOf(path, sample) }));
}

/** The paths that an address names, each once, without those that can be no field. */
export function namedPaths(text) {
  return [...new Set(text.split(','))].filter(isPath).slice(0, NAMED_MAX);
}

function isPath(text) {
  return text.split('.').every((name) => name !== '' && !name.startsWith('$'));
}

/** Every path that may be a column, those of the server first. */
export function offeredPaths(sample) {
  return [...SYSTEM, ...[...seen(sample, 2).keys()].slice(0, OFFERED_MAX)];
}

/** The template of a grid with these columns. */
export function widths(columns) {
  return columns.map(({ kind }) => WIDTHS[kind]).join(' ');
}

/** How wide they are at least; where there is less room the table scrolls sideways. */
export function least(columns) {
  return `${lettersOf(columns)}ch`;
}

function lettersOf(columns) {
  return columns.reduce((sum, { kind }) => sum + LEAST[kind], 5);
}

/** What to ask the server for: no path within another. */
export function fieldsOf(columns) {
  const paths = [...new Set([...columns.map(({ path }) => path), '_updatedAt'])];
  return paths.filter((path) => !paths.some((other) => path.startsWith(`${other}.`)));
}

/** How often each path is there, in the order in which they are met. */
function seen(sample, depth) {
  const counts = new Map();
  const walk = (object, prefix, left) => {
    for (const name of Object.keys(object)) {
      if (prefix === '' && name.startsWith('_')) continue;
      const path = prefix + name;
      counts.set(path, (counts.get(path) ?? 0) + 1);
      if (left > 1 && isPlain(object[name])) walk(object[name], `${path}.`, left - 1);
    }
  };
  for (const document of sample) walk(document, '', depth);
  return counts;
}

function kindOf(path, sample) {
  if (path === '_id') return 'id';
  if (TIMES.has(path)) return 'time';
  if (SYSTEM.includes(path)) return 'number';
  const values = sample
    .map((document) => valueAt(document, path))
    .filter((value) => value !== undefined && value !== null);
  if (values.length > 0 && values.every((value) => typeof value === 'number')) return 'number';
  if (values.length > 0 && values.every((value) => typeof value === 'boolean')) return 'boolean';
  const lengths = values.map((value) => brief(value, 60).length);
  const mean = lengths.reduce((sum, length) => sum + length, 0) / Math.max(1, lengths.length);
  return mean > 18 ? 'long' : 'short';
}

/** A cell's text, and a class that says what it is. */
export function cellOf(event, { path }) {
  const value = valueAt(event, path);
  if (value === undefined) return { text: '', kind: 'missing' };
  if (TIMES.has(path)) return { text: when(value), kind: 'time' };
  if (typeof value === 'string') return { text: brief(value, 200), kind: path === '_id' ? 'id' : 'string' };
  if (value === null) return { text: 'null', kind: 'null' };
  if (typeof value === 'object') return { text: brief(value, 200), kind: 'compound' };
  return { text: scalar(value), kind: typeof value };
}
