// Values and documents as the server sees them: their order, which of them a filter matches, what an update makes of
// them. Pure functions. What is not known here is left to the server, and the answer is `undefined`.
//
// Documents may have any name, `__proto__` too: names are looked up with `hasOwn` and written by computed keys.

/** @typedef {Record<string, any>} Document */
/** @typedef {(doc: Document) => boolean} Matcher */
/** @typedef {(a: Document, b: Document) => number} Order */

/** Sorts before every value: what MongoDB makes of an empty array that is sorted by. */
const EMPTY = Symbol('empty array');
/** Thrown and caught in this file. */
const ONLY_THE_SERVER_KNOWS = Symbol('only the server knows');

/**
 * @param {any} value
 * @returns {value is Document}
 */
export const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

/**
 * @param {any} value
 * @param {string} name
 */
const field = (value, name) => (isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined);

/**
 * Whether a name on a path means an element of the array.
 * @param {any[]} items
 * @param {string} name
 */
const isIndex = (items, name) => Number(name) >= 0 && name in items;

/**
 * Values of different classes order by class: missing and null, numbers, strings, objects, arrays, booleans.
 * @param {any} value
 */
function classOf(value) {
  if (value === undefined || value === null) return 0;
  const kind = typeof value;
  if (kind === 'number') return 1;
  if (kind === 'string') return 2;
  if (kind === 'boolean') return 5;
  if (kind === 'symbol') return -1;
  return Array.isArray(value) ? 4 : 3;
}

/** @param {string} text */
const codePoints = (text) => Array.from(text, (character) => character.codePointAt(0));

/**
 * By code point, which is the order of UTF-8 bytes; `<` goes by UTF-16 units, which is the same below the surrogates.
 * @param {string} a
 * @param {string} b
 * @returns {number}
 */
function compareText(a, b) {
  if (a === b) return 0;
  if (/[\ud800-\uffff]/.test(a + b)) return compareLists(codePoints(a), codePoints(b), compare);
  return a < b ? -1 : 1;
}

/**
 * @template T
 * @param {T[]} a
 * @param {T[]} b
 * @param {(a: T, b: T) => number} compareItems
 */
function compareLists(a, b, compareItems) {
  for (let at = 0; at < a.length && at < b.length; at += 1) {
    const order = compareItems(a[at], b[at]);
    if (order) return order;
  }
  return a.length - b.length;
}

/**
 * Fields of objects compare by class, then name, then value.
 * @param {[string, any]} a
 * @param {[string, any]} b
 */
const compareFields = ([nameA, a], [nameB, b]) => classOf(a) - classOf(b) || compareText(nameA, nameB) || compare(a, b);

/**
 * MongoDB's order of values.
 * @param {any} a
 * @param {any} b
 * @returns {number} below, above or equal to 0
 */
export function compare(a, b) {
  const kind = classOf(a);
  const order = kind - classOf(b);
  if (order) return order;
  if (kind === 2) return compareText(a, b);
  if (kind === 3) return compareLists(Object.entries(a), Object.entries(b), compareFields);
  if (kind === 4) return compareLists(a, b, compare);
  return kind > 0 ? a - b : 0;
}

/**
 * What a document is sorted by: of an array its smallest element going up, its largest going down.
 * @param {any} value
 * @param {string[]} path
 * @param {number} direction
 * @returns {any}
 */
function sortValue(value, [name, ...rest], direction) {
  if (!Array.isArray(value)) return name === undefined ? value : sortField(value, name, rest, direction);
  if (isIndex(value, name)) {
    const item = value[Number(name)];
    if (rest.length) return sortValue(item, rest, direction);
    return Array.isArray(item) && !item.length ? EMPTY : item;
  }
  const values = name === undefined ? value : value.map((item) => sortField(item, name, rest, direction));
  if (!values.length) return name === undefined ? EMPTY : undefined;
  return values.reduce((least, item) => (direction * compare(item, least) < 0 ? item : least));
}

/**
 * @param {any} value
 * @param {string} name
 * @param {string[]} rest of the path
 * @param {number} direction
 */
function sortField(value, name, rest, direction) {
  const child = field(value, name);
  return rest.length || typeof child === 'object' ? sortValue(child, rest, direction) : child;
}

/**
 * The order of a query; equals order by `_id`.
 * @param {Record<string, 1 | -1>} sort
 * @returns {Order}
 */
