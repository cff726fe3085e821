/** The feed: every change as it happens, newest first. */
import { ChangePanel } from './change_panel.js';
import { isConnected, liveness } from './connection.js';
import { fill, h, mark, say } from './dom.js';
import { FeedLog } from './feed_log.js';
import { createFeedRow, drawFeedRow } from './feed_row.js';
import { FilterBox } from './filter_box.js';
import { readFilter } from './filter_text.js';
import { count, many, rounded } from './format.js';
import { icon } from './icons.js';
import { current, turn } from './router.js';
import { Rows } from './rows.js';
import { isOtherSight } from './session.js';

/** Changes of before the page was opened that the feed begins with. */
const BEGIN_WITH = 200;
/** Under load the feed moves ten times a second, which leaves the page free for what one does with it. */
const DRAW_MS = 100;

const NOTHING = 'Nothing has happened yet. Changes appear here as they are written.';
const NO_MATCH = 'No change of late matches this filter. Those that do appear here as they are written.';

export class FeedView {
  title = 'Feed';
  #db;
  #scope;
  #log = new FeedLog();
  #frozen;
  /** There are changes before those that the feed began with. */
  #beganLate = false;
  /** How many changes were heard for another filter. */
  #cleared = 0;
  #told = 0;
  #seen = 0;
  #following;
  #filter;

  constructor({ db, scope, notices }) {
    this.#db = db;
    this.#scope = scope;
    this.box = new FilterBox(scope, {
      label: 'Filter the feed',
      hint: 'status=open, or an id',
      apply: (text) => turn({ filter: text }),
      told: () => this.draw(),
    });
    this.pause = h('button', {
      type: 'button',
      class: 'pause',
      'aria-pressed': 'false',
      onclick: () => this.#toggle(),
    });
    this.rate = h('p', { class: 'view-note tabular' });
    this.empty = h('p', { class: 'empty', hidden: true });
    this.panel = new ChangePanel({ db, scope, notices, close: () => this.#closed() });
    this.rows = new Rows(scope, {
      label: 'Changes, newest first',
      create: createFeedRow,
      draw: drawFeedRow,
      at: (index) => this.#at(index),
      key: (entry) => entry.number,
      open: (entry) => this.#open(entry),
      anchored: true,
    });
    this.element = h(
      'div',
      { class: 'view' },
      h(
        'header',
        { class: 'view-head' },
        h('h1', { tabindex: '-1' }, 'Feed'),
        this.rate,
        h('span', { class: 'spacer' }),
        this.pause,
      ),
      this.box.element,
      h(
        'div',
        { class: 'split' },
        h('div', { class: 'split-main' }, this.rows.element, this.empty),
        this.panel.element,
      ),
    );
    scope.add(
      db.onState(({ name }) => {
        if (name === 'live') this.show(current());
        this.draw();
      }),
    );
    this.draw = scope.paced(DRAW_MS, () => this.#draw());
    scope.every(500, this.draw);
    this.#draw();
  }

  /** @param {import('./router.js').Route} route */
  show({ query }) {
    const text = query.filter ?? '';
    const seq = /^\d+$/.test(query.change ?? '') ? Number(query.change) : undefined;
    this.box.set(text);
    this.panel.showAt(seq, this.#log.find(seq));
    if (this.#following && text === this.#filter) return;
    this.#filter = text;
    const { filter, error } = readFilter(text);
    if (error === undefined) return void this.#follow(filter);
    this.#begin();
    this.#refuse({ message: error });
  }

  /** What was followed before is over. */
  #begin() {
    this.#following?.close();
    this.#following = this.#scope.inner();
    this.#log.clear();
    delete this.rows.element.dataset.authors;
    this.#told = this.#seen = this.#cleared = this.#log.total;
    this.#frozen &&= [];
    this.rows.resize(0);
  }

  /** `why`: what it begins with, if it is told. */
  async #follow(filter, why) {
    this.#begin();
    if (why) this.#log.push(why);
    const following = this.#following;
    try {
      const { seq } = await this.#db.fetch({ filter, limit: 1, fields: ['_id'] });
      if (following.closed) return;
      this.box.accept();
      this.#beganLate = seq > BEGIN_WITH;
      const options = { after: Math.max(0, seq - BEGIN_WITH), ...(Object.keys(filter).length > 0 && { filter }) };
      following.add(this.#db.onChange(options, (change) => this.#hear(change, change.seq > seq)));
    } catch (error) {
      if (!following.closed) this.#refuse(error);
    }
  }

  /** Without a connection nothing is refused for good: it is asked again when there is one. */
  #refuse(error) {
    this.box.refuse(error);
    this.#following.close();
    this.#following = undefined;
  }

  /** A log that was read anew is no change of it, and has no address. */
  #open(entry) {
    if (entry.change.kind === 'reset') return this.panel.show(entry);
    return turn({ change: String(entry.change.seq) });
  }

  #closed() {
    turn({ change: undefined });
    this.rows.element.focus();
  }

  #hear(change, isNews) {
    if (isOtherSight(change)) return this.#readAnew(change);
    this.#log.push(change, isNews);
    // Where nobody signs in there is no author, and no room for one.
    if (change.by) this.rows.element.dataset.authors = '';
    return this.draw();
  }

  /** @param {object} why the reset that says so */
  #readAnew(why) {
    this.#follow(readFilter(this.#filter).filter, why);
    this.panel.readAnew();
    this.draw();
  }

  #at(index) {
    return this.#frozen ? this.#frozen[index] : this.#log.at(index);
  }

  #toggle() {
    this.#frozen = this.#frozen ? undefined : this.#log.copy();
    this.#seen = this.#log.total;
    if (!this.#frozen) this.rows.toTop();
    this.#draw();
  }

  #draw() {
    if (!this.#frozen) this.#drawNew();
    const waiting = this.#frozen ? this.#log.total - this.#seen : 0;
    this.#drawPause(waiting);
    const rate = this.#log.rate();
    const length = this.#frozen?.length ?? this.#log.length;
    const isPart = this.#beganLate || this.#log.total - this.#cleared > length;
    const said = [
      this.box.isRefused && length > 0 && 'what was shown before',
      rate > 0 && `${rounded(rate)}/s`,
      `${isPart ? 'the newest ' : ''}${many(length, 'change')}`,
      !isConnected(this.#db) && liveness(this.#db),
    ];
    say(this.rate, said.filter(Boolean).join(' · '));
    this.empty.hidden = length > 0 || this.box.isRefused;
    say(this.empty, this.#filter ? NO_MATCH : NOTHING);
  }

  #drawNew() {
    const above = this.#log.total - this.#told;
    this.#told = this.#log.total;
    this.rows.resize(this.#log.length, Math.min(above, this.#log.length));
  }

  #drawPause(waiting) {
    const paused = this.#frozen !== undefined;
    if (this.pause.dataset.paused !== String(paused)) {
      this.pause.dataset.paused = String(paused);
      mark(this.pause, 'aria-pressed', paused ? 'true' : 'false');
      this.pauseWord = h('span');
      fill(this.pause, icon(paused ? 'play' : 'pause'), this.pauseWord);
    }
    say(this.pauseWord, paused ? (waiting > 0 ? `Go on · ${count(waiting)} waiting` : 'Go on') : 'Pause');
  }
}
