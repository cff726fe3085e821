/** Broadcasts: those that were heard, counted where they disturb nobody, and a place to send one. */
import { button, iconButton } from './controls.js';
import { fill, h, say, unique } from './dom.js';
import { count } from './format.js';
import { icon } from './icons.js';
import { readJson } from './json_text.js';
import { leaf } from './tree.js';

const KEPT_MAX = 50;

export class Broadcasts {
  #db;
  #heard = [];
  #unread = 0;

  constructor(scope, { db }) {
    this.#db = db;
    this.number = h('span', { class: 'count', hidden: true });
    this.button = h(
      'button',
      { type: 'button', class: 'nav-button', onclick: () => this.#open() },
      icon('broadcast'),
      h('span', { class: 'nav-word' }, 'Broadcasts'),
      this.number,
    );
    this.dialog = this.#build();
    scope.add(db.onBroadcast((payload) => this.#hear(payload)));
  }

  #build() {
    const [title, error] = [unique('broadcasts'), unique('broadcast-error')];
    this.list = h('ol', { class: 'broadcast-list' });
    this.error = h('p', { class: 'field-error', id: error, 'aria-live': 'polite' });
    this.input = h('textarea', {
      class: 'editor mono',
      rows: '4',
      'aria-label': 'Message as JSON',
      'aria-describedby': error,
      dir: 'ltr',
      spellcheck: 'false',
    });
    this.input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.#send();
    });
    this.input.value = '{ "message": "Hello everyone!" }';
    const close = iconButton('close', 'Close', () => this.dialog.close());
    const send = button('Send to every session', () => this.#send(), 'primary');
    const dialog = h(
      'dialog',
      { class: 'drawer', 'aria-labelledby': title },
      h('header', { class: 'panel-head' }, h('h2', { id: title, class: 'panel-title' }, 'Broadcasts'), close),
      h(
        'div',
        { class: 'panel-body' },
        h('p', { class: 'faint' }, 'Heard by everyone who is connected now, and kept nowhere.'),
        this.input,
        this.error,
        h('div', { class: 'buttons' }, send, h('span', { class: 'faint wide-only' }, 'Ctrl + Enter sends')),
        h('h3', null, 'Heard'),
        this.list,
      ),
    );
    dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
    return dialog;
  }

  #open() {
    this.#unread = 0;
    this.#draw();
    this.dialog.showModal();
    this.input.focus();
  }

  #hear(payload) {
    this.#heard.unshift({ at: new Date(), payload });
    this.#heard.length = Math.min(this.#heard.length, KEPT_MAX);
    if (!this.dialog.open) this.#unread += 1;
    this.#draw();
  }

  #draw() {
    this.number.hidden = this.#unread === 0;
    fill(this.number, count(this.#unread), h('span', { class: 'sr-only' }, ' new'));
    const items = this.#heard.map(({ at, payload }) =>
      h(
        'li',
        null,
        h('time', { class: 'faint tabular' }, at.toTimeString().slice(0, 8)),
        h('div', { class: 'mono' }, leaf(payload)),
      ),
    );
    fill(this.list, items.length > 0 ? items : h('li', { class: 'faint' }, 'None since this page was opened.'));
  }

  async #send() {
    const { value: payload, error } = readJson(this.input.value);
    say(this.error, error ?? '');
    if (error !== undefined) return;
    try {
      await this.#db.broadcast(payload);
    } catch (error) {
      say(this.error, error.message);
    }
  }
}
