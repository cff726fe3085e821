/** One random schedule: two clients write through whatever goes wrong; at the end all must be as if nothing had. */
import { equal, ok } from '../suite/harness.js';
import { stored } from '../suite/stored.js';
import { until } from '../suite/world.js';
import { Dice } from './dice.js';
import { CLOSED, DONE, REFUSED, Tab } from './tab.js';

const IDS = ['a', 'b', 'c', 'd'];
const SETTLED_MS = 60_000;

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Whether this seed's schedule kills its server, or takes its log away: then it must have one of its own. */
export function hasOwnServer(seed) {
  return seed % 4 === 0;
}

export class Schedule {
  /** `server` is a site; each client gets a door of its own to it. */
  constructor(seed, server, world) {
    Object.assign(this, { seed, server, world });
    this.dice = new Dice(seed);
    this.run = `r${seed}`;
    this.story = [];
    /** Logs that are gone, as they were at their end: `{ epoch, changes }`. */
    this.past = [];
  }

  async play() {
    await this.begin();
    const steps = 20 + this.dice.below(25);
    for (let step = 0; step < steps; step++) await this.step();
    await this.settle();
    await this.judge();
  }

  async begin() {
    const { dice, world, server, run } = this;
    // Persistent clients of one name are tabs of one browser; of two, two browsers.
    const persistence = dice.pick(['none', 'none', 'one', 'both', 'shared']);
    const name = (tab) =>
      ({ none: undefined, one: tab === 'A' ? `${run}-A` : undefined, both: `${run}-${tab}`, shared: run })[persistence];
    this.from = await this.head();
    this.tabs = [];
    for (const tab of ['A', 'B']) {
      const site = await world.door(server);
      this.tabs.push(new Tab({ name: tab, run, dice, site, persist: name(tab), ids: IDS }));
    }
    this.story.push(`persistence: ${persistence}`);
  }

  async step() {
    const { dice } = this;
    const tab = dice.pick(this.tabs);
    const own = hasOwnServer(this.seed);
    const what = dice.weighed({
      write: 60,
      read: 4,
      broadcast: 4,
      cut: 4,
      spell: 3,
      stall: 4,
      slow: 3,
      twice: 4,
      lose: 4,
      fail: 5,
      close: 2,
      reopen: 3,
      restart: own ? 4 : 0,
      refound: own ? 2 : 0,
      rewind: own ? 2 : 0,
    });
    this.story.push(`${tab.name} ${what}`);
    await this[what](tab);
    if (dice.once(2)) await pause(dice.below(20));
  }

  write(tab) {
    for (let count = 1 + this.dice.below(4); count > 0; count--) tab.write();
  }

  read(tab) {
    tab.read();
  }

  broadcast(tab) {
    tab.broadcast();
  }

  async cut(tab) {
    await tab.site.cut();
  }

  /** Offline for a while, in which writing goes on. */
  async spell(tab) {
    await tab.site.refuse(true);
    await tab.site.cut();
    this.write(tab);
    await pause(this.dice.below(150));
    this.write(tab);
    await tab.site.refuse(false);
  }

  async stall(tab) {
    await tab.site.stall(this.dice.pick(['up', 'down', 'both']));
    this.write(tab);
    await pause(this.dice.below(60));
    if (this.dice.once(2)) await tab.site.cut();
    await tab.site.flow();
  }

  async slow(tab) {
    await tab.site.delay(this.dice.below(15));
  }

  /** A command arrives twice, as it does from a client that had no answer. */
  async twice(tab) {
    for (const type of ['UPDATE', 'CREATE', 'BATCH'])
      await tab.site.rule({ direction: 'up', match: { type }, act: 'twice' });
    this.write(tab);
  }

  /** The connection ends with a command or with its answer. */
  async lose(tab) {
    const [direction, match, act] = this.dice.pick([
      ['up', { type: 'UPDATE' }, 'cut'],
      ['up', { type: 'UPDATE' }, 'cutAfter'],
      ['up', { type: 'CREATE' }, 'cutAfter'],
      ['down', { type: 'response', request: 'UPDATE' }, 'cut'],
      ['down', { type: 'response', request: 'BATCH' }, 'cut'],
      ['down', { type: 'change' }, 'cut'],
      ['down', { type: 'live' }, 'cut'],
      ['down', { type: 'snapshot' }, 'cutAfter'],
    ]);
    await tab.site.rule({ direction, match, act });
    this.write(tab);
  }

