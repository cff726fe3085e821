/**
 * One of a schedule's clients: it writes whatever the dice say, and remembers what became of each write. With
 * persistence it may end and come back in the middle.
 */
import { connect } from 'livelog';

const FILTERS = [
  {},
  { in: true },
  { n: { $gte: 2 } },
  { $or: [{ in: false }, { n: { $lt: 1 } }] },
  { title: { $in: ['t0', 't1'] } },
  { n: { $exists: true }, title: { $ne: 't2' } },
];
const SORTS = [undefined, { n: -1 }, { title: 1, n: 1 }, { _createdAt: 1 }];
const LIMITS = [undefined, undefined, 3];
const FIELDS = [undefined, undefined, ['n', 'title', 'in']];

/** What became of a write. */
export const DONE = 'done';
export const REFUSED = 'refused';
/** Its client ended first: with persistence the next one does it, without nobody knows. */
export const CLOSED = 'closed';

export class Tab {
  constructor({ name, run, dice, site, persist, ids }) {
    Object.assign(this, { name, run, dice, site, persist, ids });
    /** Every write: `{ token, command, changes, life, outcome, seq, epoch }`; the epoch is that of its outcome. */
    this.writes = [];
    /** Counts its pages, each of which closed the one before. */
    this.life = 0;
    /** Tokens that a client came to know of only after its page was gone. */
    this.lost = [];
    this.sentBroadcasts = [];
    this.heard = [];
    /** Reads, and positions that are waited for, without an outcome. */
    this.waits = 0;
    this.troubles = [];
    this.open();
  }

  open() {
    const { dice, persist } = this;
    this.db = connect(this.site.url, {
      ...(persist && { persist: 'indexeddb', name: persist }),
      onConflict: ({ command, current }) => this.rebase(command, current),
      onLost: (edit) => this.lost.push(JSON.stringify(edit)),
    });
    this.db.onBroadcast(({ run, token }) => run === this.run && this.heard.push(token));
    this.queries = Array.from({ length: 1 + dice.below(3) }, () => this.query());
    this.feed = [];
    const { feed } = this;
    this.db.onChange({ filter: { run: this.run } }, (change) => feed.push(change));
  }

  query() {
    const { dice, run } = this;
    const [filter, sort, limit, fields] = [FILTERS, SORTS, LIMITS, FIELDS].map((list) => dice.pick(list));
    const options = { filter: { run, ...filter }, sort, limit, fields };
    const { db } = this;
    const live = db.query(options);
    // What is shown must be consistent at any time, whatever is under way.
    live.subscribe(() => this.look(options, live.get()));
    const query = { options, live, epoch: undefined };
    live.onBatch(({ reset }) => reset && (query.epoch = db.epoch));
    return query;
  }

  look({ limit }, rows) {
    if (limit !== undefined && rows.length > limit) this.troubles.push(`${rows.length} rows for a limit of ${limit}`);
    if (new Set(rows.map(({ _id }) => _id)).size !== rows.length) this.troubles.push('a row stands twice');
  }

  /** Someone else was quicker: the same again on what is there, or given up. */
  rebase({ type, payload }, current) {
    if (type !== 'UPDATE' || this.dice.once(4)) return undefined;
    return { ...payload, expectedVersion: current._version };
  }

  write() {
    const token = `${this.run}-${this.name}-${this.writes.length}`;
    const [command, changes] = this.command(token);
    const write = { token, command, changes, life: this.life, outcome: undefined };
    const isAwaited = this.dice.once(4);
    const { db, queries } = this;
    this.writes.push(write);
    db.write(command, { optimistic: !this.dice.once(8) }).then(
      ({ seq }) => {
        Object.assign(write, { outcome: DONE, seq, epoch: db.epoch });
        if (isAwaited) for (const { live } of queries) this.await(live.seen(seq), ['closed']);
      },
      ({ code }) => Object.assign(write, { outcome: code === 'closed' ? CLOSED : REFUSED, code, epoch: db.epoch }),
    );
  }

  /** What must come to an end, whatever happens: well, or as one of these codes. */
  async await(promise, codes) {
    this.waits += 1;
    await promise.catch(({ code, message }) => {
      if (!codes.includes(code)) this.troubles.push(`what was waited for was refused as ${code}: ${message}`);
    });
    this.waits -= 1;
  }

  /** A command, and how many changes it makes if it is done. */
  command(token) {
    const kind = this.dice.weighed({ create: 4, update: 10, merge: 2, remove: 1, restore: 1, batch: 2 });
    if (kind !== 'batch') return [this.single(kind, token), 1];
    const count = 1 + this.dice.below(3);
    const commands = Array.from({ length: count }, (_, at) =>
      this.single(this.dice.pick(['create', 'update']), `${token}.${at}`),
    );
    return [{ type: 'BATCH', payload: { commands } }, count];
  }

  single(kind, token) {
    const { dice } = this;
    const id = this.id();
    const title = `t${dice.below(4)}`;
    if (kind === 'create')
      return {
        type: 'CREATE',
        payload: {
          _id: dice.once(3) ? `${this.run}/${token}` : id,
          run: this.run,
          token,
          title,
          in: dice.once(2),
          n: 0,
        },
      };
    if (kind === 'merge')
      return { type: 'UPDATE', payload: { id, mergePatch: { token, title, in: dice.once(2) ? null : true } } };
    if (kind === 'remove') return { type: 'DELETE', payload: { id } };
    if (kind === 'restore') return { type: 'RESTORE', payload: { id, version: 1 } };
    const updateData = dice.once(2)
      ? { $inc: { n: 1 }, $set: { token, title } }
      : { $inc: { n: 1 }, $set: { token, in: dice.once(2) }, ...(dice.once(2) && { $push: { all: token } }) };
    const expectedVersion = dice.once(4) ? 1 + dice.below(4) : undefined;
    return { type: 'UPDATE', payload: { id, updateData, ...(expectedVersion && { expectedVersion }) } };
  }

  /** One of the few events that all write, so that they meet. */
  id() {
    return `${this.run}/${this.dice.pick(this.ids)}`;
  }

  broadcast() {
    const token = `${this.run}-${this.name}-b${this.sentBroadcasts.length}`;
    this.sentBroadcasts.push(token);
    this.db.broadcast({ run: this.run, token }).catch(() => {});
  }

  read() {
    this.await(this.db.fetch({ filter: { run: this.run } }), ['closed', 'unavailable']);
  }

  /** Its page is closed and opened again. */
  reopen() {
    this.db.close();
    this.life += 1;
    this.open();
  }

  isSettled() {
    return this.db.pending === 0 && this.waits === 0 && this.writes.every(({ outcome }) => outcome);
  }
}
