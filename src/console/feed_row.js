/** How a change is drawn in the feed. */
import { fill, h, say } from './dom.js';
import { brief, briefFields, clock } from './format.js';
import { nameOf } from './session.js';

const SHOWN_DIFFERENCES = 3;

/** What each kind is called, and the letter that says it without colour. */
export const KINDS = { create: 'C', update: 'U', delete: 'D', enter: 'E', leave: 'L', reset: 'R' };

/** A kind as a letter and a word. */
export function badge(kind) {
  const element = h(
    'span',
    { class: 'badge' },
    h('span', { class: 'badge-letter', 'aria-hidden': 'true' }),
    h('span', { class: 'badge-word' }),
  );
  return nameBadge(element, kind);
}

function nameBadge(element, kind) {
  element.dataset.kind = kind;
  say(element.firstElementChild, KINDS[kind] ?? '?');
  say(element.lastElementChild, kind);
  return element;
}

export function createFeedRow() {
  const cell = (name, ...children) => h('div', { role: 'gridcell', class: `cell ${name}` }, children);
  return h(
    'div',
    { class: 'row feed-row' },
    cell('feed-time'),
    cell('feed-kind', badge('create')),
    cell('feed-id'),
    cell('feed-by'),
    cell('feed-what'),
    cell('feed-version'),
    cell('feed-seq'),
  );
}

/** @param {import('./feed_log.js').Entry} entry */
export function drawFeedRow(row, { change, before, differences }) {
  const [time, kind, id, by, what, version, seq] = row.children;
  row.dataset.kind = change.kind;
  say(time, change.at ? clock(change.at) : '');
  nameBadge(kind.firstElementChild, change.kind);
  say(id, change.eventId ?? '');
  say(by, change.by ? nameOf(change.by) : '');
  drawWhat(what, change, before, differences);
  say(version, change.version === undefined ? '' : `v${change.version}`);
  say(seq, String(change.seq));
}

function drawWhat(cell, change, before, differences) {
  if (change.kind === 'reset') return say(cell, `the log was read anew: ${change.reason}`);
  if (change.redacted) return say(cell, 'erased');
  if (change.kind === 'update' && differences.length > 0) return drawDifferences(cell, differences);
  if (change.kind === 'update') return say(cell, 'nothing that differs');
  const known = change.data ?? before;
  if (!known) return void fill(cell, h('span', { class: 'faint' }, 'open it to see what it was'));
  fill(
    cell,
    briefFields(known, 120).map(([name, text]) =>
      h('span', { class: 'difference' }, h('span', { class: 'path' }, name), h('span', null, text)),
    ),
  );
  return undefined;
}

function drawDifferences(cell, differences) {
  const parts = differences.slice(0, SHOWN_DIFFERENCES).map(difference);
  const more = differences.length - parts.length;
  fill(cell, parts, more > 0 && h('span', { class: 'faint' }, `and ${more} more`));
}

function difference({ path, ...values }) {
  const before = 'before' in values && h('del', null, brief(values.before, 40));
  const after = 'after' in values ? h('ins', null, brief(values.after, 60)) : h('span', { class: 'faint' }, 'unset');
  return h(
    'span',
    { class: 'difference' },
    h('span', { class: 'path' }, path),
    before,
    h('span', { class: 'faint' }, '→'),
    after,
  );
}
