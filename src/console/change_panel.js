/** One change of the log in full: what differs, the document that it left, and the ways on from there. */
import { isConnected } from './connection.js';
import { differences, own } from './diff.js';
import { differenceTable } from './differences.js';
import { fill, h } from './dom.js';
import { badge } from './feed_row.js';
import { moment } from './format.js';
import { changeAt } from './rest.js';
import { address } from './router.js';
import { authorOf } from './session.js';
import { SidePanel } from './side_panel.js';
import { tree } from './tree.js';

export class ChangePanel {
  #db;
  #panel;
  /** Of the change that the address names; `null` if that could not be read. */
  #seq;

  constructor({ db, scope, close }) {
    this.#db = db;
    this.#panel = new SidePanel(scope, { close });
    this.element = this.#panel.element;
  }

  /** What the address says; `known`: what the feed knows of it. @param {number | undefined} seq */
  async showAt(seq, known) {
    if (seq === this.#seq) return undefined;
    this.#seq = seq;
    if (seq === undefined) return void this.#panel.close(true);
    if (known) return this.show(known);
    const scope = this.#panel.open(`Change ${seq}`);
    const asked = Date.now();
    const change = await changeAt(seq).catch((error) => error);
    if (scope.closed) return undefined;
    if (change?.seq === seq) return this.show({ change });
    const isUnread = change instanceof Error && change.code !== 'stale_position';
    const why = isUnread ? `It could not be read: ${change.message}` : `There is no change ${seq}.`;
    fill(this.#panel.body, h('p', { class: 'faint' }, why));
    if (!isUnread) return undefined;
    // It is asked for again once there is a connection, which may have come while the answer was on its way.
    this.#seq = null;
    return isConnected(this.#db) && this.#db.state.since >= asked ? this.showAt(seq) : undefined;
  }

  /** What is shown may be nothing that may still be seen. */
  readAnew() {
    const seq = this.#seq ?? undefined;
    this.#seq = undefined;
    return seq === undefined ? this.#panel.close(true) : this.showAt(seq);
  }

  /** @param {import('./feed_log.js').Entry} entry */
  show({ change, before }) {
    const scope = this.#panel.open(change.eventId ?? change.kind);
    const about = h('div', { class: 'change' });
    fill(this.#panel.body, facts(change), ways(change), about);
    if (change.kind === 'reset') return;
    draw(about, change, before);
    if (before === undefined) this.#lookUp(scope, about, change);
  }

  /** What it was before is in the log, if the feed has not heard it. */
  async #lookUp(scope, about, change) {
    try {
      const { data } = await this.#db.history(change.eventId, { after: change.seq, limit: 1 });
      if (!scope.closed && data[0]?.data) draw(about, change, data[0].data);
    } catch {
      // Without it the panel shows the new values alone, which it does already.
    }
  }
}

function facts(change) {
  const rows = [
    ['Kind', badge(change.kind)],
    ['Seq', String(change.seq)],
    ['Version', change.version && String(change.version)],
    ['At', change.at && moment(change.at)],
    ['By', change.by && authorOf(change.by)],
  ];
  const shown = rows.filter(([, value]) => value);
  return h(
    'dl',
    { class: 'facts' },
    shown.map(([name, value]) => h('div', null, h('dt', null, name), h('dd', null, value))),
  );
}

function ways(change) {
  if (!change.eventId) return undefined;
  return h(
    'p',
    { class: 'ways' },
    h('a', { href: address('events', { id: change.eventId }) }, 'The event now'),
    h('a', { href: address('events', { id: change.eventId, tab: 'history' }) }, 'Its history'),
    h('a', { href: address('events', { at: change.seq, id: change.eventId }) }, 'All events as of then'),
  );
}

function draw(about, change, before) {
  const parts = [];
  if (change.kind === 'update' && before) {
    parts.push(h('h3', null, 'What differs'), differenceTable(differences(before, change.data)));
  } else if (change.patch) {
    const patch = Object.entries(change.patch.set ?? {}).map(([path, after]) => ({ path, after }));
    const gone = (change.patch.unset ?? []).map((path) => ({ path }));
    parts.push(h('h3', null, 'What was set'), differenceTable([...patch, ...gone]));
  }
  const document = change.data ?? before;
  if (document)
    parts.push(h('h3', null, change.data ? 'The event after it' : 'The event before it'), tree(own(document)));
  fill(about, parts);
}
