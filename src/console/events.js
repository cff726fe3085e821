/** The events as a table that stays live, or as they were at a position of the log. What is shown is in the address. */
import { isConnected, liveness } from './connection.js';
import { button } from './controls.js';
import { chooseColumns, columnsOf, fieldsOf, growColumns, namedPaths, offeredPaths } from './columns.js';
import { ColumnChooser } from './column_chooser.js';
import { fill, h, say } from './dom.js';
import { EventPanel } from './event_panel.js';
import { FilterBox } from './filter_box.js';
import { readFilter } from './filter_text.js';
import { icon } from './icons.js';
import { turn } from './router.js';
import { LiveSource, PageSource, fewEnough, firstPage, readAt, whyNotYet } from './sources.js';
import { Table } from './table.js';
import { Timeline } from './timeline.js';
import { newest } from './scope.js';
import { isOtherSight } from './session.js';
import { SortBox } from './sort_box.js';

const NEWEST_FIRST = '-_createdAt';
/** Under load the table moves ten times a second. */
const DRAW_MS = 100;
/** No event has this id: of the changes of none nothing is heard but that something else may be seen. */
const NONE = { _id: '' };

/** The columns that were shown last, without the reader's choice. They outlive the view: what was shown stays. */
let shownColumns = [];

export class EventsView {
  title = 'Events';
  #db;
  #scope;
  #source;
  #shown;
  #sample = [];
  #refused = false;
  /** The address names a moment that there is not. */
  #lost = false;