export function orderBy(sort) {
  const keys = Object.entries({ ...sort, _id: sort._id ?? 1 }).map(([name, direction]) => {
    const path = name.split('.');
    return (/** @type {Document} */ a, /** @type {Document} */ b) =>
      direction * compare(sortKey(a, name, path, direction), sortKey(b, name, path, direction));
  });
  return (a, b) => {
    for (const compareKeys of keys) {
      const order = compareKeys(a, b);
      if (order) return order;
    }
    return 0;
  };
}

/**
 * @param {Document} doc
 * @param {string} name
 * @param {string[]} path the same, taken apart
 * @param {number} direction
 */
function sortKey(doc, name, path, direction) {
  const value = field(doc, name);
  // Most keys are plain values of plain names, and a sort asks for them a million times.
  return value === undefined || typeof value === 'object' ? sortValue(doc, path, direction) : value;
}

/**
 * The rows without some and with others, in their order, as a new array: nothing but those that come is sorted.
 * @param {Document[]} rows
 * @param {Set<Document>} gone
 * @param {Document[]} come
 * @param {Order} order
 */
export function rearrange(rows, gone, come, order) {
  const kept = gone.size ? rows.filter((row) => !gone.has(row)) : rows;
  const next = [];
  let from = 0;
  for (const row of come.sort(order)) {
    const to = placeOf(kept, row, order, from);
    while (from < to) next.push(kept[from++]);
    next.push(row);
  }
  while (from < kept.length) next.push(kept[from++]);
  return next;
}

/**
 * Where a row would stand in rows of this order.
 * @param {Document[]} rows
 * @param {Document} row
 * @param {Order} order
 * @param {number} from it does not stand before
 */
function placeOf(rows, row, order, from) {
  let to = rows.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (order(rows[middle], row) < 0) from = middle + 1;
    else to = middle;
  }
  return from;
}

/**
 * Whether some value that the path leads to passes; a missing one is `undefined`. Paths go into the documents of
 * arrays, and to an element by its index. At the end of a path the elements of an array pass for it, unless `whole`.
 * @param {any} value
 * @param {string[]} path
 * @param {(value: any) => boolean} passes
 * @param {boolean} [whole]
 * @returns {boolean}
 */
function leads(value, path, passes, whole) {
  if (!path.length) return (Array.isArray(value) && !whole && value.some((item) => passes(item))) || passes(value);
  const [name, ...rest] = path;
  if (!Array.isArray(value)) {
    const child = field(value, name);
    return child === undefined ? passes(undefined) : leads(child, rest, passes, whole);
  }
  if (value.some((item) => isObject(item) && leads(item, path, passes, whole))) return true;
  if (!isIndex(value, name)) return false;
  const item = value[Number(name)];
  if (!rest.length) return passes(item);
  return item !== null && typeof item === 'object' && leads(item, rest, passes, whole);
}

/** Which signs of a comparison are meant. @type {Record<string, number[]>} */
const relations = { $eq: [0], $gt: [1], $gte: [0, 1], $lt: [-1], $lte: [-1, 0] };

/**
 * @template T
 * @param {() => T} f
 * @returns {T | undefined} nothing if it cannot be told here
 */
function attempt(f) {
  try {
    return f();
  } catch {
    return undefined;
  }
}

/**
 * @param {string[]} path
 * @param {string} operator
 * @param {any} operand
 * @returns {Matcher}
 */
function clause(path, operator, operand) {
  /** @type {(matches: Matcher) => Matcher} */
  const not = (matches) => (doc) => !matches(doc);
  if (operator === '$ne') return not(clause(path, '$eq', operand));
  if (operator === '$nin') return not(clause(path, '$in', operand));
  if (operator === '$not') return not(condition(path, operand));
  if (operator === '$in') {
    const each = operand.map((/** @type {any} */ item) => clause(path, '$eq', item));
    return (doc) => each.some((/** @type {Matcher} */ matches) => matches(doc));
  }
  if (operator === '$exists') {
    return (doc) => leads(doc, path, (value) => value !== undefined, true) === Boolean(operand);
  }
  const signs = relations[operator];
  if (!signs) throw ONLY_THE_SERVER_KNOWS;
  /** @param {any} value */
  const passes = (value) => classOf(value) === classOf(operand) && signs.includes(Math.sign(compare(value, operand)));
  return (doc) => leads(doc, path, passes);
}

/**
 * @param {string[]} path
 * @param {any} operand
 * @returns {Matcher}
 */
function condition(path, operand) {
  const clauses = isOperators(operand) ? Object.entries(operand) : [['$eq', operand]];
  return every(clauses.map(([operator, value]) => clause(path, operator, value)));
}

