/** What happened to an event, newest first, each change with what it changed, and a way back to each version. */
import { button } from './controls.js';
import { differences } from './diff.js';
import { differenceTable } from './differences.js';
import { fill, h, say } from './dom.js';
import { badge } from './feed_row.js';
import { many, moment, when } from './format.js';
import { address } from './router.js';
import { authorOf, nameOf } from './session.js';

const PAGE_CHANGES = 30;

export class History {
  #db;
  #id;
  #scope;
  #restore;
  #changes = [];
  #next;

  /** `restore(version)`: makes the event again what it was then; left out in the past, where nothing is written. */
  constructor(scope, { db, id, restore }) {
    this.#scope = scope;
    this.#db = db;
    this.#id = id;
    this.#restore = restore;
    this.list = h('ol', { class: 'history' });
    this.more = button('Older changes', () => this.#read(this.#next));
    this.more.hidden = true;
    this.error = h('p', { class: 'field-error', 'aria-live': 'polite' });
    this.element = h('div', { class: 'history-box' }, this.list, this.more, this.error);
    scope.add(
      db.onState(({ name }) => {
        if (name === 'live' && this.error.textContent !== '') this.reload();
      }),
    );
    this.reload();
  }

  /** Reads the newest again: something happened. */
  reload() {
    this.#read(undefined);
  }

  /** What was read may be nothing that may still be seen. */
  readAnew() {
    this.#changes = [];
    this.#next = undefined;
    this.#draw();
    this.reload();
  }

  async #read(after) {
    try {
      const page = await this.#db.history(this.#id, { after, limit: PAGE_CHANGES });
      if (this.#scope.closed) return;
      this.#changes = after === undefined ? page.data : [...this.#changes, ...page.data];
      this.#next = page.next;
      this.#draw();
      say(this.error, '');
    } catch (error) {
      say(this.error, error.message);
    }
  }

  #draw() {
    this.more.hidden = this.#next === undefined;
    const open = new Set([...this.list.querySelectorAll('details[open]')].map((details) => details.dataset.seq));
    fill(
      this.list,
      this.#changes.map((change, index) => this.#item(change, index, open)),
    );
  }

  #item(change, index, open) {
    const before = this.#before(index);
    const isNewest = index === 0;
    return h(
      'li',
      { class: 'history-item' },
      h(
        'div',
        { class: 'history-line' },
        badge(change.kind),
        h('strong', { class: 'tabular' }, `Version ${change.version}`),
        h(
          'a',
          { class: 'faint', href: address('events', { at: change.seq, id: this.#id }) },
          h('time', { datetime: change.at, title: moment(change.at) }, when(change.at)),
        ),
        change.by && h('span', { class: 'faint', title: authorOf(change.by) }, `by ${nameOf(change.by)}`),
        h('span', { class: 'spacer' }),
        this.#restore && change.data && !isNewest && this.#button(change.version),
      ),
      this.#what(change, before, open.has(String(change.seq)) || (isNewest && open.size === 0)),
    );
  }

  /** The change before, if it is known and of the same life. */
  #before(index) {
    return this.#changes[index + 1]?.data;
  }

  #what(change, before, open) {
    if (change.redacted) return h('p', { class: 'faint' }, 'erased');
    if (change.kind !== 'update' || !before) return undefined;
    const found = differences(before, change.data);
    if (found.length === 0) return h('p', { class: 'faint' }, 'nothing that differs');
    return h(
      'details',
      { open, 'data-seq': change.seq },
      h('summary', null, `${many(found.length, 'field')} · ${names(found)}`),
      differenceTable(found, { label: `What version ${change.version} changed` }),
    );
  }

  #button(version) {
    const act = () => this.#restore(version);
    return h(
      'button',
      { type: 'button', class: 'quiet', 'aria-label': `Restore version ${version}`, onclick: act },
      'Restore',
    );
  }
}

function names(found) {
  const shown = found
    .slice(0, 4)
    .map(({ path }) => path)
    .join(', ');
  return found.length > 4 ? `${shown} …` : shown;
}
