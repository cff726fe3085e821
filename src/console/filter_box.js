/** A box for a filter. What is wrong with it is said below it, where one looks while typing. */
import { h, mark, say, unique } from './dom.js';
import { filterHelp } from './filter_help.js';
import { readFilter, seenFilter } from './filter_text.js';
import { icon } from './icons.js';

const CALM_MS = 400;

/**
 * @param {{ label: string, hint: string, value?: string, apply: (text: string, filter: object) => void }} options
 */
export class FilterBox {
  #apply;
  #applied;

  constructor(scope, { label, hint, value = '', apply }) {
    this.#apply = apply;
    this.#applied = value;
    const error = unique('filter-error');
    this.error = h('p', { class: 'field-error', id: error, 'aria-live': 'polite' });
    this.input = h('input', {
      type: 'search',
      class: 'filter-input mono',
      value,
      placeholder: hint,
      dir: 'ltr',
      spellcheck: 'false',
      autocomplete: 'off',
      autocapitalize: 'off',
      'aria-label': label,
      'aria-describedby': error,
    });
    const help = filterHelp(scope, { take: (text) => this.#take(text) });
    this.element = h(
      'div',
      { class: 'filter-box' },
      h('div', { class: 'filter-field' }, icon('search'), this.input, help),
      this.error,
    );
    const calm = scope.calm(CALM_MS, () => this.#read());
    scope.listen(this.input, 'input', calm);
    scope.listen(this.input, 'keydown', (event) => event.key === 'Enter' && this.#read());
  }

  /** It was read: what was wrong is no more. */
  accept() {
    this.#say('');
  }

  /** Another filter than was typed: from the address, say. */
  set(given) {
    const text = seenFilter(given);
    this.#applied = text;
    if (this.input.value !== text) this.input.value = text;
    if (readFilter(text).error === undefined) this.#say('');
  }

  /** The server refused it. */
  refuse(error) {
    const path = error.path?.replace(/^(payload|query)\./, '');
    this.#say(path ? `${path}: ${error.message}` : error.message);
  }

  /** An example, which is to be changed: nothing is asked before it is. */
  #take(text) {
    this.input.value = text;
    this.#say('');
    this.input.focus();
    this.input.select();
  }

  #read() {
    const text = seenFilter(this.input.value);
    if (text !== this.input.value) this.input.value = text;
    const { filter, error } = readFilter(text);
    if (error !== undefined) return this.#say(error);
    if (text === this.#applied) return undefined;
    this.#say('');
    this.#applied = text;
    return this.#apply(text, filter);
  }

  #say(text) {
    say(this.error, text);
    mark(this.input, 'aria-invalid', text !== '' && 'true');
  }
}
