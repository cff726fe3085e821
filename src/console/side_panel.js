/**
 * What stands beside a list and is about one of its rows. It takes the focus when it opens, and Escape closes it; the
 * one who opened it gets the focus back.
 */
import { iconButton } from './controls.js';
import { fill, h, unique } from './dom.js';

export class SidePanel {
  #closed;
  /** What the shown content holds; a new one for each content. */
  #scope;
  #outer;

  constructor(scope, { close }) {
    this.#closed = close;
    this.#outer = scope;
    const name = unique('panel-title');
    this.title = h('h2', { id: name, tabindex: '-1', class: 'panel-title' });
    this.body = h('div', { class: 'panel-body' });
    const end = iconButton('close', 'Close', () => this.close());
    this.element = h(
      'aside',
      { class: 'panel', 'aria-labelledby': name, hidden: true },
      h('header', { class: 'panel-head' }, this.title, end),
      this.body,
    );
    scope.listen(this.element, 'keydown', (event) => {
      if (event.key === 'Escape' && !event.defaultPrevented) this.close();
    });
  }

  get isOpen() {
    return !this.element.hidden;
  }

  /** Opens it with another title; returns the scope of what is put into `body`. */
  open(title, { focus = true } = {}) {
    this.#scope?.close();
    this.#scope = this.#outer.inner();
    fill(this.title, title);
    fill(this.body);
    this.element.hidden = false;
    this.element.scrollTop = 0;
    if (focus) this.title.focus({ preventScroll: true });
    return this.#scope;
  }

  /** Takes it away. `quietly` when the address says so: the focus is elsewhere then. */
  close(quietly = false) {
    if (!this.isOpen) return;
    this.#scope?.close();
    this.element.hidden = true;
    fill(this.body);
    if (!quietly) this.#closed();
  }
}
