/**
 * What is typed into a filter box: a filter of livelog in JSON, or the short form `status=open total > 10 title~^draft`
 * (conditions between spaces, with or without spaces in them; values are JSON where they can be, else text; a lone word
 * is an id). The manual's page of the console says the same to those who type.
 */
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
  return typed.startsWith('{') ? readJson(typed) : readShort(typed);
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

function readJson(text) {
  try {
    return { filter: JSON.parse(text) };
  } catch (error) {
    return { error: jsonError(error, text) };
  }
}

/** What is wrong with a text that should be JSON, with line and column where the browser says where. */
export function jsonError(error, text) {
  const said = String(error.message).replace(/^JSON\.parse: /, '');
  const position = /position (\d+)/.exec(said);
  if (!position) return `this is not JSON yet: ${said}`;
  const before = text.slice(0, Number(position[1])).split('\n');
  const place =
    before.length > 1 ? `line ${before.length}, column ${before.at(-1).length + 1}` : `column ${before[0].length + 1}`;
  return `this is not JSON yet, at ${place}: ${said.replace(/ (in JSON )?at position.*$/, '')}`;
}

function readShort(text) {
  const parts = joined(split(text));
  if (parts.length === 1 && !CONDITION.test(parts[0])) return { filter: { _id: unquoted(parts[0]) } };
  const conditions = [];
  for (const [index, part] of parts.entries()) {
    const condition = CONDITION.exec(part);
    if (!condition) return { error: whyNot(part, parts[index - 1]) };
    conditions.push(conditionOf(condition));
  }
  return { filter: merged(conditions) };
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

/** Two words after a sign are the commonest slip, and have an answer of their own. */
function whyNot(part, before) {
  const [, path, sign, value] = CONDITION.exec(before ?? '') ?? [];
  if (value && !value.endsWith('"'))
    return `“${part}” is no condition: if it belongs to the value, write ${path}${sign}"${value} ${part}"`;
  return `“${part}” is no condition: write name=value, name>value, name~pattern, or a filter in JSON`;
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
