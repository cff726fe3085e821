/** A box for a filter. What is wrong with it is said below it, where one looks while typing. */
import { h, mark, say, unique } from './dom.js';
import { filterHelp } from './filter_help.js';
import { readFilter, seenFilter } from './filter_text.js';
import { icon } from './icons.js';

const CALM_MS = 400;

/**
 * `told`: called when it is said that something is wrong with what is typed, and when that is over.
 *
 * @param {{
 *   label: string,
 *   hint: string,
 *   apply: (text: string, filter: object) => void,
 *   told: () => void,
 * }} options
 */
export class FilterBox {
  #apply;
  #told;
  #applied = '';
  /** What the server said of the applied one. */
  #refusal = '';

  constructor(scope, { label, hint, apply, told }) {
    this.#apply = apply;
    this.#told = told;
    const error = unique('filter-error');
    this.error = h('p', { class: 'field-error', id: error, 'aria-live': 'polite' });
    this.input = h('input', {
      type: 'search',
      class: 'filter-input mono',
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

  /** Whether something is wrong with what is typed, so that what is shown is something else. */
  get isRefused() {
    return this.error.textContent !== '';
  }

  /** The applied one was read: what was wrong with it is no more. */
  accept() {
    this.#refusal = '';
    if (this.input.value === this.#applied) this.#say('');
  }

  /** What the address says. What is being typed stays, unless it is another than was applied last. */
  set(given) {
    const text = seenFilter(given);
    if (text === this.#applied) return;
    this.#applied = text;
    this.#refusal = '';
    this.input.value = text;
    if (readFilter(text).error === undefined) this.#say('');
  }

  /** The server refused it. */
  refuse(error) {
    const path = error.path?.replace(/^(payload|query)\./, '');
    // Not the filter's fault.
    if (error.code === 'unauthenticated') this.#refusal = 'Nothing is shown until somebody is signed in.';
    else this.#refusal = path ? `${path}: ${error.message}` : error.message;
    if (this.input.value === this.#applied) this.#say(this.#refusal);
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
    if (text === this.#applied) return this.#say(this.#refusal);
    this.#say('');
    this.#refusal = '';
    this.#applied = text;
    return this.#apply(text, filter);
  }

  #say(text) {
    if (this.error.textContent === text) return;
    say(this.error, text);
    this.#told();
    mark(this.input, 'aria-invalid', text !== '' && 'true');
  }
}
