/** How the connection is: always in sight, in a word, with its reasons one press away. */
import { unsent, WORDS } from './connection.js';
import { fill, h, say } from './dom.js';
import { count, lasting, many, moment } from './format.js';
import { popover } from './popover.js';

const TICK_MS = 1000;

export class State {
  #db;

  constructor(scope, db) {
    this.#db = db;
    this.word = h('span');
    this.seq = h('span', { class: 'state-seq tabular' });
    this.heard = h('span', { class: 'sr-only', role: 'status' });
    this.facts = h('dl', { class: 'facts column' });
    this.button = h(
      'button',
      { type: 'button', class: 'state' },
      h('span', { class: 'state-dot', 'aria-hidden': 'true' }),
      h('span', { class: 'state-word' }, h('span', { class: 'sr-only' }, 'Connection: '), this.word),
      this.seq,
    );
    const box = popover(scope, {
      label: 'Connection',
      button: this.button,
      content: [h('p', { class: 'popover-title' }, 'Connection'), this.facts],
      opened: () => this.#drawFacts(),
    });
    this.element = h('div', { class: 'state-box' }, box, this.heard);
    this.draw = scope.frame(() => this.#draw());
    scope.add(db.onState(this.draw));
    scope.every(TICK_MS, this.draw);
    this.#draw();
  }

  #draw() {
    const { name, reason } = this.#db.state;
    this.button.dataset.state = name;
    document.documentElement.dataset.connection = name;
    say(this.word, WORDS[name] ?? name);
    say(this.seq, this.#aside());
    const why = [reason, unsent(this.#db)].filter(Boolean).join(', ');
    say(this.heard, name === 'live' ? 'Live' : `${WORDS[name] ?? name}${why && `: ${why}`}`);
    if (this.facts.checkVisibility()) this.#drawFacts();
  }

  /** Beside the word: where the log is, or for how long there was no connection, and what waits for it. */
  #aside() {
    const { name, since, lag } = this.#db.state;
    if (name === 'live') return this.#db.seq === undefined ? '' : count(this.#db.seq);
    if (name === 'behind') return lag > 0 ? `${count(lag)} to go` : '';
    const lasted = lasting(Math.round((Date.now() - since) / 1000));
    return [lasted, unsent(this.#db)].filter(Boolean).join(' · ');
  }

  #drawFacts() {
    const { name, reason, since, lag } = this.#db.state;
    const rows = [
      ['State', WORDS[name] ?? name],
      ['Why', reason],
      ['Since', moment(since)],
      ['Lag', lag ? many(lag, 'change') : 'none'],
      ['Head of the log', count(this.#db.seq ?? 0)],
      ['Unanswered writes', count(this.#db.pending ?? 0)],
      ['Epoch', this.#db.epoch],
    ];
    fill(
      this.facts,
      rows
        .filter(([, value]) => value)
        .map(([label, value]) => h('div', null, h('dt', null, label), h('dd', { class: 'tabular' }, String(value)))),
    );
  }
}