  constructor({ db, scope, notices, drafts }) {
    this.#db = db;
    this.#scope = scope;
    this.note = h('p', { class: 'view-note tabular', 'aria-live': 'off' });
    this.box = new FilterBox(scope, {
      label: 'Filter the events',
      hint: 'status=open, or an id',
      apply: (text) => turn({ filter: text }),
      told: () => this.draw(),
    });
    this.chooser = new ColumnChooser(scope, { choose: (paths) => this.#chooseColumns(paths) });
    this.sort = new SortBox({ choose: (sort) => turn({ sort }, true) });
    this.table = new Table(scope, {
      open: (event) => turn({ id: event._id, tab: undefined, new: undefined }),
      near: () => this.#source?.more(),
      sort: (path) => this.#sortBy(path),
    });
    this.timeline = new Timeline(scope, {
      db,
      go: (at) => turn({ at }, true),
      refuse: (error) => this.box.refuse(error),
    });
    this.panel = new EventPanel({ db, scope, notices, drafts, close: () => this.#closed() });
    this.begin = () => turn({ new: drafts.form(), id: undefined });
    this.empty = h('div', { class: 'empty', hidden: true });
    const plus = [icon('plus'), h('span', { class: 'wide-word' }, 'New event')];
    this.create = button(plus, this.begin, 'primary');
    this.element = this.#build();
    this.draw = scope.paced(DRAW_MS, () => this.#draw());
    scope.add(
      db.onState(({ name }) => {
        if (name === 'live' && this.#refused) this.load(JSON.parse(this.#shown));
        this.draw();
      }),
    );
    scope.add(db.onChange({ filter: NONE }, (change) => isOtherSight(change) && this.#readAnew()));
    this.load = newest((wanted, stale) => this.#load(wanted, stale));
    scope.add(() => this.#source?.close());
  }

  #build() {
    return h(
      'div',
      { class: 'view' },
      h(
        'header',
        { class: 'view-head' },
        h('h1', { tabindex: '-1' }, 'Events'),
        this.note,
        h('span', { class: 'spacer' }),
        this.chooser.element,
        this.create,
      ),
      this.box.element,
      this.timeline.element,
      h(
        'div',
        { class: 'split' },
        h('div', { class: 'split-main' }, this.sort.element, this.table.element, this.empty),
        this.panel.element,
      ),
    );
  }

  /** @param {import('./router.js').Route} route */
  show({ query }) {
    const wanted = {
      text: query.filter ?? '',
      sort: query.sort || NEWEST_FIRST,
      columns: query.columns ?? '',
      at: query.at || undefined,
    };
    const isOther = JSON.stringify(wanted) !== this.#shown;
    if (isOther) this.#lost = false;
    this.box.set(wanted.text);
    this.#showBeside(query, wanted.at);
    if (!isOther) return;
    this.#shown = JSON.stringify(wanted);
    this.#showPlace(readAt(wanted.at));
    this.sort.show(
      shownColumns.map(({ path }) => path),
      wanted.sort,
    );
    say(this.note, 'reading …');
    this.load(wanted);
  }

  #showBeside({ id, tab, new: form }, at) {
    const isPast = at !== undefined;
    this.element.dataset.past = String(isPast);
    this.create.hidden = isPast;
    if (this.#lost) return this.panel.show({});
    this.panel.show({ id: id || undefined, tab, at: readAt(at), form: isPast ? undefined : form });
    return this.table.select(id);
  }

  /** Pages, the past, histories and the choice of columns do not follow by themselves. */
  #readAnew() {
    if (this.#shown === undefined) return;
    const wanted = JSON.parse(this.#shown);
    shownColumns = [];
    this.#showPlace(readAt(wanted.at));
    this.panel.readAnew();
    this.load(wanted);
  }

  /** Where a seq is that there is can be shown at once; where a time is, when the server has said it. */
  #showPlace(at) {
    const isKnown = at === undefined || (typeof at === 'number' && at <= (this.#db.seq ?? 0));
    this.timeline.element.hidden = !isKnown;
    if (isKnown) this.timeline.show(at);
  }

  /** The first page names the columns and is shown at once, until the live result is whole. */
  async #load({ text, sort, columns, at: moment }, stale) {
    const { filter, error } = readFilter(text);
    if (error !== undefined) return this.#refuse({ message: error });
    const at = readAt(moment);
    const query = { filter, sort: sortOf(sort), at };
    const isOver = () => stale() || this.#scope.closed;
    try {
      const why = await whyNotYet(this.#db, at);
      if (isOver()) return undefined;
      if (why) return this.#lose(why);
      const page = await firstPage(this.#db, query);
      if (isOver()) return undefined;
      if (this.timeline.element.hidden) this.#foundPlace(page.seq);
      const fields = fieldsOf(this.#layColumns(columns, page.data, sort));
      this.#open(new PageSource(this.#db, query, page, this.draw));
      if (at === undefined && (await fewEnough(filter, page.seq)) && !isOver())
        this.#open(new LiveSource(this.#db, { ...query, fields }, this.#source.rows, this.draw));
    } catch (refused) {
      if (stale()) return undefined;
      if (/(^|\.)at$/.test(refused.path ?? '')) return this.#lose(noMoment(moment, refused));
      this.#refuse(refused);
    }
    return undefined;
  }

  #foundPlace(seq) {
    this.timeline.element.hidden = false;
    this.timeline.show(seq);
  }

  /** There is no such moment: that is all there is to say, and the way on is now. */
  #lose(why) {
    this.#lost = true;
    this.#refused = false;
    this.#source?.close();
    this.#source = undefined;
    this.box.accept();
    this.timeline.element.hidden = true;
    this.panel.show({});
    this.table.show([]);
    this.element.dataset.live = 'false';
    say(this.note, '');
    this.#sayEmpty(why, 'Back to now', { at: undefined });
  }

  /** What was shown before stays, and says so. */
  #refuse(error) {
    this.box.refuse(error);
    this.#refused = true;
    this.draw();
  }

  /** Those that the address names, or those that were shown before, and what is new in the data beside them. */
  #layColumns(named, sample, sort) {
    this.#sample = sample;
    const chosen = namedPaths(named);
    const areChosen = chosen.length > 0;
    const columns = areChosen ? columnsOf(chosen, sample) : growColumns(shownColumns, sample);
    if (!areChosen && sample.length > 0) shownColumns = columns;
    const paths = columns.map(({ path }) => path);
    this.chooser.show(paths, offeredPaths(sample), areChosen || paths.length > chooseColumns(sample).length);
    this.sort.show(paths, sort);
    this.table.setColumns(columns, sortOf(sort), areChosen);
    return columns;
  }

  /** Without paths: as the data have it now, whatever was shown before. */
  #chooseColumns(paths) {
    if (paths) return turn({ columns: paths.join(',') }, true);
    shownColumns = [];
    turn({ columns: undefined }, true);
    return this.load(JSON.parse(this.#shown));
  }

  #open(source) {
    if (this.#refused) this.box.accept();
    this.#refused = false;
    this.#source?.close();
    this.#source = source;
    this.#draw();
    this.timeline.shown();
  }

  #draw() {
    const source = this.#source;
    if (!source) return this.#drawNothing();
    if (source.error) this.box.refuse(source.error);
    const before = this.box.isRefused ? 'what was shown before: ' : '';
    const { rows } = source;
    if (this.#sample.length === 0 && rows.length > 0) this.#chooseAnew();
    this.table.show(rows);
    const isFollowing = source.live || !isConnected(this.#db);
    say(this.note, `${before}${source.note}${isFollowing ? ` · ${liveness(this.#db)}` : ''}`);
    this.element.dataset.live = String(source.live);
    if (rows.length > 0) this.empty.hidden = true;
    else this.#sayEmpty(...emptyText(JSON.parse(this.#shown)));
    return undefined;
  }

  /** What the address asks cannot be read, before anything was shown. */
  #drawNothing() {
    if (!this.#refused) return;
    say(this.note, '');
    const all = { filter: undefined, sort: undefined };
    this.#sayEmpty('What is asked for cannot be read, so nothing is shown.', 'Show all events', all);
  }

  /** Why there is nothing, and the one thing to do about it: another address, or a new event. */
  #sayEmpty(text, offer, change) {
    this.empty.hidden = false;
    if (this.empty.dataset.text === text) return;
    this.empty.dataset.text = text;
    fill(this.empty, h('p', null, text), offer && button(offer, () => (change ? turn(change) : this.begin())));
  }

  /** There was nothing to take columns from, and now there is. */
  #chooseAnew() {
    this.#sample = [{}];
    this.load(JSON.parse(this.#shown));
  }

  #sortBy(path) {
    const now = JSON.parse(this.#shown).sort;
    turn({ sort: now === path ? `-${path}` : path }, true);
  }

  #closed() {
    turn({ id: undefined, tab: undefined, new: undefined });
    this.table.element.focus();
  }
}

function sortOf(text) {
  return text.startsWith('-') ? { [text.slice(1)]: -1 } : { [text]: 1 };
}

function noMoment(text, { code, message }) {
  if (code === 'forbidden') return `${message[0].toUpperCase()}${message.slice(1)}.`;
  return `“${text.slice(0, 60)}” is no moment: write a seq, or a time such as 2026-01-31T12:00:00Z.`;
}

/** Why there is nothing, what to press, and what that changes in the address. */
function emptyText({ text, at }) {
  const all = { filter: undefined };
  if (text && at === undefined) return ['No event matches this filter.', 'Show all events', all];
  if (text) return ['No event matched this filter then.', 'Show all events of then', all];
  if (at !== undefined) return ['There were no events then. Move the slider to the right for later ones.'];
  const first = 'There are no events yet. Write the first here, or see how a program does under Start.';
  return [first, 'New event'];
}
