/**
 * The editors that hold what is not saved, for the life of the page: whoever leaves an event, its view or the form of a
 * new one finds the text again. The browser asks before the page goes while there is one, or a write that waits.
 */
import { address } from './router.js';

/** A text is at most what the server takes in one message, so these are some megabytes. */
const KEPT_MAX = 50;

export class Drafts {
  /** Place -> editor, the one that was touched last at the end. @type {Map<string, import('./editor.js').Editor>} */
  #kept = new Map();
  #forms = 0;
  #shed;
  #db;

  /** `shed(editor)`: there were too many, and the one that was touched longest ago is given up. */
  constructor(db, { shed }) {
    this.#db = db;
    this.#shed = shed;
    db.onState(() => this.#guard());
  }

  get(place) {
    return this.#kept.get(place);
  }

  keep(editor) {
    this.#kept.delete(editor.place);
    this.#kept.set(editor.place, editor);
    const oldest = this.#kept.size > KEPT_MAX && [...this.#kept.values()].find(({ isBusy }) => !isBusy);
    if (oldest) {
      this.#kept.delete(oldest.place);
      this.#shed(oldest);
    }
    this.#guard();
  }

  drop(editor) {
    if (this.#kept.get(editor.place) === editor) this.#kept.delete(editor.place);
    this.#guard();
  }

  /** Somebody else is there. */
  clear() {
    this.#kept.clear();
    this.#guard();
  }

  /** Which form for a new event to open: one with a draft, or another than those whose event is on its way. */
  form() {
    const [draft] = [...this.#kept.values()].filter(({ isNew, isBusy }) => isNew && !isBusy);
    if (draft) return draft.form;
    do this.#forms += 1;
    while (this.#kept.has(formPlace(String(this.#forms))));
    return String(this.#forms);
  }

  /** Listens only while there is something to lose: a page that always does is not kept for the back button. */
  #guard() {
    const turn = this.#kept.size > 0 || this.#db.pending > 0 ? addEventListener : removeEventListener;
    turn('beforeunload', ask);
  }
}

function ask(event) {
  event.preventDefault();
}

/** Where the editor of an event is. It is also what it is kept under. */
export function editorPlace(id) {
  return address('events', { id, tab: 'edit' });
}

export function formPlace(form) {
  return address('events', { new: form });
}
