/** The events as a table that stays live, or as they were at a position of the log. What is shown is in the address. */
import { button } from './controls.js';
import { chooseColumns, columnsOf, fieldsOf, offeredPaths } from './columns.js';
import { ColumnChooser } from './column_chooser.js';
import { h, say } from './dom.js';
import { EventPanel } from './event_panel.js';
import { FilterBox } from './filter_box.js';
import { readFilter } from './filter_text.js';
import { icon } from './icons.js';
import { turn } from './router.js';
import { LiveSource, PageSource, fewEnough, firstPage } from './sources.js';
import { Table } from './table.js';
import { Timeline } from './timeline.js';
import { newest } from './scope.js';

const NEWEST_FIRST = '-_createdAt';
/** Under load the table moves ten times a second. */
const DRAW_MS = 100;

export class EventsView {
  title = 'Events';
  #db;
  #scope;
  #source;
  #shown;
  #sample = [];
  #refused = false;

  constructor({ db, scope, notices }) {
    this.#db = db;
    this.#scope = scope;
    this.note = h('p', { class: 'view-note tabular', 'aria-live': 'off' });
    this.box = new FilterBox(scope, {
      label: 'Filter the events',
      hint: 'status=open total>100, or {"tags":"new"}',
      apply: (text) => turn({ filter: text }),
    });
    this.chooser = new ColumnChooser(scope, { choose: (paths) => turn({ columns: paths?.join(',') }, true) });
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
    this.panel = new EventPanel({ db, scope, notices, close: () => this.#closed() });
    this.empty = h('div', { class: 'empty', hidden: true });
    this.create = button([icon('plus'), 'New event'], () => turn({ new: '1', id: undefined }), 'primary');
    this.element = this.#build();
    this.draw = scope.paced(DRAW_MS, () => this.#draw());
    scope.add(
      db.onState(({ name }) => {
        if (name === 'live' && this.#refused) this.load(JSON.parse(this.#shown));
      }),
    );
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
        h('div', { class: 'split-main' }, this.table.element, this.empty),
        this.panel.element,
      ),
    );
  }

  /** @param {import('./router.js').Route} route */
  show({ query }) {
    const at = /^\d+$/.test(query.at ?? '') ? Number(query.at) : undefined;
    const wanted = { text: query.filter ?? '', sort: query.sort ?? NEWEST_FIRST, columns: query.columns ?? '', at };
    this.box.set(wanted.text);
    this.timeline.show(at);
    this.element.dataset.past = String(at !== undefined);
    this.create.hidden = at !== undefined;
    this.panel.show({ id: query.id, tab: query.tab, at, isNew: query.new !== undefined });
    this.table.select(query.id);
    if (JSON.stringify(wanted) === this.#shown) return;
    this.#shown = JSON.stringify(wanted);
    say(this.note, 'reading …');
    this.load(wanted);
  }

  /** The first page names the columns and is shown until the live result is whole. */
  async #load({ text, sort, columns, at }, stale) {
    const { filter, error } = readFilter(text);
    if (error !== undefined) return this.#refuse({ message: error });
    const query = { filter, sort: sortOf(sort), at };
    try {
      const page = await firstPage(this.#db, query);
      const few = at !== undefined || (await fewEnough(filter, page.seq));
      if (stale() || this.#scope.closed) return undefined;
      this.#open({ ...query, columns }, page, few);
    } catch (refused) {
      if (!stale()) this.#refuse(refused);
    }
    return undefined;
  }

  /** What was shown before stays, and says so. */
  #refuse(error) {
    this.box.refuse(error);
    this.#refused = true;
    this.draw();
  }

  #open({ columns, ...query }, page, few) {
    this.#sample = page.data;
    if (this.#refused) this.box.accept();
    this.#refused = false;
    const chosen = columns ? columnsOf(columns.split(','), page.data) : chooseColumns(page.data);
    this.chooser.show(
      chosen.map(({ path }) => path),
      offeredPaths(page.data),
      columns !== '',
    );
    this.table.setColumns(chosen, query.sort);
    this.#source?.close();
    this.#source =
      query.at === undefined && few
        ? new LiveSource(this.#db, { ...query, fields: fieldsOf(chosen) }, page.data, this.draw)
        : new PageSource(this.#db, query, page, this.draw);
    this.#draw();
    this.timeline.shown();
  }

  #draw() {
    const source = this.#source;
    if (!source) return this.#refused ? say(this.note, '') : undefined;
    if (source.error) this.box.refuse(source.error);
    const before = this.#refused ? 'what was shown before: ' : '';
    const { rows } = source;
    if (this.#sample.length === 0 && rows.length > 0) this.#chooseAnew();
    this.table.show(rows);
    say(this.note, `${before}${source.note}${source.live ? ' · live' : ''}`);
    this.element.dataset.live = String(source.live);
    this.empty.hidden = rows.length > 0;
    if (rows.length === 0) say(this.empty, emptyText(JSON.parse(this.#shown)));
    return undefined;
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

function emptyText({ text, at }) {
  if (text) return at === undefined ? 'No event matches this filter.' : 'No event matched this filter then.';
  return at === undefined ? 'There are no events yet. “New event” writes the first.' : 'There were no events then.';
}