/** @param {any} value */
const isOperators = (value) => isObject(value) && Object.keys(value)[0]?.[0] === '$';

/** @param {Matcher[]} matchers @returns {Matcher} */
const every = (matchers) => (doc) => matchers.every((matches) => matches(doc));

/**
 * @param {Document} filter
 * @param {string[]} paths gathers those that it asks
 * @returns {Matcher}
 */
function compile(filter, paths) {
  const parts = Object.entries(filter).map(([name, operand]) => {
    if (name[0] !== '$') {
      paths.push(name);
      return condition(name.split('.'), operand);
    }
    /** @type {Matcher[]} */
    const nodes = operand.map((/** @type {Document} */ node) => compile(node, paths));
    if (name === '$and') return every(nodes);
    if (name !== '$or' && name !== '$nor') throw ONLY_THE_SERVER_KNOWS;
    /** @type {Matcher} */
    const either = (doc) => nodes.some((matches) => matches(doc)) === (name === '$or');
    return either;
  });
  return every(parts);
}

/**
 * What judges documents by this filter, and the paths that it looks at; nothing if only the server can.
 * @param {Document} filter
 */
export const judgeOf = (filter) =>
  attempt(() => {
    /** @type {string[]} */
    const paths = [];
    return { matches: compile(filter, paths), paths };
  });

/**
 * A copy in which the value at a path is another; what has no value is taken away.
 * @param {any} value
 * @param {string[]} path
 * @param {(value: any) => any} change
 * @returns {any}
 */
function changeAt(value, path, change) {
  if (!path.length) return change(value);
  const [name, ...rest] = path;
  if (Array.isArray(value)) {
    if (!isIndex(value, name)) throw ONLY_THE_SERVER_KNOWS;
    const next = changeAt(value[Number(name)], rest, change);
    return value.with(Number(name), next ?? null);
  }
  if (value !== undefined && !isObject(value)) throw ONLY_THE_SERVER_KNOWS;
  const next = changeAt(field(value, name), rest, change);
  if (next !== undefined) return { ...value, [name]: next };
  if (value === undefined) return undefined;
  const { [name]: _, ...others } = value;
  return others;
}

/** @type {Record<string, (operand: any) => (value: any) => any>} */
const operators = {
  $set: (operand) => () => operand,
  $unset: () => () => undefined,
  $inc: (operand) => (value = 0) => {
    if (typeof value !== 'number') throw ONLY_THE_SERVER_KNOWS;
    return value + operand;
  },
};

/**
 * @param {any} target
 * @param {any} patch
 * @returns {any} RFC 7396
 */
function merge(target, patch) {
  if (!isObject(patch)) return patch;
  let merged = isObject(target) ? target : {};
  for (const [name, value] of Object.entries(patch)) {
    merged = changeAt(merged, [name], (old) => (value === null ? undefined : merge(old, value)));
  }
  return merged;
}

/**
 * @param {Document} doc
 * @param {{ updateData?: any, mergePatch?: any }} payload of an UPDATE
 * @returns {Document | undefined} nothing if only the server can tell
 */
export function update(doc, { updateData, mergePatch }) {
  if (mergePatch) return attempt(() => merge(doc, mergePatch));
  return attempt(() => {
    for (const [operator, paths] of Object.entries(isOperators(updateData) ? updateData : { $set: updateData })) {
      for (const [path, operand] of Object.entries(/** @type {object} */ (paths))) {
        doc = changeAt(doc, path.split('.'), operators[operator](operand));
      }
    }
    return doc;
  });
}

/**
 * The named fields of a document, and `_id`. A path reaches into the documents of an array.
 * @param {any} value
 * @param {string[]} fields
 * @returns {any}
 */
export function project(value, fields) {
  if (Array.isArray(value)) return value.map((item) => project(item, fields)).filter((item) => item !== undefined);
  if (!isObject(value)) return undefined;
  const kept = Object.entries(value).map(([name, child]) => {
    if (fields.includes(name)) return [name, child];
    const inside = fields.filter((path) => path.startsWith(`${name}.`)).map((path) => path.slice(name.length + 1));
    return [name, inside.length ? project(child, inside) : undefined];
  });
  return Object.fromEntries(kept.filter(([, child]) => child !== undefined));
}

/**
 * Whether these fields contain all that a path leads to.
 * @param {string[]} fields
 * @param {string} path
 */
export const covers = (fields, path) => fields.some((field) => `${path}.`.startsWith(`${field}.`));