  async fail(tab) {
    const rule = this.dice.once(2)
      ? {
          direction: 'up',
          match: { type: this.dice.pick(['UPDATE', 'CREATE']) },
          code: this.dice.pick(['busy', 'unavailable', 'storage_failed']),
        }
      : {
          direction: 'down',
          match: { type: 'response', request: this.dice.pick(['UPDATE', 'BATCH']) },
          code: 'outcome_unknown',
        };
    await tab.site.rule({ ...rule, act: 'fail', times: 1 + this.dice.below(2) });
    this.write(tab);
  }

  async close(tab) {
    await tab.site.close(4000, 'shutting_down');
  }

  reopen(tab) {
    tab.reopen();
  }

  async restart(tab) {
    await this.server.kill();
    this.write(tab);
    await pause(this.dice.below(50));
    await this.server.start();
  }

  /** The log is gone, and an empty one is in its place. */
  async refound(tab) {
    await this.replaceLog(tab, () => this.server.refound());
  }

  /** The log is again what it was earlier. */
  async rewind(tab) {
    const seq = this.dice.below(1 + (await this.head()));
    await this.replaceLog(tab, () => (seq > 0 ? this.server.rewind(seq) : this.server.refound()));
  }

  /** Nobody is let in meanwhile, so that it is known what was in the log that goes. */
  async replaceLog(tab, replace) {
    for (const { site } of this.tabs) {
      await site.refuse(true);
      await site.cut();
    }
    this.write(tab);
    this.past.push(await this.log());
    await replace();
    this.write(tab);
    for (const { site } of this.tabs) await site.refuse(false);
  }

  async settle() {
    for (const { site } of this.tabs) await site.calm();
    const { epoch } = await this.log();
    // Who has not heard yet that the log is another may be content with what it has.
    const settled = () => this.tabs.every((tab) => tab.isSettled() && tab.db.epoch === epoch);
    await until(settled, () => `all is settled: ${this.tabs.map(waiting)}`, SETTLED_MS);
    for (const { name, persist } of this.tabs) {
      if (persist)
        await until(async () => (await stored(persist)) === 0, `what client ${name} left behind is done`, SETTLED_MS);
    }
  }

  end() {
    for (const { db } of this.tabs ?? []) db.close();
  }

  async judge() {
    const head = await this.head();
    const last = await this.log();
    const logs = [...this.past, last];
    for (const tab of this.tabs) await placeWrites(tab, logs);
    for (const tab of this.tabs) {
      equal(tab.troubles, [], `client ${tab.name}`);
      for (const write of tab.writes) this.judgeWrite(write, tab, logs);
      judgeOrder(tab);
      for (const query of tab.queries) await this.judgeQuery(tab, query, head, last);
      await judgeFeed(tab, last);
    }
    for (const at of logs.keys()) this.judgeTotal(logs[at].changes, at);
    this.judgeBroadcasts();
  }

  /** What this schedule has written, of the log that is there. */
  async log() {
    const { epoch } = await this.server.get('/api/changes', { limit: '1' });
    return { epoch, changes: await this.server.changes({ run: this.run }, this.from) };
  }

  async head() {
    return (await this.server.get('/api/events', { limit: '1' })).seq;
  }

  async judgeQuery(tab, { options, live, ...query }, head, { epoch }) {
    await until(() => live.ready || live.error, 'it is ready', SETTLED_MS);
    await live.seen(head);
    equal(query.epoch, epoch, `client ${tab.name}: the log that it was last reset to`);
    const { filter, sort, limit = 1000, fields } = options;
    const parameters = {
      filter,
      limit: String(limit),
      ...(sort && { sort }),
      ...(fields && { fields: fields.join() }),
    };
    const { data } = await this.server.get('/api/events', parameters);
    const shown = live.get();
    const what = `client ${tab.name}, ${JSON.stringify(options)}`;
    equal(
      shown.map(({ _id }) => _id),
      data.map(({ _id }) => _id),
      what,
    );
    // Fields that only the sort needs may be there too.
    for (const [at, row] of data.entries()) {
      for (const name of Object.keys(row)) equal(shown[at][name], row[name], `${what}: ${name} of ${row._id}`);
      ok(!live.pending(row._id), `${what}: ${row._id} is confirmed`);
    }
  }

