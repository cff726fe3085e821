/**
 * Short messages that go by themselves, with what may be done about them (such as to undo). A screen reader hears them
 * when it has nothing else to say.
 */
import { button, iconButton } from './controls.js';
import { h } from './dom.js';

const SHOWN_MS = 8000;
const SHOWN_MAX = 2;

export class Notices {
  constructor() {
    this.element = h('div', { class: 'notices', role: 'status', 'aria-live': 'polite' });
  }

  /**
   * What is said of the same thing takes the place of what was said of it before.
   *
   * @param {{ about?: string, offer?: { label: string, act: () => void } }} [options]
   */
  say(text, { about = text, offer } = {}) {
    for (const older of [...this.element.children]) if (older.dataset.about === about) older.remove();
    const notice = h('div', { class: 'notice', 'data-about': about }, h('span', { class: 'notice-text' }, text));
    const end = () => notice.remove();
    const take = () => {
      end();
      offer.act();
    };
    if (offer) notice.append(button(offer.label, take, 'quiet'));
    notice.append(iconButton('close', 'Dismiss', end));
    while (this.element.childElementCount >= SHOWN_MAX) this.element.firstElementChild.remove();
    this.element.append(notice);
    this.#endUnlessRead(notice, end);
  }

  /** What has the pointer or the focus stays. */
  #endUnlessRead(notice, end) {
    setTimeout(() => {
      if (notice.matches(':hover, :focus-within')) this.#endUnlessRead(notice, end);
      else end();
    }, SHOWN_MS);
  }

  /** What a failed request says, in one line. */
  fail(what, error) {
    this.say(`${what}: ${error?.message ?? error}`);
  }
}
