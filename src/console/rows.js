/**
 * A list of any length of which only the rows that fit are elements. It is a grid to screen readers: one stop of the
 * Tab key, arrows within, Enter opens.
 */
import { h, mark, unique } from './dom.js';

const SPARE_ROWS = 4;

/**
 * `head` is a row of column headers, `create` makes an empty row, `draw` writes an item into it; `before` is what the row
 * showed of the same item. `at` says which item is at a place (it is drawn again when it is another object), `key` what
 * stays the same while an item changes. `near` is called when the last rows are shown. `anchored` rows keep what is looked
 * at in its place when others come in above.
 *
 * @typedef {{
 *   label: string,
 *   head?: HTMLElement,
 *   create: () => HTMLElement,
 *   draw: (row: HTMLElement, item: any, before?: any) => void,
 *   at: (index: number) => any,
 *   key: (item: any) => any,
 *   open: (item: any) => void,
 *   near?: () => void,
 *   anchored?: boolean,
 * }} RowsOptions
 */
export class Rows {
  #options;
  #drawn = new Map(); // key -> row
  #free = [];
  #count = 0;
  #activeKey;
  #activeIndex = -1;
  #rowHeight = 36;
  #headHeight = 0;
  #viewHeight = 0;
  #name = unique('rows');

  /** @param {RowsOptions} options */
  constructor(scope, options) {
    this.#options = options;
    this.body = h('div', { class: 'rows-body', role: 'rowgroup' });
    const head = options.head && h('div', { class: 'rows-head', role: 'rowgroup' }, options.head);
    this.element = h(
      'div',
      { class: 'rows', role: 'grid', tabindex: '0', 'aria-label': options.label },
      head,
      this.body,
    );
    this.draw = scope.frame(() => this.#layout());
    scope.listen(this.element, 'scroll', this.draw, { passive: true });
    scope.listen(this.element, 'keydown', (event) => this.#key(event));
    scope.listen(this.element, 'focus', () => this.#focused());
    scope.listen(this.body, 'click', (event) => this.#click(event));
    const watch = new ResizeObserver(() => this.#measure());
    watch.observe(this.element);
    scope.add(() => watch.disconnect());
  }

  /** How many rows there are. `above` of the new ones came in before the first. */
  resize(count, above = 0) {
    if (count !== this.#count) {
      this.#count = count;
      mark(this.element, 'aria-rowcount', count + (this.#options.head ? 1 : 0));
      this.body.style.height = `${count * this.#rowHeight}px`;
    }
    if (above > 0) this.#hold(above);
    this.draw();
  }

  /** Draws every row anew, as when the columns are others. */
  redraw() {
    for (const row of this.#drawn.values()) row.item = undefined;
    this.draw();
  }

  /** Forgets the rows that there are, as when they have other cells. */
  reset() {
    for (const row of this.#drawn.values()) row.remove();
    for (const row of this.#free.splice(0)) row.remove();
    this.#drawn.clear();
    this.draw();
  }

  toTop() {
    this.element.scrollTop = 0;
  }

  get atTop() {
    return this.element.scrollTop < this.#rowHeight / 2;
  }

  /** Shows which row the side panel is about. */
  select(key) {
    this.#activeKey = key;
    this.#activeIndex = -1;
    this.draw();
  }

  #hold(above) {
    if (this.#activeIndex >= 0) this.#activeIndex += above;
    if (!this.#options.anchored || this.atTop) return;
    this.element.scrollTop += above * this.#rowHeight;
  }

  #measure() {
    const style = getComputedStyle(this.element);
    this.#rowHeight = Number.parseFloat(style.getPropertyValue('--row')) || 36;
    this.#headHeight = this.body.offsetTop;
    this.#viewHeight = this.element.clientHeight;
    this.body.style.height = `${this.#count * this.#rowHeight}px`;
    this.draw();
  }

  #layout() {
    const top = this.element.scrollTop - this.#headHeight;
    const first = Math.max(0, Math.floor(top / this.#rowHeight) - SPARE_ROWS);
    const last = Math.min(
      this.#count,
      Math.ceil((top + this.#headHeight + this.#viewHeight) / this.#rowHeight) + SPARE_ROWS,
    );
    const shown = this.#shown(first, last);
    this.#release(shown);
    for (const [key, { item, index }] of shown) this.#place(key, item, index);
    this.#markActive();
    if (last >= this.#count) this.#options.near?.();
  }

  #shown(first, last) {
    const shown = new Map();
    for (let index = first; index < last; index += 1) {
      const item = this.#options.at(index);
      if (item !== undefined) shown.set(this.#options.key(item), { item, index });
    }
    return shown;
  }

  #release(shown) {
    for (const [key, row] of this.#drawn) {
      if (shown.has(key)) continue;
      this.#drawn.delete(key);
      this.#free.push(row);
    }
  }

  #place(key, item, index) {
    const row = this.#drawn.get(key) ?? this.#take(key);
    if (row.item !== item) {
      this.#options.draw(row, item, row.item);
      row.item = item;
    }
    if (row.index === index && !row.hidden) return;
    row.index = index;
    row.hidden = false;
    row.style.transform = `translateY(${index * this.#rowHeight}px)`;
    mark(row, 'aria-rowindex', index + (this.#options.head ? 2 : 1));
  }

  #take(key) {
    const row = this.#free.pop() ?? this.#build();
    row.item = undefined;
    this.#drawn.set(key, row);
    return row;
  }

  #build() {
    const row = this.#options.create();
    row.id = unique(this.#name);
    row.setAttribute('role', 'row');
    this.body.append(row);
    return row;
  }

  #markActive() {
    for (const row of this.#free) row.hidden = true;
    let active;
    for (const [key, row] of this.#drawn) {
      const is = key === this.#activeKey && this.#activeKey !== undefined;
      mark(row, 'aria-selected', is ? 'true' : 'false');
      if (is) active = row;
    }
    mark(this.element, 'aria-activedescendant', active?.id);
  }

  #focused() {
    if (this.#activeKey === undefined && this.#count > 0)
      this.#activate(Math.round(this.element.scrollTop / this.#rowHeight));
  }

  #click(event) {
    const row = event.target.closest('[role=row]');
    if (!row || getSelection()?.isCollapsed === false) return;
    this.#activate(row.index);
    this.#options.open(row.item);
  }

  #key(event) {
    if (event.target !== this.element || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor((this.#viewHeight - this.#headHeight) / this.#rowHeight) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === 'Enter') return this.#enter(event);
    if (!(event.key in steps) || this.#count === 0) return;
    event.preventDefault();
    this.#activate(this.#indexOfActive() + steps[event.key]);
  }

  #enter(event) {
    const item = this.#options.at(this.#indexOfActive());
    if (item === undefined) return;
    event.preventDefault();
    this.#options.open(item);
  }

  /** Where the active item is now: rows may have come or gone before it. */
  #indexOfActive() {
    const { at, key } = this.#options;
    const isActive = (index) => {
      const item = at(index);
      return item !== undefined && key(item) === this.#activeKey;
    };
    if (isActive(this.#activeIndex)) return this.#activeIndex;
    for (let index = 0; index < this.#count; index += 1) if (isActive(index)) return index;
    return Math.max(0, Math.min(this.#activeIndex, this.#count - 1));
  }

  #activate(wanted) {
    const index = Math.max(0, Math.min(wanted, this.#count - 1));
    const item = this.#options.at(index);
    if (item === undefined) return;
    this.#activeIndex = index;
    this.#activeKey = this.#options.key(item);
    this.#reveal(index);
    this.draw();
  }

  #reveal(index) {
    const top = index * this.#rowHeight;
    const room = this.#viewHeight - this.#headHeight - this.#rowHeight;
    const { scrollTop } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top > scrollTop + room) this.element.scrollTop = top - room;
  }
}
