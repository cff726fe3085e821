/**
 * A JSON document to read and unfold. What is far down, long or much is cut until it is opened, so that a document of a
 * megabyte costs no more than one of a kilobyte.
 */
import { h, say } from './dom.js';
import { brief, bytes, scalar } from './format.js';

const LETTERS_SHOWN = 4096;
const STRING_SHOWN = 240;
const CHILDREN_SHOWN = 100;
const DEPTH_SHOWN = 3;

/** @param {object} document */
export function tree(document, { label = 'Document' } = {}) {
  const budget = { left: LETTERS_SHOWN };
  return h('div', { class: 'tree', role: 'group', 'aria-label': label }, children(document, budget, 0));
}

function children(value, budget, depth, from = 0) {
  const names = Object.keys(value);
  const shown = names.slice(from, from + CHILDREN_SHOWN).map((name) => node(name, value[name], budget, depth));
  const left = names.length - from - shown.length;
  if (left > 0) shown.push(more(value, left, budget, depth, from + CHILDREN_SHOWN));
  if (names.length === 0)
    return [h('div', { class: 'tree-line faint' }, Array.isArray(value) ? 'an empty list' : 'no fields')];
  return shown;
}

function more(value, left, budget, depth, from) {
  const button = h('button', { class: 'quiet', type: 'button' }, `${left} more`);
  button.addEventListener('click', () => button.replaceWith(...children(value, { left: LETTERS_SHOWN }, depth, from)));
  return button;
}

function node(name, value, budget, depth) {
  budget.left -= name.length + 4;
  if (typeof value === 'object' && value !== null) return branch(name, value, budget, depth);
  budget.left -= typeof value === 'string' ? Math.min(value.length, STRING_SHOWN) : 6;
  return h('div', { class: 'tree-line' }, h('span', { class: 'tree-name' }, name), leaf(value));
}

/** Its children are made when it is opened for the first time. */
function branch(name, value, budget, depth) {
  const size = Object.keys(value).length;
  const kind = Array.isArray(value) ? `[${size}]` : `{${size}}`;
  const summary = h(
    'summary',
    null,
    h('span', { class: 'tree-name' }, name),
    h('span', { class: 'tree-kind' }, kind),
    h('span', { class: 'tree-brief' }, brief(value, 80)),
  );
  const details = h('details', { class: 'tree-branch' }, summary);
  let made = false;
  const make = (budget) => {
    made = true;
    details.append(h('div', { class: 'tree-children' }, children(value, budget, depth + 1)));
  };
  details.addEventListener('toggle', () => details.open && !made && make({ left: LETTERS_SHOWN }));
  if (depth < DEPTH_SHOWN && size <= CHILDREN_SHOWN && budget.left > 0) {
    make(budget);
    details.open = true;
  }
  return details;
}

/** A value in one place: a scalar as it is, a long text cut until it is asked for, anything else in brief. */
export function leaf(value) {
  if (typeof value === 'string') return string(value);
  if (typeof value === 'object' && value !== null) return compound(value);
  return h('span', { class: `value ${value === null ? 'null' : typeof value}` }, scalar(value));
}

function string(value) {
  const whole = JSON.stringify(value);
  if (value.length <= STRING_SHOWN) return h('span', { class: 'value string' }, whole);
  return cut(`${JSON.stringify(value.slice(0, STRING_SHOWN)).slice(0, -1)}…`, () => whole, value.length);
}

function compound(value) {
  const text = brief(value, STRING_SHOWN);
  if (!text.endsWith('…')) return h('span', { class: 'value' }, text);
  return cut(text, () => JSON.stringify(value, null, 2));
}

function cut(short, whole, length) {
  const text = h('span', { class: 'value string' }, short);
  const button = h('button', { class: 'quiet', type: 'button' }, length ? `all ${bytes(length)}` : 'all of it');
  button.addEventListener('click', () => {
    say(text, whole());
    button.remove();
  });
  return h('span', { class: 'cut' }, text, button);
}
