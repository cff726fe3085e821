/** Reads the manual that this server brings along. */
import { fill, h } from './dom.js';
import { markdown } from './markdown.js';
import { address } from './router.js';

const PAGES = [
  ['readme', 'Readme'],
  ['concepts', 'Concepts'],
  ['wire', 'The wire'],
  ['console', 'The console'],
  ['client', 'The client'],
  ['subscriptions', 'Subscriptions'],
  ['filters', 'Filters'],
  ['updates', 'Updates'],
  ['past', 'The past'],
  ['socketio', 'Socket.IO'],
  ['adopting', 'Adopting'],
  ['moving', 'Moving in'],
  ['promises', 'Promises'],
  ['operating', 'Operating'],
  ['access', 'Access'],
  ['deploying', 'Deploying'],
  ['figures', 'Figures'],
  ['maintaining', 'Maintaining'],
  ['decisions', 'Decisions'],
  ['changelog', 'Changelog'],
];
const NAMES = new Set(PAGES.map(([name]) => name));

export class ManualView {
  title = 'Manual';
  #page;
  #scope;

  constructor({ scope }) {
    this.#scope = scope;
    this.links = new Map(PAGES.map(([name, title]) => [name, h('a', { href: address('manual', {}, [name]) }, title)]));
    this.text = h('article', { class: 'prose manual-text' });
    this.contents = h(
      'nav',
      { class: 'manual-nav', 'aria-label': 'Pages of the manual' },
      h(
        'ul',
        null,
        [...this.links.values()].map((link) => h('li', null, link)),
      ),
    );
    this.element = h(
      'div',
      { class: 'view manual' },
      this.contents,
      h('div', { class: 'manual-main', tabindex: '0', role: 'region', 'aria-label': 'Page' }, this.text),
    );
  }

  /** @param {import('./router.js').Route} route `#/manual/filters/what-filters-may-cost` */
  async show({ rest: [page = 'readme', anchor] }) {
    if (page !== this.#page) await this.#read(page);
    if (this.#scope.closed) return;
    const place = anchor && [...this.text.querySelectorAll('[id]')].find(({ id }) => id === anchor);
    if (place) {
      place.scrollIntoView();
      place.focus({ preventScroll: true });
    } else {
      this.text.parentElement.scrollTop = 0;
    }
  }

  async #read(page) {
    this.#page = page;
    for (const [name, link] of this.links) {
      if (name === page) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    this.links.get(page)?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    const response = NAMES.has(page) || page === 'index' ? await fetch(`/manual/${page}.md`) : undefined;
    if (page !== this.#page) return;
    if (!response?.ok)
      return void fill(this.text, h('h1', { tabindex: '-1' }, 'Manual'), h('p', null, `There is no page “${page}”.`));
    fill(
      this.text,
      markdown(await response.text(), (target) => linkOf(page, target)),
    );
  }
}

/** Links between the pages stay in the console; those to source files have no place here. */
function linkOf(page, target) {
  if (/^https?:/.test(target)) return target;
  if (target.startsWith('#')) return address('manual', {}, [page, target.slice(1)]);
  const found = /(?:^|\/)([\w-]+)\.md(?:#(.*))?$/.exec(target);
  const name = found?.[1].toLowerCase();
  if (!NAMES.has(name) && name !== 'index') return undefined;
  return address('manual', {}, found[2] ? [name, found[2]] : [name]);
}
