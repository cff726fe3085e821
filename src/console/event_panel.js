/** One event beside the table: the document, its editor, its history. It follows what others write to it. */
import { isConnected } from './connection.js';
import { button } from './controls.js';
import { own } from './diff.js';
import { editorPlace, formPlace } from './drafts.js';
import { Editor } from './editor.js';
import { fill, h, mark } from './dom.js';
import { moment, when } from './format.js';
import { History } from './history.js';
import { turn } from './router.js';
import { SidePanel } from './side_panel.js';
import { tabs } from './tabs.js';
import { tree } from './tree.js';

export class EventPanel {
  #db;
  #notices;
  #drafts;
  #panel;
  #shown = '';
  #live;
  #scope;

  constructor({ db, scope, notices, drafts, close }) {
    this.#db = db;
    this.#notices = notices;
    this.#drafts = drafts;
    this.#panel = new SidePanel(scope, { close });
    this.element = this.#panel.element;
  }

  /** What the address says. @param {{ id?: string, tab?: string, at?: number, form?: string }} wanted */
  show({ id, tab = 'document', at, form }) {
    const wanted = JSON.stringify({ id, at, form });
    if (wanted === this.#shown) return void this.#live?.tabs.show(tab);
    this.#shown = wanted;
    this.#live = undefined;
    if (form !== undefined) return this.#showNew(form);
    if (id === undefined) return this.#panel.close(true);
    const same = this.#panel.isOpen && this.id === id;
    this.id = id;
    this.#scope = this.#panel.open(id, { focus: !same });
    return at === undefined ? this.#showLive(id, tab) : this.#showPast(id, at);
  }

  /** What was read may be nothing that may still be seen; the document follows by itself. */
  readAnew() {
    if (this.#live) return this.#live.history.readAnew();
    const { id, at } = JSON.parse(this.#shown || '{}');
    return at === undefined ? undefined : this.#showPast(id, at);
  }

  #showNew(form) {
    this.id = undefined;
    this.#panel.open('New event', { focus: false });
    const given = { db: this.#db, notices: this.#notices, drafts: this.#drafts };
    const editor = this.#drafts.get(formPlace(form)) ?? new Editor(given, { form });
    editor.reopen();
    fill(
      this.#panel.body,
      h('p', { class: 'faint' }, 'Its fields as JSON. An _id may be chosen; else the server makes one.'),
      editor.element,
    );
    editor.input.focus();
    if (!editor.isTouched) editor.input.setSelectionRange(4, 4);
  }

  #showLive(id, tab) {
    const live = new LiveEvent(this.#scope, { db: this.#db, id, notices: this.#notices, drafts: this.#drafts });
    this.#live = live;
    fill(this.#panel.body, live.element);
    live.tabs.show(tab);
  }

  async #showPast(id, at) {
    const scope = this.#scope;
    const say = (text) => fill(this.#panel.body, h('p', { class: 'faint' }, text));
    const event = await this.#db.get(id, { at }).catch((error) => error);
    if (scope.closed) return undefined;
    if (!event) return say(`There was no such event ${then(at)}.`);
    if (event instanceof Error) return say(`It could not be read: ${event.message}`);
    const act = () => restore(this.#db, this.#notices, id, event._version);
    const back = button(`Restore version ${event._version}`, act);
    fill(
      this.#panel.body,
      h('p', { class: 'callout past' }, `As it was ${then(at)}.`),
      facts(event),
      tree(own(event)),
      h('div', { class: 'buttons' }, back),
    );
    return undefined;
  }
}

class LiveEvent {
  #db;
  #id;
  #notices;
  #drafts;
  #scope;
  #event;
  #wasThere = false;

  constructor(scope, { db, id, notices, drafts }) {
    Object.assign(this, { element: h('div', { class: 'event' }) });
    this.#db = db;
    this.#id = id;
    this.#notices = notices;
    this.#drafts = drafts;
    this.#scope = scope;
    this.facts = h('div');
    this.document = h('div', { class: 'event-document' });
    this.edit = h('div');
    this.past = h('div');
    this.actions = h('div', { class: 'buttons' });
    this.tabs = tabs(scope, {
      label: 'This event',
      choose: (tab) => turn({ tab: tab === 'document' ? undefined : tab }, true),
      items: [
        ['document', 'Document', this.document],
        ['edit', 'Edit', this.edit],
        ['history', 'History', this.past],
      ],
    });
    fill(this.element, this.facts, this.tabs.element, this.actions);
    this.history = new History(scope, {
      db,
      id,
      restore: (version) => restore(db, notices, id, version, this.#event?._version),
    });
    fill(this.past, this.history.element);
    this.query = db.query({ filter: { _id: id }, optimistic: false });
    scope.add(() => this.query.close());
    scope.add(this.query.subscribe(() => this.#draw()));
    scope.add(db.onState(() => this.#draw()));
    const draft = drafts.get(editorPlace(id));
    if (draft) this.#attach(draft);
    this.#draw();
  }

  #draw() {
    if (!this.query.ready) return this.#drawUnread();
    const event = this.query.get()[0];
    if (event === this.#event && this.#wasThere) return;
    const isNews = this.#wasThere && event?._version !== this.#event?._version;
    this.#event = event;
    this.#wasThere = true;
    if (event) this.#drawEvent(event);
    else this.#drawGone();
    if (isNews) this.history.reload();
  }

  #drawUnread() {
    const said = 'There is no connection, so this event cannot be read now. It is shown as soon as there is one.';
    fill(this.facts, !isConnected(this.#db) && h('p', { class: 'callout', role: 'status' }, said));
  }

  #attach(editor) {
    this.editor = editor;
    editor.changed = () => this.#drawDraft();
    this.#scope.add(() => (editor.changed = () => {}));
    editor.reopen();
    fill(this.edit, editor.element);
  }

  #drawDraft() {
    const isDraft = this.editor.isTouched;
    this.tabs.rename('edit', isDraft ? 'Edit · draft' : 'Edit');
    if (!isDraft && this.#wasThere && !this.#event && !this.editor.isBusy) this.#drawGone();
  }

  #drawEvent(event) {
    fill(this.facts, facts(event));
    fill(this.document, tree(own(event)));
    fill(this.actions, this.#deletion());
    if (this.editor) return this.editor.follow(event);
    this.#attach(new Editor({ db: this.#db, notices: this.#notices, drafts: this.#drafts }, { base: event }));
    return undefined;
  }

  /** What one has typed of it stays in sight. */
  #drawGone() {
    fill(
      this.facts,
      h('p', { class: 'callout' }, 'There is no such event now. Its history, if it has one, can be restored.'),
    );
    fill(this.document);
    fill(this.actions);
    this.editor?.follow(undefined);
    if (this.editor?.isTouched || this.editor?.isBusy) return this.tabs.show('edit');
    this.editor = undefined;
    fill(this.edit);
    return this.tabs.show('history');
  }

  /** Asked once more, in place: a dialog for one question would be too much. */
  #deletion() {
    const ask = button('Delete …', undefined, 'quiet danger-text');
    const sure = button('Delete this event', () => this.#delete(), 'danger');
    const no = button('Keep it', undefined);
    const box = h('div', { class: 'buttons' }, ask);
    ask.addEventListener('click', () => {
      fill(box, sure, no);
      no.focus();
    });
    no.addEventListener('click', () => {
      fill(box, ask);
      ask.focus();
    });
    return box;
  }

  async #delete() {
    const { _version: version } = this.#event;
    try {
      await this.#db.remove(this.#id, { expectedVersion: version, optimistic: false });
      const undo = () => restore(this.#db, this.#notices, this.#id, version);
      this.#notices.say(`Deleted ${this.#id}`, { about: this.#id, offer: { label: 'Undo', act: undo } });
    } catch (error) {
      this.#notices.fail('Not deleted', error);
    }
  }
}

function then(at) {
  return typeof at === 'number' ? `at seq ${at}` : `at ${moment(at)}`;
}

async function restore(db, notices, id, version, expectedVersion) {
  try {
    const event = await db.restore(id, version, { expectedVersion, optimistic: false });
    notices.say(`Restored ${id}: version ${event._version} is as version ${version} was`, { about: id });
  } catch (error) {
    notices.fail('Not restored', error);
  }
}

function time(iso) {
  return h('time', { datetime: iso, title: moment(iso) }, when(iso));
}

function facts(event) {
  const rows = [
    ['Version', String(event._version)],
    ['Seq', String(event._seq)],
    ['Created', time(event._createdAt)],
    ['Changed', time(event._updatedAt)],
  ];
  const list = h(
    'dl',
    { class: 'facts' },
    rows.map(([name, value]) => h('div', null, h('dt', null, name), h('dd', null, value))),
  );
  mark(list, 'data-version', event._version);
  return list;
}