  /** That what was promised of a write is so in the log that promised it, and that no log has it twice. */
  judgeWrite(write, { persist }, logs) {
    const { token, command, outcome, seq, code } = write;
    const what = `${token} ${JSON.stringify(command)} (${outcome} ${code ?? ''})`;
    if (outcome === DONE)
      ok(
        logs[write.log].changes.some((change) => change.seq === seq),
        `${what}: seq ${seq} is in log ${write.log}`,
      );
    for (const [at, { changes }] of logs.entries()) {
      for (const each of tokensOf(command)) {
        const effects = changes.filter((change) => carries(change, each));
        const most = 1 + this.restored(effects, at);
        if (isRefused(write, at)) equal(effects, [], `${what}: effects in log ${at}`);
        if (outcome === DONE && write.log === at) ok(effects.length >= 1, `${what} has no effect in log ${at}`);
        ok(effects.length <= most, `${what} has ${effects.length} effects in log ${at}: ${JSON.stringify(effects)}`);
        // What it left behind may have been done in a log that is gone.
        if (outcome === CLOSED && persist && write.log === at && at === logs.length - 1)
          ok(effects.length >= 1 || this.isLost(each), `${what} has no effect, and nobody was told`);
      }
    }
  }

  /** How often what these changes did first, as an event's version 1, may have come back by a RESTORE. */
  restored(effects, at) {
    const first = effects.find(({ version }) => version === 1);
    if (!first) return 0;
    const restores = (write) =>
      write.command.type === 'RESTORE' && write.command.payload.id === first.eventId && !isRefused(write, at);
    return this.tabs.flatMap(({ writes }) => writes).filter(restores).length;
  }

  isLost(token) {
    return this.tabs.some(({ lost }) => lost.some((edit) => edit.includes(`"${token}"`)));
  }

  /** Removals leave no token: they are counted. */
  judgeTotal({ length }, at) {
    let least = 0;
    let most = 0;
    for (const write of this.tabs.flatMap(({ writes }) => writes)) {
      if (write.outcome === DONE && write.log === at) least += write.changes;
      if (!isRefused(write, at)) most += write.changes;
    }
    ok(length >= least && length <= most, `${length} changes are in log ${at}, of ${least} to ${most}`);
  }

  judgeBroadcasts() {
    for (const { name, heard } of this.tabs)
      equal(heard.length, new Set(heard).size, `client ${name} heard a broadcast twice: ${heard}`);
  }
}

/** Finds out which log each outcome is of, and which writes were doubled on their way. */
async function placeWrites({ site, writes }, logs) {
  const doubled = new Set((await site.doubled()).flatMap(tokensOf));
  for (const write of writes) {
    write.log = logs.findIndex(({ epoch }) => epoch === write.epoch);
    write.isDoubled = tokensOf(write.command).some((token) => doubled.has(token));
  }
}

/**
 * Whether a log cannot have it: it was refused in this one or in one before it. Of one that arrived twice, the second may
 * have been done when the first was refused.
 */
function isRefused({ outcome, log, isDoubled }, at) {
  return outcome === REFUSED && log <= at && !isDoubled;
}

/** Since it was last told that the log is another, a feed has told all of the log, once and in order. */
async function judgeFeed({ name, feed }, { changes }) {
  const reset = feed.findLastIndex(({ kind }) => kind === 'reset');
  const told = () => feed.slice(reset + 1).map(({ seq }) => seq);
  const after = feed[reset]?.seq ?? feed[0]?.seq - 1;
  const expected = changes.map(({ seq }) => seq).filter((seq) => seq > after);
  await until(() => told().length >= expected.length, () => `client ${name}'s feed has ${expected}, not ${told()}`);
  equal(told(), expected, `client ${name}'s feed`);
}

/** The edits of one event were done in the order in which one page made them. */
function judgeOrder({ writes }) {
  const last = new Map();
  for (const { token, command, life, outcome, seq, log } of writes) {
    if (outcome !== DONE) continue;
    for (const id of idsOf(command)) {
      const before = last.get(`${life} ${id}`);
      ok(
        before === undefined || before.log < log || (before.log === log && before.seq < seq),
        `${token} was done as ${seq} of log ${log}, before ${before?.token} as ${before?.seq} of log ${before?.log}`,
      );
      last.set(`${life} ${id}`, { token, seq, log });
    }
  }
}

function idsOf({ type, payload }) {
  return type === 'BATCH' ? [...new Set(payload.commands.flatMap(idsOf))] : [payload.id ?? payload._id];
}

function tokensOf({ type, payload }) {
  if (type === 'BATCH') return payload.commands.flatMap(tokensOf);
  const token = payload.token ?? payload.mergePatch?.token ?? payload.updateData?.$set?.token;
  return token ? [token] : [];
}

/** Whether this change set this token. */
function carries({ kind, data, patch }, token) {
  if (kind === 'create') return data?.token === token;
  return patch?.set?.token === token;
}

function waiting({ name, db, writes, waits }) {
  const open = writes.filter(({ outcome }) => !outcome).map(({ token }) => token);
  return `${name} is ${db.state.name}, ${db.pending} pending, ${waits} waits, without outcome: ${open.join(' ') || 'none'}`;
}
