/**
 * A document as JSON to write in. What saving will change is listed as one types, and is all that is sent: with the
 * version that one began from, so nothing that others wrote meanwhile is lost unseen.
 */
import { button } from './controls.js';
import { Conflict } from './conflict.js';
import { differences, isPlain, own, updateBetween } from './diff.js';
import { differenceTable } from './differences.js';
import { fill, h, mark, say, unique } from './dom.js';
import { jsonError } from './filter_text.js';
import { escaped } from './unseen.js';

const CALM_MS = 150;

export class Editor {
  #db;
  #base;
  #saved;
  #text;

  /** `base`: the event as one began; `undefined` for a new one. `saved(event)`: it is durable. */
  constructor(scope, { db, base, saved }) {
    this.#db = db;
    this.#saved = saved;
    const error = unique('editor-error');
    this.error = h('p', { class: 'field-error', id: error, 'aria-live': 'polite' });
    this.input = h('textarea', {
      class: 'editor mono',
      dir: 'ltr',
      spellcheck: 'false',
      autocomplete: 'off',
      rows: '14',
      'aria-describedby': error,
      'aria-label': base ? `Fields of ${base._id}` : 'Fields of the new event',
    });
    this.save = button(base ? 'Save' : 'Create', () => this.#submit(), 'primary');
    this.undo = button('Start over', () => this.#begin(this.#base));
    this.meanwhile = h('p', { class: 'callout', role: 'status', hidden: true });
    this.preview = h('div', { class: 'preview' });
    this.conflict = h('div');
    this.element = h(
      'div',
      { class: 'editor-box' },
      this.conflict,
      this.meanwhile,
      this.input,
      this.error,
      h(
        'div',
        { class: 'buttons' },
        this.save,
        this.undo,
        h('span', { class: 'faint wide-only' }, 'Ctrl + Enter saves'),
      ),
      this.preview,
    );
    const calm = scope.calm(CALM_MS, () => this.#judge());
    scope.listen(this.input, 'input', calm);
    scope.listen(this.input, 'keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.#submit();
    });
    this.#begin(base);
  }

  /** Someone wrote the event. What one has not touched follows; what one has is kept until it is saved. */
  follow(event) {
    if (event._version === this.#base._version) return;
    if (!this.#touched) return this.#begin(event);
    const names = differences(this.#base, event).map(({ path }) => path);
    this.meanwhile.hidden = false;
    say(this.meanwhile, `Version ${event._version} was written meanwhile (${names.join(', ')}). Saving shows both.`);
  }

  get #touched() {
    return this.input.value !== this.#text;
  }

  #begin(base, text = base ? written(base) : '{\n  \n}') {
    this.#base = base;
    this.#text = base ? written(base) : text;
    this.input.value = text;
    this.meanwhile.hidden = true;
    fill(this.conflict);
    this.#judge();
  }

  /** What is typed as a document; says what is wrong with it otherwise. */
  #read() {
    let document;
    try {
      document = JSON.parse(this.input.value);
    } catch (error) {
      return this.#say(jsonError(error, this.input.value));
    }
    if (!isPlain(document)) return this.#say('an event is an object: { … }');
    const name = Object.keys(document).find((name) => name.startsWith('_') && (this.#base || name !== '_id'));
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
    const found = document && this.#base ? differences(this.#base, document) : [];
    this.save.disabled = !document || (this.#base && found.length === 0);
    this.undo.hidden = !this.#touched;
    fill(
      this.preview,
      found.length > 0 && [
        h('h3', null, 'What saving changes'),
        differenceTable(found, { after: 'Yours', before: 'Now' }),
      ],
    );
  }

  async #submit() {
    const document = this.#read();
    if (!document) return;
    if (!this.#base) return this.#send(() => this.#db.create(document, { optimistic: false }), document);
    const update = updateBetween(this.#base, document);
    if (update) this.#send(() => this.#update(update, this.#base._version), document);
  }

  #update(update, expectedVersion) {
    return this.#db.update(this.#base._id, update, { expectedVersion, optimistic: false });
  }

  async #send(write, mine) {
    this.save.disabled = true;
    try {
      const event = await write();
      this.#begin(event ?? this.#base);
      this.#saved(event);
    } catch (error) {
      this.save.disabled = false;
      if (error.code === 'version_conflict' && error.details?.current) this.#show(error.details.current, mine);
      else this.#say([error.path?.replace(/^payload\.(updateData\.)?/, ''), error.message].filter(Boolean).join(': '));
    }
  }

  #show(current, mine) {
    const conflict = new Conflict({
      base: this.#base,
      current,
      mine,
      takeTheirs: () => this.#begin(current),
      overwrite: () => this.#overwrite(current, mine),
      keepBoth: () => this.#send(() => this.#update(updateBetween(this.#base, mine), current._version), mine),
      keepEditing: () => {
        this.#begin(current, this.input.value);
        this.input.focus();
      },
    });
    this.meanwhile.hidden = true;
    fill(this.conflict, conflict.element);
    conflict.focus();
  }

  /** What makes theirs into mine; it may be that they wrote the same. */
  #overwrite(current, mine) {
    const update = updateBetween(current, mine);
    if (!update) return this.#begin(current);
    return this.#send(() => this.#update(update, current._version), mine);
  }
}

/** Its fields as JSON, in which every character is seen. */
function written(event) {
  return escaped(JSON.stringify(own(event), null, 2));
}
