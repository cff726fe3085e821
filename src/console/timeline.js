/**
 * The time slider: where in the log one stands. At its right end is now; everywhere else the table shows the events as
 * they were, and the line below says which change had just happened.
 */
import { button, iconButton } from './controls.js';
import { badge } from './feed_row.js';
import { told } from './diff.js';
import { fill, h, mark, say } from './dom.js';
import { brief, count, moment } from './format.js';
import { icon } from './icons.js';
import { popover } from './popover.js';
import { changeAt } from './rest.js';
import { newest } from './scope.js';

const HEAD_MS = 500;
/** How a whole log is played, however long: in so many steps. */
const STEPS = 60;
const STEP_MS = 350;

export class Timeline {
  #db;
  #go;
  #at;
  #playing = 0;

  /** `go(at)`: shows the events as of a seq; of now for `undefined`. */
  constructor(scope, { db, go, refuse }) {
    this.#db = db;
    this.#go = go;
    this.describe = newest((seq, stale) => this.#describe(seq, stale));
    this.slider = h('input', {
      type: 'range',
      min: '1',
      max: '1',
      step: '1',
      value: '1',
      class: 'slider',
      'aria-label': 'Position in the log',
      oninput: () => this.#slid(),
    });
    this.play = iconButton('play', 'Play', () => this.#toggle());
    this.now = button('Back to now', () => this.#move(undefined), 'primary now');
    this.time = h('input', { type: 'datetime-local', step: '1', 'aria-label': 'Time' });
    const goToTime = button('Go there', () => this.#goToTime(refuse), 'primary');
    const clock = popover(scope, {
      label: 'Go to a time',
      button: iconButton('clock', 'Go to a time'),
      content: [
        h('p', { class: 'popover-title' }, 'The events as of a time'),
        h('div', { class: 'buttons' }, this.time, goToTime),
      ],
      opened: () => this.#askTime(),
    });
    this.place = h('span', { class: 'timeline-place tabular' });
    this.change = h('p', { class: 'timeline-change', 'aria-live': 'polite' });
    this.element = h(
      'div',
      { class: 'timeline', role: 'group', 'aria-label': 'Time' },
      h(
        'div',
        { class: 'timeline-controls' },
        iconButton('back', 'One change back', () => this.#step(-1)),
        this.play,
        iconButton('forward', 'One change on', () => this.#step(1)),
        this.slider,
        this.place,
        clock,
        this.now,
      ),
      this.change,
    );
    scope.every(HEAD_MS, () => this.#drawHead());
    scope.add(() => this.#stop());
    this.show(undefined);
  }

  get head() {
    return Math.max(1, this.#db.seq ?? 1, this.#at ?? 1);
  }

  /** The address says where. */
  show(at) {
    this.#at = at;
    this.element.dataset.past = String(at !== undefined);
    this.now.hidden = at === undefined;
    this.#drawHead();
    if (at !== undefined) return void this.describe(at);
    fill(this.change);
    return undefined;
  }

  /** The events as of there are shown, and the head is known: the next step of the play may come. */
  shown() {
    this.#drawHead();
    if (!this.#playing) return;
    clearTimeout(this.#playing);
    this.#playing = setTimeout(() => this.#next(), STEP_MS);
  }

  #drawHead() {
    const { head } = this;
    this.slider.max = String(head);
    this.slider.style.setProperty('--part', `${(100 * (Math.max(1, this.#at ?? head) - 1)) / Math.max(1, head - 1)}%`);
    if (this.#at === undefined) this.slider.value = String(head);
    else if (this.slider.value !== String(Math.max(1, this.#at))) this.slider.value = String(this.#at);
    mark(this.slider, 'aria-valuetext', this.#at === undefined ? `now, seq ${head}` : `seq ${this.#at} of ${head}`);
    say(this.place, this.#at === undefined ? `Now · ${count(head)}` : `${count(this.#at)} of ${count(head)}`);
  }

  #slid() {
    this.#stop();
    const seq = Number(this.slider.value);
    this.#move(seq >= this.head ? undefined : seq);
  }

  #step(by) {
    this.#stop();
    const seq = (this.#at ?? this.head) + by;
    this.#move(seq >= this.head ? undefined : Math.max(1, seq));
  }

  #move(at) {
    if (at === undefined) this.#stop();
    this.#go(at);
  }

  #toggle() {
    if (this.#playing) return this.#stop();
    this.#drawPlay(true);
    this.#playing = setTimeout(() => this.#next(), 0);
    if (this.#at === undefined) this.#go(1);
    return undefined;
  }

  #next() {
    const seq = (this.#at ?? 0) + Math.max(1, Math.round(this.head / STEPS));
    if (seq >= this.head) return this.#move(undefined);
    return this.#go(seq);
  }

  #stop() {
    clearTimeout(this.#playing);
    this.#playing = 0;
    this.#drawPlay(false);
  }

  #drawPlay(playing) {
    const label = playing ? 'Stop' : 'Play';
    fill(this.play, icon(playing ? 'pause' : 'play'));
    mark(this.play, 'aria-label', label);
    mark(this.play, 'title', label);
  }

  /** It begins with where one stands. */
  #askTime() {
    const at = new Date(this.change.querySelector('time')?.dateTime ?? Date.now());
    this.time.value = new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
    this.time.focus();
  }

  /** The seq of a time is what a read as of then says. */
  async #goToTime(refuse) {
    if (!this.time.value) return;
    try {
      const { seq } = await this.#db.fetch({ at: new Date(this.time.value).toISOString(), limit: 1, fields: ['_id'] });
      this.#stop();
      this.#move(seq);
    } catch (error) {
      refuse(error);
    }
  }

  async #describe(seq, stale) {
    if (seq === 0) return void fill(this.change, pastMark(), h('span', { class: 'faint' }, 'before the first change'));
    const change = await changeAt(seq).catch(() => undefined);
    if (stale() || this.#at !== seq) return;
    if (!change) return void fill(this.change);
    const what = told(change)
      .slice(0, 2)
      .map(({ path, after }) => `${path}${after === undefined ? ' unset' : ` → ${brief(after, 40)}`}`);
    fill(
      this.change,
      pastMark(),
      h('time', { datetime: change.at }, moment(change.at)),
      badge(change.kind),
      h('span', { class: 'mono' }, change.eventId),
      h('span', { class: 'faint' }, what.join(', ')),
    );
  }
}

/** What no one may overlook while it holds. */
function pastMark() {
  return h('strong', null, 'The past');
}
