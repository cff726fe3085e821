/** The frame of the console: the ways between the views, and the view that is shown. */
import { Broadcasts } from './broadcasts.js';
import { fill, h, mark } from './dom.js';
import { Drafts } from './drafts.js';
import { icon } from './icons.js';
import { Notices } from './notices.js';
import { address, current } from './router.js';
import { Scope } from './scope.js';
import { SignIn } from './sign_in.js';
import { State } from './state.js';

const THEMES = { auto: 'System colours', light: 'Light', dark: 'Dark' };

export class Shell {
  #db;
  #views;
  #shown;
  #scope = new Scope();
  #notices = new Notices();
  #drafts;

  /** `views`: name -> [title, class]. */
  constructor(db, views) {
    this.#db = db;
    this.#views = views;
    const said = 'There were too many drafts: the oldest was given up';
    const shed = ({ place }) => this.#notices.say(said, { about: place });
    this.#drafts = new Drafts(db, { shed });
    this.main = document.querySelector('main');
    const broadcasts = new Broadcasts(this.#scope, { db });
    const signIn = new SignIn(this.#scope, { db, drafts: this.#drafts });
    const foot = [signIn.button, broadcasts.button, this.#theme(), new State(this.#scope, db).element];
    fill(document.querySelector('.nav-foot'), foot);
    document.body.append(this.#notices.element, broadcasts.dialog, signIn.dialog);
    signIn.begin();
    this.links = new Map([...document.querySelectorAll('.nav-links a')].map((link) => [link.hash.slice(2), link]));
    for (const [name, link] of this.links) link.prepend(icon(name));
    addEventListener('hashchange', () => this.show());
    document.querySelector('.skip').addEventListener('click', (event) => {
      event.preventDefault();
      this.main.focus();
    });
  }

  /** Shows what the address says. */
  show() {
    const route = current();
    if (!this.#views.has(route.view)) return void location.replace(address('feed'));
    if (route.view !== this.#shown?.name) this.#change(route.view);
    this.#shown.view.show(route);
    return undefined;
  }

  #change(name) {
    const isFirst = this.#shown === undefined;
    this.#shown?.scope.close();
    const scope = this.#scope.inner();
    const View = this.#views.get(name);
    const view = new View({ db: this.#db, scope, notices: this.#notices, drafts: this.#drafts });
    this.#shown = { name, view, scope };
    fill(this.main, view.element);
    document.title = `${view.title} · livelog`;
    for (const [other, link] of this.links) mark(link, 'aria-current', other === name && 'page');
    if (!isFirst) (this.main.querySelector('h1') ?? this.main).focus({ preventScroll: true });
  }

  #theme() {
    const button = h('button', { type: 'button', class: 'nav-button', onclick: () => turnTheme(draw) });
    const draw = (theme) => {
      fill(button, icon(theme), h('span', { class: 'nav-word' }, THEMES[theme]));
    };
    draw(document.documentElement.dataset.theme ?? 'auto');
    return button;
  }
}

/** From one to the next, remembered for the next visit where the browser lets pages remember. */
function turnTheme(draw) {
  const root = document.documentElement;
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(root.dataset.theme ?? 'auto') + 1) % names.length];
  if (next === 'auto') delete root.dataset.theme;
  else root.dataset.theme = next;
  draw(next);
  try {
    if (next === 'auto') localStorage.removeItem('livelog-theme');
    else localStorage.setItem('livelog-theme', next);
  } catch {
    // It holds until the page is closed, then.
  }
}
