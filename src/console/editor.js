/**
 * A document as JSON to write in, of one event for all its life. What saving will change is listed as one types, and is
 * all that is sent: with the version that one began from, so nothing that others wrote meanwhile is lost unseen. While
 * it holds what is not saved it is kept among the drafts, and may be out of sight.
 */
import { bothTable, Conflict } from './conflict.js';
import { button } from './controls.js';
import { copyButton } from './copy_button.js';
import { differences, isPlain, own, updateBetween } from './diff.js';
import { differenceTable } from './differences.js';
import { fill, h, mark, say, unique } from './dom.js';
import { editorPlace, formPlace } from './drafts.js';
import { readJson } from './json_text.js';
import { turn } from './router.js';
import { Scope } from './scope.js';
import { escaped } from './unseen.js';

const CALM_MS = 150;
const UNSENT = 'There is no connection. It is sent as soon as there is one, if this page stays open. ';
const DELETED = 'This event was deleted. Your text is still here: copy it, or create the event anew. ';
const DRAFT = 'This is your draft, which is not saved. ';

export class Editor {
  #db;
  #notices;
  #drafts;
  #id;
  /** The event as one began. */
  #base;
  /** The event as it is now; `undefined` once it is deleted, and for a new one. */
  #current;
  /** The text of what one began with. */
  #begun;
  #isBusy = false;
  #isRefused = false;
  #isReopened = false;
  /** Called when there is or is no longer something unsaved. */
  changed = () => {};

  /** `base`: the event as one begins; for a new one `form`, a name of the form. */
  constructor({ db, notices, drafts }, { base, form }) {
    this.#db = db;
    this.#notices = notices;
    this.#drafts = drafts;
    this.#id = base?._id;
    this.#current = base;
    this.form = form;
    this.place = base ? editorPlace(base._id) : formPlace(form);
    this.element = this.#build();
    this.#begin(base);
  }

  #build() {
    const scope = new Scope();
    const error = unique('editor-error');
    const label = this.isNew ? 'Fields of the new event' : `Fields of ${this.#id}`;
    this.error = h('p', { class: 'field-error', id: error, 'aria-live': 'polite' });
    this.input = h('textarea', {
      class: 'editor mono',
      dir: 'ltr',
      spellcheck: 'false',
      autocomplete: 'off',
      rows: '14',
      'aria-describedby': error,
      'aria-label': label,
    });
    this.save = button('', () => this.#submit(), 'primary');
    this.undo = button('Discard my draft', () => this.#begin(this.#current));
    this.copy = copyButton('what you typed', () => this.input.value, this.input);
    this.note = h('p', { class: 'callout', role: 'status', hidden: true });
    this.preview = h('div', { class: 'preview' });
    this.conflict = h('div');
    const calm = scope.calm(CALM_MS, () => this.#judge());
    this.input.addEventListener('input', () => {
      this.#keep();
      calm();
    });
    this.input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.#submit();
    });
    const hint = h('span', { class: 'faint wide-only' }, 'Ctrl + Enter saves');
    const buttons = h('div', { class: 'buttons' }, this.save, this.undo, this.copy, hint);
    return h(
      'div',
      { class: 'editor-box' },
      this.conflict,
      this.note,
      this.input,
      this.error,
      buttons,
      this.preview,
    );
  }

  get isNew() {
    return this.#id === undefined;
  }

  /** Whether it holds what is not saved. */
  get isTouched() {
    return this.input.value !== this.#begun;
  }

  /** Whether what it sent is not answered yet. */
  get isBusy() {
    return this.#isBusy;
  }

