/** Events as a table: a column for each field, sorted by a press on its name. On a narrow screen each is two lines. */
import { cellOf, fitting, least, widths } from './columns.js';
import { fill, h, mark, say } from './dom.js';
import { briefFields, when } from './format.js';
import { Rows } from './rows.js';

const PROBE_LETTERS = 100;

export class Table {
  #columns = [];
  /** Those that there is room for. */
  #shown = [];
  #areChosen = false;
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
    this.probe = h('div', { class: 'probe', 'aria-hidden': 'true' });
    this.element.append(this.probe);
    const watch = new ResizeObserver(() => this.#fit());
    watch.observe(this.element);
    scope.add(() => watch.disconnect());
    scope.listen(this.element, 'scroll', () => this.#markEdge(), { passive: true });
  }

  show(items) {
    this.#items = items;
    this.rows.resize(items.length);
  }

  /**
   * @param {import('./columns.js').Column[]} columns
   * @param {boolean} areChosen by the reader: all of them are shown then, and the table scrolls sideways where it must
   */
  setColumns(columns, sort, areChosen) {
    this.#columns = columns;
    this.#areChosen = areChosen;
    this.#sort = sort;
    this.#fit();
    this.#markSort();
  }

  /** Columns of the table's own choice are shown as far as there is room: none is cut by the edge. */
  #fit() {
    const letters = (this.element.clientWidth * PROBE_LETTERS) / (this.probe.offsetWidth || PROBE_LETTERS);
    const count = this.#areChosen ? this.#columns.length : fitting(this.#columns, letters);
    const shown = this.#columns.slice(0, count);
    if (JSON.stringify(shown) !== JSON.stringify(this.#shown)) this.#lay(shown);
    this.#markEdge();
  }

  #lay(columns) {
    this.#shown = columns;
    this.element.style.setProperty('--columns', widths(columns));
    this.element.style.setProperty('--least', least(columns));
    mark(this.element, 'aria-colcount', columns.length);
    this.head.hidden = columns.length === 0;
    fill(
      this.head,
      columns.map((column) => this.#header(column)),
    );
    this.#markSort();
    this.rows.reset();
  }

  /** Whether more of the table lies beyond its right edge, which is shaded then. */
  #markEdge() {
    const { scrollLeft, clientWidth, scrollWidth } = this.element;
    this.element.dataset.more = String(scrollLeft + clientWidth < scrollWidth - 1);
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
    const cells = this.#shown.map(() => h('div', { role: 'gridcell' }));
    return h('div', { class: 'row table-row' }, cells);
  }

  #draw(row, event, before) {
    this.#shown.forEach((column, index) => {
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
    const brief = briefFields(event, 100).map((field) => field.join(' '));
    mark(first, 'data-brief', brief.join(' · '));
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
