/**
 * Signing in, where the server asks who is there: a button that says who is, and a window for a token or an API key. It
 * opens by itself when nothing can be seen without.
 */
import { button, iconButton } from './controls.js';
import { fill, h, mark, say, unique } from './dom.js';
import { lasting, moment } from './format.js';
import { icon } from './icons.js';
import { credentials, isGuarded, keep, nameOf, personOf } from './session.js';

const WHAT =
  'This server asks who is there. A token (a JWT of your identity provider) or an API key lets this page in; it is kept in ' +
  'this tab alone, until the tab is closed.';
const TICK_MS = 1000;

export class SignIn {
  #db;
  #drafts;
  /** What is tried at the moment. @type {import('./session.js').Credentials | undefined} */
  #tried;
  /** Whom the page shows something of; `undefined` until it shows anything. @type {{ person?: string } | undefined} */
  #shown;
  #wasAsked = false;

  constructor(scope, { db, drafts }) {
    this.#db = db;
    this.#drafts = drafts;
    this.word = h('span', { class: 'nav-word' });
    this.button = h(
      'button',
      { type: 'button', class: 'nav-button', hidden: true, onclick: () => this.#open() },
      icon('person'),
      this.word,
    );
    this.dialog = this.#build();
    scope.add(db.onState(() => this.#follow()));
    scope.every(TICK_MS, () => this.dialog.open && this.#drawFacts());
  }

  /** Once it is in the page: it may have to open at once. */
  begin() {
    this.#follow();
  }

  #build() {
    const [title, error, help] = [unique('sign-in'), unique('sign-in-error'), unique('sign-in-help')];
    this.title = h('h2', { id: title, class: 'panel-title' }, 'Sign in');
    this.error = h('p', { class: 'field-error', id: error, role: 'alert' });
    this.token = h('input', {
      type: 'password',
      class: 'mono',
      name: 'token',
      autocomplete: 'off',
      spellcheck: 'false',
      required: true,
      'aria-describedby': `${help} ${error}`,
    });
    this.role = h('input', { name: 'role', autocomplete: 'off', spellcheck: 'false' });
    this.send = h('button', { type: 'submit', class: 'primary' }, 'Sign in');
    this.form = h(
      'form',
      { class: 'sign-in', novalidate: true },
      h('p', { class: 'faint', id: help }, WHAT),
      h('label', null, h('span', null, 'Token or API key'), this.token),
      h('label', null, h('span', null, 'Role, if it gives several'), this.role),
      this.error,
      h('div', { class: 'buttons' }, this.send),
    );
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#signIn();
    });
    this.facts = h('dl', { class: 'facts column' });
    this.out = button('Sign out', () => this.#signOut());
    this.about = h('div', { class: 'sign-in', hidden: true }, this.facts, h('div', { class: 'buttons' }, this.out));
    const close = iconButton('close', 'Close', () => this.dialog.close());
    return h(
      'dialog',
      { class: 'drawer', 'aria-labelledby': title },
      h('header', { class: 'panel-head' }, this.title, close),
      h('div', { class: 'panel-body' }, this.about, this.form),
    );
  }

  #open() {
    this.#draw();
    if (!this.dialog.open) this.dialog.showModal();
    (this.form.hidden ? this.out : this.token).focus();
  }

  /** Whatever became of the connection. */
  #follow() {
    const { name, reason } = this.#db.state;
    const isIn = name === 'live' || name === 'behind';
    if (name === 'needs-auth') this.#asked(reason);
    else if (isIn) this.#isIn();
    this.#draw();
  }

  #asked(reason) {
    const wasTried = this.#tried !== undefined;
    this.#tried = undefined;
    mark(this.send, 'disabled', false);
    if (wasTried || credentials()) this.#refuse(reason);
    if (this.#wasAsked && !wasTried) return;
    this.#wasAsked = true;
    this.#open();
  }

  #refuse(reason) {
    say(this.error, reason ? `Not let in: ${reason}` : '');
    mark(this.token, 'aria-invalid', 'true');
  }

  /** What one has seen the next one does not: the page begins anew when it is somebody else's. */
  #isIn() {
    const person = personOf(this.#db.identity);
    const isOther = this.#shown !== undefined && this.#shown.person !== person;
    const wasTried = this.#tried;
    this.#tried = undefined;
    this.#wasAsked = false;
    if (wasTried) {
      keep(wasTried);
      this.token.value = '';
      this.#refuse('');
      mark(this.token, 'aria-invalid', undefined);
      mark(this.send, 'disabled', false);
      this.dialog.close();
    }
    if (!isOther) return void (this.#shown = { person });
    this.#drafts.clear();
    // What was shown would stay in sight until the new page is here.
    fill(document.querySelector('main'));
    location.reload();
    return undefined;
  }

  #signIn() {
    const token = this.token.value.trim();
    const role = this.role.value.trim() || undefined;
    if (!token) {
      this.#refuse('there is no token in the field');
      return this.token.focus();
    }
    say(this.error, '');
    mark(this.token, 'aria-invalid', undefined);
    mark(this.send, 'disabled', true);
    this.#tried = { token, role };
    return this.#db.authenticate(token, { role });
  }

  /** Nothing that was seen stays in the page. */
  #signOut() {
    keep(undefined);
    location.reload();
  }

  #draw() {
    const { identity } = this.#db;
    const isSomebody = personOf(identity) !== undefined && this.#db.state.name !== 'needs-auth';
    this.button.hidden = !isGuarded(this.#db) && !credentials();
    say(this.word, isSomebody ? `${nameOf(identity)} · ${identity.role}` : 'Sign in');
    say(this.title, isSomebody ? 'Signed in' : 'Sign in');
    this.about.hidden = !isSomebody;
    this.form.hidden = isSomebody;
    this.#drawFacts();
  }

  #drawFacts() {
    const { identity = {} } = this.#db;
    const rows = [
      ['Who', nameOf(identity)],
      ['Issuer', identity.iss],
      ['Role', identity.role],
      ['Until', until(identity.expiresAt)],
    ];
    fill(
      this.facts,
      rows
        .filter(([, value]) => value)
        .map(([label, value]) => h('div', null, h('dt', null, label), h('dd', null, value))),
    );
  }
}

function until(time) {
  if (time === undefined) return 'it is revoked';
  const seconds = Math.round((Date.parse(time) - Date.now()) / 1000);
  return seconds > 0 ? `${moment(time)}, ${lasting(seconds)} from now` : `${moment(time)}, which is past`;
}
