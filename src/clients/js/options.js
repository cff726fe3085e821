// What the calls of a client take. All else is refused before anything is done: a name that is misspelt would leave out
// what was meant, and a write would lose its condition or a query its filter.

import { LivelogError } from './connection.js';
import { isObject } from './documents.js';

/** By call, the names that it knows. */
const CALLS = {
  connect: 'token persist name WebSocket fetch onConflict onLost',
  query: 'filter sort limit fields optimistic',
  fetch: 'filter sort limit fields cursor at minSeq',
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
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
/** @type {Test} */
const isSorting = (value) => isObject(value) && Object.values(value).every((to) => to === 1 || to === -1);
/** @type {(words: string) => Test} */
const isOneOf = (words) => (value) => words.split(' ').includes(value);
/**
 * JSON leaves out `undefined` and makes null of NaN: the filter would be another one, and often see everything.
 * @type {Test}
 */
const isJson = (value) =>
  typeof value === 'object' && value
    ? Object.values(value).every(isJson)
    : value === null || !/^(null|undefined)$/.test(JSON.stringify(value));

/**
 * Names of options with what they have to be: in words, and tests of which one holds.
 * @type {[string, string, ...Test[]][]}
 */
const KINDS = [
  ['commandId cursor epoch name', 'a string', isText],
  ['after expectedVersion limit minSeq', 'a number from 0', isCount],
  ['merge optimistic', 'true or false', isA('boolean')],
  ['WebSocket fetch onConflict onLost', 'a function', isFunction],
  ['token', 'a string or a function', isText, isFunction],
  ['at', 'a seq or a time', isText, isCount],
  ['fields', 'a list of strings', (value) => Array.isArray(value) && value.every(isText)],
  ['filter', 'an object without undefined or NaN', (value) => isObject(value) && isJson(value)],
  ['sort', 'an object with 1 or -1', isSorting],
  ['persist', 'memory or indexeddb', isOneOf('memory indexeddb')],
  ['order', 'newest or oldest', isOneOf('newest oldest')],
];

/**
 * @param {string} path
 * @param {string} message
 */
export const invalid = (path, message) => new LivelogError({ code: 'invalid_option', message, path });

/**
 * Refuses what a call does not take. What is `undefined` counts as left out.
 * @param {Call} call
 * @param {any} [options]
 * @returns {any} the options
 */
export function check(call, options = {}) {
  if (!isObject(options)) throw invalid('options', `the options of ${call} are an object`);
  const known = CALLS[call];
  for (const [name, value] of Object.entries(options)) {
    if (!isOneOf(known)(name)) throw invalid(name, `${call} takes no ${name}, but ${known || 'nothing'}`);
    for (const [names, kind, ...tests] of KINDS) {
      const isWrong = isOneOf(names)(name) && !tests.some((test) => test(value));
      if (isWrong && value !== undefined) throw invalid(name, `${name} of ${call} is ${kind}`);
    }
  }
  return options;
}
