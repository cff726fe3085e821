/**
 * What is typed into a filter box: a filter of livelog in JSON, or the short form `status=open total>10 title~^draft`
 * (conditions between spaces; values are JSON where they can be, else text; a lone word is an id).
 */

const OPERATORS = { '=': undefined, '!=': '$ne', '>': '$gt', '>=': '$gte', '<': '$lt', '<=': '$lte', '~': '$regex' };
const CONDITION = /^([^=!<>~\s]+)(!=|>=|<=|=|>|<|~)(.*)$/s;

/**
 * @param {string} text
 * @returns {{ filter?: object, error?: string }}
 */
export function readFilter(text) {
  const typed = text.trim();
  if (typed === '') return { filter: {} };
  return typed.startsWith('{') ? readJson(typed) : readShort(typed);
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
  const parts = split(text);
  if (parts.length === 1 && !CONDITION.test(parts[0])) return { filter: { _id: parts[0] } };
  const conditions = [];
  for (const part of parts) {
    const condition = CONDITION.exec(part);
    if (!condition)
      return { error: `“${part}” is no condition: write name=value, name>value, name~pattern, or a filter in JSON` };
    conditions.push(conditionOf(condition));
  }
  return { filter: merged(conditions) };
}

/** Parts between spaces, where `"…"` holds a part together. */
function split(text) {
  return text.match(/(?:"(?:\\.|[^"\\])*"|\S)+/g) ?? [];
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
