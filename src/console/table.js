/** Events as a table: a column for each field, sorted by a press on its name. On a narrow screen each is two lines. */
import { cellOf, least, widths } from './columns.js';
import { fill, h, mark, say } from './dom.js';
import { briefFields, when } from './format.js';
import { Rows } from './rows.js';

export class Table {
  #columns = [];
  #items = [];
  #sort = {};
  #flip = false;
  #onSort;

  constructor(scope, { open, near, sort }) {
    this.#onSort = sort;
    this.head = h('div', { class: 'row table-head', role: 'row', 'aria-rowindex': '1', hidden: true });
    this.rows = new Rows(scope, {
      label: 'Events',
      head: this.head,
      create: () => this.#create(),
      draw: (row, event, before) => this.#draw(row, event, before),
      at: (index) => this.#items[index],
      key: (event) => event._id,
      open,
      near,
    });
    this.element = this.rows.element;
    this.element.classList.add('table');
  }

  show(items) {
    this.#items = items;
    this.rows.resize(items.length);
  }

  /** @param {import('./columns.js').Column[]} columns */
  setColumns(columns, sort) {
    const same = JSON.stringify(columns) === JSON.stringify(this.#columns);
    this.#sort = sort;
    if (!same) {
      this.#columns = columns;
      this.element.style.setProperty('--columns', widths(columns));
      this.element.style.setProperty('--least', least(columns));
      mark(this.element, 'aria-colcount', columns.length);
      this.head.hidden = columns.length === 0;
      fill(
        this.head,
        columns.map((column) => this.#header(column)),
      );
      this.rows.reset();
    }
    this.#markSort();
  }

  select(id) {
    this.rows.select(id);
  }

  #header({ path, kind }) {
    const button = h(
      'button',
      { type: 'button', class: 'sort', onclick: () => this.#onSort(path) },
      h('span', { class: 'sort-name' }, path),
      h('span', { class: 'sort-mark', 'aria-hidden': 'true' }),
    );
    return h('div', { role: 'columnheader', class: `cell ${kind}`, 'data-path': path }, button);
  }

  #markSort() {
    for (const cell of this.head.children) {
      const direction = this.#sort[cell.dataset.path];
      mark(cell, 'aria-sort', direction === undefined ? 'none' : direction > 0 ? 'ascending' : 'descending');
      say(cell.querySelector('.sort-mark'), direction === undefined ? '' : direction > 0 ? '↑' : '↓');
    }
  }

  #create() {
    const cells = this.#columns.map(() => h('div', { role: 'gridcell' }));
    return h('div', { class: 'row table-row' }, cells);
  }

  #draw(row, event, before) {
    this.#columns.forEach((column, index) => {
      const cell = row.children[index];
      const { text, kind } = cellOf(event, column);
      cell.className = `cell ${column.kind} value-${kind}`;
      say(cell, text);
    });
    this.#drawNarrow(row, event);
    this.#flash(row, before !== undefined && before._updatedAt !== event._updatedAt);
  }

  /** The second line of a narrow screen, which has no room for columns. */
  #drawNarrow(row, event) {
    const first = row.children[0];
    if (!first) return;
    first.dataset.brief = briefFields(event, 100)
      .map((field) => field.join(' '))
      .join(' · ');
    first.dataset.when = event._updatedAt ? when(event._updatedAt) : '';
  }

  /** Two names for the same animation: a row that changes again begins again. */
  #flash(row, changed) {
    row.classList.remove('flash-a', 'flash-b');
    if (!changed) return;
    this.#flip = !this.#flip;
    row.classList.add(this.#flip ? 'flash-a' : 'flash-b');
  }
}
