/** Which columns are shown: a list of what the documents have, to tick. */
import { button } from './controls.js';
import { fill, h } from './dom.js';
import { icon } from './icons.js';
import { popover } from './popover.js';

export class ColumnChooser {
  #choose;
  #chosen = [];

  /** `choose(paths)`: these columns; for `undefined` those that fit the data. */
  constructor(scope, { choose }) {
    this.#choose = choose;
    this.list = h('div', { class: 'check-list' });
    this.anew = button('As the data has it', () => this.#choose(undefined), 'quiet');
    const opener = button([icon('columns'), 'Columns']);
    this.element = popover(scope, {
      label: 'Columns',
      button: opener,
      content: [h('p', { class: 'popover-title' }, 'Columns'), this.list, this.anew],
      opened: () => this.list.querySelector('input:enabled')?.focus(),
    });
    this.element.classList.add('wide-only');
  }

  show(chosen, offered, isOwn) {
    this.#chosen = chosen;
    this.anew.hidden = !isOwn;
    const paths = [...new Set([...chosen, ...offered])].filter((path) => !path.includes(','));
    const known = [...this.list.querySelectorAll('input')].map((input) => input.value);
    if (known.length === paths.length && paths.every((path) => known.includes(path))) return this.#tick();
    return void fill(
      this.list,
      paths.map((path) => this.#line(path)),
    );
  }

  #line(path) {
    const input = h('input', {
      type: 'checkbox',
      checked: this.#chosen.includes(path),
      onchange: () => this.#changed(),
    });
    input.value = path;
    input.disabled = path === '_id';
    return h('label', { class: 'check' }, input, h('span', { class: 'mono' }, path));
  }

  #tick() {
    for (const input of this.list.querySelectorAll('input')) input.checked = this.#chosen.includes(input.value);
  }

  /** Those that were shown keep their order; a new one comes last. */
  #changed() {
    const ticked = [...this.list.querySelectorAll('input:checked')].map((input) => input.value);
    const kept = this.#chosen.filter((path) => ticked.includes(path));
    this.#choose([...kept, ...ticked.filter((path) => !kept.includes(path))]);
  }
}