  get #isDeleted() {
    return !this.isNew && this.#current === undefined;
  }

  /** It comes into sight again. */
  reopen() {
    this.#isReopened = this.isTouched;
    this.#draw();
  }

  /**
   * The event was written, or deleted (`undefined`). What one has not touched follows; what one has is kept until it is
   * saved.
   */
  follow(event) {
    if (event?._seq === this.#current?._seq) return;
    this.#current = event;
    if (this.#isBusy) return;
    if (!this.isTouched && event) return this.#begin(event);
    if (this.#isRefused) this.#showConflict(this.conflict.contains(document.activeElement));
    this.#draw();
  }

  #begin(event, text = textOf(event)) {
    this.#base = event;
    this.#begun = textOf(event);
    this.#isRefused = false;
    this.#isReopened &&= text !== this.#begun;
    this.input.value = text;
    this.#draw();
  }

  #keep() {
    if (this.isTouched || this.#isBusy) this.#drafts.keep(this);
    else this.#drafts.drop(this);
    this.undo.hidden = !this.isTouched || this.#isBusy;
    this.changed();
  }

  #draw() {
    if (!this.#isRefused || this.#isDeleted) fill(this.conflict);
    this.input.readOnly = this.#isBusy || this.#isRefused;
    say(this.save, this.isNew ? 'Create' : this.#isDeleted ? 'Create it anew' : 'Save');
    this.copy.hidden = !this.#isDeleted;
    this.#judge();
    this.#keep();
    const said = this.#words();
    say(this.note, said);
    this.note.hidden = said === '';
  }

  /** What has to be known of it besides the text. */
  #words() {
    if (this.#isBusy) return this.#db.state.name === 'live' ? '' : UNSENT;
    if (this.#isRefused || !this.isTouched) return '';
    if (this.#isDeleted) return DELETED;
    const { _version: version } = this.#current ?? {};
    const names = this.#isOvertaken ? differences(this.#base, this.#current).map(({ path }) => path) : [];
    const meanwhile = this.#isOvertaken && `Version ${version} was written meanwhile (${names.join(', ')}). `;
    return [this.#isReopened && DRAFT, meanwhile].filter(Boolean).join('');
  }

  /** Whether others have written since one began. */
  get #isOvertaken() {
    return this.#base !== undefined && this.#current !== undefined && this.#base._seq !== this.#current._seq;
  }

  /** What is typed as a document; says what is wrong with it otherwise. */
  #read() {
    const { value: document, error } = readJson(this.input.value);
    if (error !== undefined) return this.#say(error);
    if (!isPlain(document)) return this.#say('an event is an object: { … }');
    const name = Object.keys(document).find((name) => name.startsWith('_') && !(this.isNew && name === '_id'));
    if (name !== undefined) return this.#say(`names that begin with _ are the server’s: ${name}`);
    this.#say('');
    return document;
  }

  #say(text) {
    say(this.error, text);
    mark(this.input, 'aria-invalid', text !== '' && 'true');
  }

  #judge() {
    const document = this.#read();
    const found = document && this.#base && this.#current ? differences(this.#base, document) : [];
    const isSame = this.#current !== undefined && found.length === 0;
    this.save.disabled = this.#isBusy || this.#isRefused || !document || isSame;
    const isShown = found.length > 0 && !this.#isRefused;
    fill(this.preview, isShown && [h('h3', null, 'What saving changes'), this.#changes(document, found)]);
  }

  #changes(document, found) {
    if (this.#isOvertaken) return bothTable(this.#base, this.#current, document);
    return differenceTable(found, { after: 'Yours', before: 'Now' });
  }

  #submit() {
    const document = this.#isBusy || this.#isRefused ? undefined : this.#read();
    if (!document) return undefined;
    if (!this.#current) return this.#send(() => this.#create(document));
    const update = updateBetween(this.#base, document);
    return update && this.#send(() => this.#update(update, this.#base._version));
  }

  #create(document) {
    const named = this.isNew ? document : { _id: this.#id, ...document };
    return this.#db.create(named, { optimistic: false });
  }

  #update(update, expectedVersion) {
    return this.#db.update(this.#id, update, { expectedVersion, optimistic: false });
  }

  async #send(write) {
    this.#isBusy = true;
    this.#isRefused = false;
    const stop = this.#db.onState(() => this.#draw());
    this.#draw();
    try {
      const event = await write();
      this.#isBusy = false;
      this.#saved(event);
    } catch (error) {
      this.#isBusy = false;
      this.#draw();
      this.#refuse(error);
    } finally {
      stop();
    }
  }

  #saved(event) {
    if (this.isNew) return this.#created(event);
    if (!(this.#current?._seq > event._seq)) this.#current = event;
    this.#begin(this.#current);
    this.#notices.say(`Saved ${event._id} as version ${event._version}`, { about: event._id });
    return undefined;
  }

  /** Who still looks at the form is led to the event; who does something else is told, and goes on. */
  #created(event) {
    const isSeen = this.element.isConnected;
    this.#begin(undefined);
    if (isSeen) return turn({ new: undefined, id: event._id }, true);
    const show = () => (location.hash = editorPlace(event._id));
    return this.#notices.say(`Created ${event._id}`, { about: event._id, offer: { label: 'Show', act: show } });
  }

  #refuse(error) {
    if (error.code === 'version_conflict' && error.details?.current) this.#conflict(error.details.current);
    else this.#say([error.path?.replace(/^payload\.(updateData\.)?/, ''), error.message].filter(Boolean).join(': '));
    if (this.element.isConnected) return;
    const what = this.isNew ? 'Not created' : `Not saved ${this.#id}`;
    const show = () => (location.hash = this.place);
    this.#notices.say(`${what}: ${error.message}`, { about: this.place, offer: { label: 'Show', act: show } });
  }

  #conflict(current) {
    if (!(this.#current?._seq > current._seq)) this.#current = current;
    this.#isRefused = true;
    this.#showConflict(this.element.isConnected);
    this.#draw();
  }

  /** The one place where both are compared: the text is not to be changed until one has chosen. */
  #showConflict(withFocus) {
    const [base, current, mine] = [this.#base, this.#current, this.#read()];
    if (!current) return void (this.#isRefused = false);
    const conflict = new Conflict({
      base,
      current,
      mine,
      takeTheirs: () => this.#begin(current),
      overwrite: () => this.#overwrite(current, mine),
      keepBoth: () => this.#send(() => this.#update(updateBetween(base, mine), current._version)),
      keepEditing: () => {
        this.#begin(current, this.input.value);
        this.input.focus();
      },
    });
    fill(this.conflict, conflict.element);
    if (withFocus) conflict.focus();
  }

  /** What makes theirs into mine; it may be that they wrote the same. */
  #overwrite(current, mine) {
    const update = updateBetween(current, mine);
    if (!update) return this.#begin(current);
    return this.#send(() => this.#update(update, current._version));
  }
}

function textOf(event) {
  return event ? escaped(JSON.stringify(own(event), null, 2)) : '{\n  \n}';
}
