/** What a narrow screen has in the place of the table's headers: by what the events are sorted. */
import { iconButton } from './controls.js';
import { fill, h, mark } from './dom.js';
import { icon } from './icons.js';

const ALWAYS = ['_id', '_createdAt', '_updatedAt'];

export class SortBox {
  #paths = '';
  #sort = '';

  /** @param {{ choose: (sort: string) => void }} options `choose('-total')`: by this path, descending */
  constructor({ choose }) {
    this.select = h('select', {
      'aria-label': 'Sort by',
      onchange: () => choose(this.#descends ? `-${this.select.value}` : this.select.value),
    });
    this.turn = iconButton('down', 'Descending', () =>
      choose(this.#descends ? this.#sort.slice(1) : `-${this.#sort}`),
    );
    this.element = h(
      'div',
      { class: 'sort-box narrow-only' },
      h('span', { class: 'faint', 'aria-hidden': 'true' }, 'Sorted by'),
      this.select,
      this.turn,
    );
  }

  get #descends() {
    return this.#sort.startsWith('-');
  }

  show(columns, sort) {
    this.#sort = sort;
    const path = this.#descends ? sort.slice(1) : sort;
    const paths = [...new Set([...columns, ...ALWAYS, path])];
    if (paths.join() !== this.#paths)
      fill(
        this.select,
        paths.map((path) => h('option', { value: path }, path)),
      );
    this.#paths = paths.join();
    this.select.value = path;
    const label = this.#descends ? 'Descending' : 'Ascending';
    fill(this.turn, icon(this.#descends ? 'down' : 'up'));
    for (const name of ['aria-label', 'title']) mark(this.turn, name, label);
  }
}
