/** Differences as a table: what was, and what is. */
import { h } from './dom.js';
import { leaf } from './tree.js';

/** @param {import('./diff.js').Difference[]} list */
export function differenceTable(
  list,
  { before = 'Before', after = 'After', none = 'Nothing differs.', label = 'Differences' } = {},
) {
  if (list.length === 0) return h('p', { class: 'faint' }, none);
  const rows = list.map(row);
  const head = h(
    'tr',
    null,
    ['Field', before, after].map((name) => h('th', { scope: 'col' }, name)),
  );
  return h(
    'div',
    { class: 'scroll-x', tabindex: '0', role: 'group', 'aria-label': label },
    h('table', { class: 'differences' }, h('thead', null, head), h('tbody', null, rows)),
  );
}

function row(difference) {
  const kind = 'after' in difference ? ('before' in difference ? 'changed' : 'set') : 'unset';
  return h(
    'tr',
    { class: kind },
    h('th', { scope: 'row' }, difference.path),
    h('td', null, side(difference, 'before', 'del')),
    h('td', null, side(difference, 'after', 'ins')),
  );
}

function side(difference, name, tag) {
  if (!(name in difference)) return h('span', { class: 'faint' }, name === 'after' ? 'unset' : '–');
  return h(tag, null, leaf(difference[name]));
}
