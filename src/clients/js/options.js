// What the calls of a client take. All else is refused before anything is done: a name that is misspelt would leave out
// what was meant, and a write would lose its condition or a query its filter. What is taken is copied as JSON has it, so
// that what its caller changes later changes nothing here, and everybody judges the same values.

import { covers, isObject } from './documents.js';
import { invalid } from './errors.js';

/** By call, the names that it knows. */
const CALLS = {
  connect: 'token role persist name WebSocket fetch onConflict onLost',
  authenticate: 'token role',
  query: 'filter sort limit fields optimistic window count',
  fetch: 'filter sort limit count fields cursor at minSeq',
  get: 'fields at minSeq',
  history: 'order after limit fields minSeq',
  changes: 'filter fields after epoch',
  command: 'type payload',
  create: 'commandId optimistic',
  batch: 'commandId optimistic',
  write: 'commandId optimistic expectedVersion',
  remove: 'commandId optimistic expectedVersion',
  restore: 'commandId optimistic expectedVersion',
  update: 'commandId optimistic expectedVersion merge',
  'batch.create': '',
  'batch.remove': 'expectedVersion',
  'batch.restore': 'expectedVersion',
  'batch.update': 'expectedVersion merge',
};

/** @typedef {keyof typeof CALLS} Call */
/** @typedef {(value: any) => boolean} Test */

/** @type {(type: string) => Test} */
const isA = (type) => (value) => typeof value === type;
const isText = isA('string');
const isFunction = isA('function');
/** @type {Test} */
export const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
/** Of a class or a Map JSON keeps less than there is. @type {Test} */
const isPlain = (value) => isObject(value) && !Object.getPrototypeOf(Object.getPrototypeOf(value) ?? {});
/** @type {Test} */
const isSorting = (value) => isPlain(value) && Object.values(value).every((to) => to === 1 || to === -1);
/** @type {(words: string) => Test} */
const isOneOf = (words) => (value) => words.split(' ').includes(value);

/**
 * Names of options with what they have to be: in words, and tests of which one holds.
 * @type {[string, string, ...Test[]][]}
 */
const KINDS = [
  ['commandId cursor epoch name role', 'a string', isText],
  ['after expectedVersion limit minSeq', 'a number from 0', isCount],
  ['count merge optimistic window', 'true or false', isA('boolean')],
  ['WebSocket fetch onConflict onLost', 'a function', isFunction],
  ['token', 'a string or a function', isText, isFunction],
  ['at', 'a seq or a time', isText, isCount],
  ['fields', 'a list of strings', (value) => Array.isArray(value) && value.every(isText)],
  ['filter payload', 'a plain object', isPlain],
  ['type', 'CREATE, UPDATE, DELETE, RESTORE or BATCH', isOneOf('CREATE UPDATE DELETE RESTORE BATCH')],
  ['sort', 'an object with 1 or -1', isSorting],
  ['persist', 'memory or indexeddb', isOneOf('memory indexeddb')],
  ['order', 'newest or oldest', isOneOf('newest oldest')],
];

/** By name, which of them. @type {Record<string, [string, ...Test[]]>} */
const RULES = Object.fromEntries(KINDS.flatMap(([names, ...rule]) => names.split(' ').map((name) => [name, rule])));

/** Levels of nesting, of which the server reads fewer, and what contains itself has no end of. */
const DEPTH_MAX = 100;

/**
 * A copy as JSON has it. What JSON would lose or make another value of is refused: all but members that are `undefined`,
 * and those in a filter too, which would see more without them.
 * @param {any} value
 * @param {string} path
 * @param {string} [where]
 * @param {number} [depth]
 * @returns {any}
 */
export function copyOf(value, path, where = path, depth = 0) {
  // JSON has null for a date that is none.
  const json = isFunction(value?.toJSON) ? (value.toJSON() ?? undefined) : value;
  if (json === null || isText(json) || typeof json === 'boolean' || Number.isFinite(json)) return json;
  /** @param {any} item @param {string | number} name */
  const inside = (item, name) => copyOf(item, path, `${where}.${name}`, depth + 1);
  if (depth < DEPTH_MAX && Array.isArray(json)) return Array.from(json, inside);
  if (depth < DEPTH_MAX && isPlain(json)) {
    const kept = Object.entries(json).filter(([, item]) => item !== undefined || path === 'filter');
    return Object.fromEntries(kept.map(([name, item]) => [name, inside(item, name)]));
  }
  throw invalid(path, `${where.slice(0, 200)} is nothing that JSON keeps as it is`);
}

/**
 * A copy of a command, if it is one.
 * @param {any} command
 * @returns {import('./edits.js').Command}
 */
export const commandOf = (command) => check('command', { type: undefined, payload: undefined, ...command });

/**
 * Refuses what a call does not take. What is `undefined` counts as left out, but of a command.
 * @param {Call} call
 * @param {any} [options]
 * @returns {any} a copy of the options
 */
export function check(call, options = {}) {
  if (!isPlain(options)) throw invalid('options', `the options of ${call} are an object`);
  const known = CALLS[call];
  const checked = { ...options };
  for (const [name, value] of Object.entries(options)) {
    if (!isOneOf(known)(name)) throw invalid(name, `${call} takes no ${name}, but ${known || 'nothing'}`);
    const [kind, ...tests] = RULES[name];
    const isWrong = !tests.some((test) => test(value));
    if (isWrong && (value !== undefined || call === 'command')) throw invalid(name, `${name} of ${call} is ${kind}`);
    if (isA('object')(value)) checked[name] = copyOf(value, name);
  }
  return checked;
}

/**
 * The fields with those that are sorted by. No path may lead into another.
 * @param {string[]} fields
 * @param {Record<string, 1 | -1>} sort
 */
export function withSorted(fields, sort) {
  const all = [...new Set([...fields, ...Object.keys(sort)])];
  return all.filter((path) => !covers(all.filter((other) => other !== path), path));
}

/** The server's bound on one message. */
const MESSAGE_BYTES_MAX = 256 * 1024;

/** @param {string} text */
export const isTooLarge = (text) => new TextEncoder().encode(text).length > MESSAGE_BYTES_MAX;
