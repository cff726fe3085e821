/**
 * What is typed into a filter box: a filter of livelog in JSON, or the short form `status=open total > 10 title~^draft`
 * (conditions between spaces, with or without spaces in them; values are JSON where they can be, else text; a lone word
 * is an id). The manual's page of the console says the same to those who type.
 */
import { readJson } from './json_text.js';
import { escaped, hasUnseen } from './unseen.js';

const OPERATORS = {
  '=': undefined,
  '==': undefined,
  '!=': '$ne',
  '>': '$gt',
  '>=': '$gte',
  '<': '$lt',
  '<=': '$lte',
  '~': '$regex',
};
const CONDITION = /^([^=!<>~\s]+)(!=|>=|<=|==|=|>|<|~)(.*)$/s;
/** What has no place yet: a name whose sign is in the next part, a sign and no value, a sign and its value. */
const SIGN_FIRST = /^(?:!=|>=|<=|=|>|<|~)/;
const SIGN_LAST = /^[^=!<>~\s]+(?:!=|>=|<=|==|=|>|<|~)$/;

/**
 * @param {string} text
 * @returns {{ filter?: object, error?: string }}
 */
export function readFilter(text) {
  const typed = text.trim();
  if (typed === '') return { filter: {} };
  if (!typed.startsWith('{')) return readShort(typed);
  const { value, error } = readJson(typed);
  return error === undefined ? { filter: value } : { error };
}

/**
 * The same filter with every character to be seen: as JSON, where it has some that are not, and would read as another.
 *
 * @param {string} text
 */
export function seenFilter(text) {
  if (!hasUnseen(text)) return text;
  const { filter } = readFilter(text);
  return escaped(filter ? JSON.stringify(filter) : text);
}

function readShort(text) {
  const parts = joined(split(text));
  const unfinished = parts.map(whatLacks).find((error) => error !== undefined);
  if (unfinished) return { error: unfinished };
  if (parts.length === 1 && !CONDITION.test(parts[0])) return readId(parts[0]);
  const conditions = [];
  for (const [index, part] of parts.entries()) {
    const condition = CONDITION.exec(part);
    if (!condition) return { error: whyNot(part, index, parts) };
    conditions.push(conditionOf(condition));
  }
  return { filter: merged(conditions) };
}

/** An id has a letter or a digit, or quotes around it: signs alone are a condition that is not whole yet, or a slip. */
function readId(part) {
  if (/[\p{L}\p{N}]/u.test(part) || isQuoted(part)) return { filter: { _id: unquoted(part) } };
  return { error: `“${part}” is no condition: write name=value, or "${part}" in quotes if it is an id` };
}

/** What is still to be typed of a condition, or of an id. */
function whatLacks(part) {
  const [, path, sign, value] = CONDITION.exec(part) ?? [];
  if (SIGN_FIRST.test(part)) return `“${part}” begins with a sign: write the name of a field before it`;
  if (value === '') return `${path}${sign} has no value yet: for an empty text write ${path}${sign}""`;
  const written = value ?? part;
  if (written.startsWith('"') && !isQuoted(written)) return `“${written}” is to be one text between two quotes`;
  return undefined;
}

function isQuoted(written) {
  return written.startsWith('"') && typeof valueOf(written) === 'string' && valueOf(written) !== written;
}

/** Parts between spaces, where `"…"` holds a part together. */
function split(text) {
  return text.match(/(?:"(?:\\.|[^"\\])*"|\S)+/g) ?? [];
}

/** The same, with the spaces taken away that stand around a sign: `title = x` is `title=x`. */
function joined(parts) {
  const whole = [];
  for (const part of parts) {
    const last = whole.at(-1);
    const goesOn =
      last !== undefined &&
      ((SIGN_FIRST.test(part) && !CONDITION.test(last)) || (SIGN_LAST.test(last) && !CONDITION.test(part)));
    if (goesOn) whole[whole.length - 1] = last + part;
    else whole.push(part);
  }
  return whole;
}

/** Words of other query languages and two words after a sign are the commonest slips, and have answers of their own. */
function whyNot(part, index, parts) {
  const word = part.toLowerCase();
  if (word === 'and' || word === '&&') return `all conditions have to fit as it is: leave “${part}” out`;
  if (word === 'or' || word === '||') return `“${part}” has no short form: write ${eitherOf(parts, word)}`;
  const [, path, sign, value] = CONDITION.exec(parts[index - 1] ?? '') ?? [];
  if (value && !value.endsWith('"'))
    return `“${part}” is no condition: if it belongs to the value, write ${path}${sign}"${value} ${part}"`;
  return `“${part}” is no condition: write name=value, name>value, name~pattern, or a filter in JSON`;
}

/** The filter in JSON for conditions with a word between them; an example of one where they are not whole. */
function eitherOf(parts, word) {
  const written = parts.filter((part) => part.toLowerCase() !== word).map((part) => CONDITION.exec(part));
  const isWhole = parts.length % 2 === 1 && written.length === (parts.length + 1) / 2 && written.every(Boolean);
  const choices = isWhole ? written.map((condition) => merged([conditionOf(condition)])) : [{ a: 1 }, { b: 2 }];
  return JSON.stringify({ $or: choices });
}

function conditionOf([, path, sign, written]) {
  const operator = OPERATORS[sign];
  const value = operator === '$regex' ? unquoted(written) : valueOf(written);
  return [path, operator ? { [operator]: value } : value];
}

function unquoted(written) {
  const value = valueOf(written);
  return typeof value === 'string' ? value : written;
}

function valueOf(written) {
  try {
    return JSON.parse(written);
  } catch {
    return written;
  }
}

/** One object, or `$and` where a name is asked about twice. */
function merged(conditions) {
  const names = new Set(conditions.map(([path]) => path));
  if (names.size === conditions.length) return Object.fromEntries(conditions);
  return { $and: conditions.map((condition) => Object.fromEntries([condition])) };
}
