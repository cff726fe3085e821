/** Two people wrote the same event: what it was, what they made of it, and what one would make of it, side by side. */
import { button } from './controls.js';
import { differences } from './diff.js';
import { h, unique } from './dom.js';
import { leaf } from './tree.js';

export class Conflict {
  constructor({ base, current, mine, takeTheirs, overwrite, keepBoth, keepEditing }) {
    const places = compare(base, current, mine);
    const name = unique('conflict');
    this.title = h('h3', { id: name, tabindex: '-1' }, `Version ${current._version} came first`);
    const disjoint = places.every(({ theirs, yours }) => !(theirs && yours));
    this.element = h(
      'section',
      { class: 'conflict', 'aria-labelledby': name },
      this.title,
      h(
        'p',
        null,
        `You began with version ${base._version}. `,
        disjoint ? 'You and they changed different fields.' : 'You and they changed some of the same fields.',
      ),
      table(places),
      h(
        'div',
        { class: 'buttons' },
        disjoint && button('Keep both', keepBoth, 'primary'),
        button('Take theirs', takeTheirs),
        button('Overwrite with mine', overwrite, 'danger'),
        button('Keep editing', keepEditing),
      ),
    );
  }

  focus() {
    this.title.focus();
  }
}

/** What both made of the event, before anything is decided. */
export function bothTable(base, current, mine) {
  return table(compare(base, current, mine));
}

/** Every place that either changed. */
function compare(base, current, mine) {
  const theirs = byPath(differences(base, current));
  const yours = byPath(differences(base, mine));
  const paths = [...new Set([...theirs.keys(), ...yours.keys()])].sort();
  return paths.map((path) => ({ path, theirs: theirs.get(path), yours: yours.get(path) }));
}

function byPath(list) {
  return new Map(list.map((difference) => [difference.path, difference]));
}

function table(places) {
  const head = ['Field', 'It was', 'Theirs', 'Yours'].map((name) => h('th', { scope: 'col' }, name));
  return h(
    'div',
    { class: 'scroll-x', tabindex: '0', role: 'group', 'aria-label': 'Theirs and yours' },
    h('table', { class: 'differences' }, h('thead', null, h('tr', null, head)), h('tbody', null, places.map(row))),
  );
}

function row({ path, theirs, yours }) {
  const known = theirs ?? yours;
  return h(
    'tr',
    { class: theirs && yours ? 'both' : undefined },
    h('th', { scope: 'row' }, path),
    h('td', null, 'before' in known ? leaf(known.before) : h('span', { class: 'faint' }, '–')),
    h('td', null, side(theirs)),
    h('td', null, side(yours)),
  );
}

function side(difference) {
  if (!difference) return h('span', { class: 'faint' }, 'same');
  return 'after' in difference ? h('ins', null, leaf(difference.after)) : h('span', { class: 'faint' }, 'unset');
}
