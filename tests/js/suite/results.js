/** Live results: what they show, which of it keeps its identity, and when they tell. */
import { equal, ok, rejects, same, test } from './harness.js';
import { live, until } from './world.js';

const ids = (query) => query.get().map(({ _id }) => _id);

/** Creates these documents past the client under test, at the server itself. */
async function put(site, ...documents) {
  for (let first = 0; first < documents.length; first += 100) {
    const commands = documents.slice(first, first + 100).map((payload) => ({ type: 'CREATE', payload }));
    const body = JSON.stringify({ commands });
    const response = await fetch(`${await site.direct()}/api/batch`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    ok(response.ok, `${response.status}`);
  }
}

/** Every array that the result ever showed from now on. */
function shownBy(query) {
  const shown = [];
  query.subscribe(() => shown.push(query.get()));
  return shown;
}

/** A WebSocket that can hold back what it hears, and then says it all in one task. */
class HeldSocket extends EventTarget {
  static held = [];
  static isHolding = false;

  static hold() {
    this.isHolding = true;
  }

  static release() {
    this.isHolding = false;
    for (const { socket, data } of this.held.splice(0)) socket.emit(new MessageEvent('message', { data }));
  }

  constructor(...args) {
    super();
    this.inner = new WebSocket(...args);
    this.inner.onmessage = ({ data }) => {
      if (HeldSocket.isHolding) HeldSocket.held.push({ socket: this, data });
      else this.emit(new MessageEvent('message', { data }));
    };
    for (const type of ['open', 'error']) this.inner.addEventListener(type, () => this.emit(new Event(type)));
    this.inner.addEventListener('close', ({ code, reason }) => this.emit(Object.assign(new Event('close'), { code, reason })));
  }

  emit(event) {
    this[`on${event.type}`]?.(event);
    this.dispatchEvent(event);
  }

  send(text) {
    this.inner.send(text);
  }

  close(...args) {
    this.inner.close(...args);
  }

  get readyState() {
    return this.inner.readyState;
  }

  get bufferedAmount() {
    return this.inner.bufferedAmount;
  }
}

test('a result is empty and not ready until its snapshot is whole, then shows what its filter sees', async (world) => {
  const { site, db } = await world.pair();
  await put(site, { _id: 'b', done: false }, { _id: 'a', done: false }, { _id: 'c', done: true });
  const query = db.query({ filter: { done: false } });
  equal([query.ready, query.get(), query.error], [false, [], undefined]);
  await query.whenReady();
  equal([query.ready, ids(query)], [true, ['a', 'b']]);
  ok(query.seq >= 3, `it has taken in the log: ${query.seq}`);
});

test('an empty result becomes ready', async (world) => {
  const { db } = await world.pair();
  const query = db.query({ filter: { nothing: 'is so' } });
  let told = 0;
  query.subscribe(() => told++);
  await query.whenReady();
  equal([query.ready, query.get()], [true, []]);
  ok(told > 0, 'that it is ready is told');
});

test('a query that was asked for before there is a connection is answered', async (world) => {
  const site = await world.site();
  await put(site, { _id: 'a' });
  await site.refuse(true);
  const db = world.connect(site);
  const query = db.query();
  await until(async () => db.state.name !== 'live' && (await site.connections()).accepted === 0);
  await site.refuse(false);
  await query.whenReady();
  equal(ids(query), ['a']);
});

test('events enter a result, leave it, change in it and are deleted from it', async (world) => {
  const { site, db } = await world.pair();
  await put(site, { _id: 'a', n: 1 }, { _id: 'b', n: 5 });
  const query = db.query({ filter: { n: { $gte: 3 } } });
  await query.whenReady();
  const writer = world.connect(site);
  const step = async (promise) => {
    await promise;
    await query.seen((await writer.fetch()).seq);
  };
  equal(ids(query), ['b']);
  await step(writer.update('a', { n: 3 }));
  equal(ids(query), ['a', 'b']);
  await step(writer.update('a', { n: 7 }));
  equal(query.get()[0].n, 7);
  await step(writer.update('b', { n: 0 }));
  equal(ids(query), ['a']);
  await step(writer.create({ _id: 'c', n: 9 }));
  equal(ids(query), ['a', 'c']);
  await step(writer.remove('a'));
  equal(ids(query), ['c']);
  await step(writer.restore('a', 3));
  equal(ids(query), ['a', 'c']);
});

test('the same array is shown until something changed, and what did not change is the same object', async (world) => {
  const { site, db } = await world.pair();
  await put(site, ...Array.from({ length: 50 }, (_, n) => ({ _id: `e${n}`, n, in: true })), { _id: 'x', in: false });
  const query = db.query({ filter: { in: true }, sort: { n: 1 } });
  await query.whenReady();
  const before = query.get();
  same(query.get(), before);
  const { _seq } = await db.update('x', { other: 1 });
  await query.seen(_seq);
  same(query.get(), before, 'what it does not see changes nothing');
  const changed = await db.update('e7', { title: 't' });
  await query.seen(changed._seq);
  const after = query.get();
  ok(after !== before, 'another array');
  equal(after[7].title, 't');
  for (const [at, row] of after.entries()) if (at !== 7) same(row, before[at], `row ${at}`);
  equal(before[7].title, undefined, 'what was shown before is as it was');
});

test('rows are frozen', async (world) => {
  const { site, db } = await world.pair();
  await put(site, { _id: 'a', n: 1 });
  const query = db.query();
  await query.whenReady();
  ok(Object.isFrozen(query.get()[0]), 'the row');
});

test('get and subscribe are functions that need no this', async (world) => {
  const { db } = await world.pair();
  const { get, subscribe, whenReady } = db.query();
  let told = 0;
  const stop = subscribe(() => told++);
  await until(() => told > 0);
  await whenReady?.();
  const { _id } = await db.create({ n: 1 });
  await until(() => get().some((row) => row._id === _id));
  stop();
  const sofar = told;
  await db.create({ n: 2 });
  await until(() => get().length === 2);
  equal(told, sofar, 'who has stopped is told nothing');
});

test('a listener that throws does not keep the others from hearing', async (world) => {
  const { db } = await world.pair();
  const query = db.query();
  await query.whenReady();
  let told = 0;
  const catchIt = (event) => event.preventDefault?.();
  // However the client reports it, it is no business of this test's.
  globalThis.process?.on?.('uncaughtException', catchIt);
  globalThis.addEventListener?.('error', catchIt);
  query.subscribe(() => {
    throw Object.assign(new Error('thrown by a listener'), { isOnPurpose: true });
  });
  query.subscribe(() => told++);
  await db.create({ _id: 'a' });
  await until(() => told > 0, 'the second is told');
  equal(db.state.name, 'live');
});

test('without a sort, rows are in the order of their ids, by code points', async (world) => {
  const { site, db } = await world.pair();
  await put(site, ...['b', 'a', 'B', '10', '9', 'é', '\u{1F600}', '\uFFFD'].map((_id) => ({ _id })));
  const query = db.query();
  await query.whenReady();
  equal(ids(query), ['10', '9', 'B', 'a', 'b', 'é', '\uFFFD', '\u{1F600}']);
  equal(ids(query), (await db.fetch()).data.map(({ _id }) => _id), 'as the server has them');
});

test('a result sorts values of all types as the server does', async (world) => {
  const { site, db } = await world.pair();
  const values = [
    null, 3, -1, 2.5, 1e300, 'b', 'a', 'B', '', '\u{1F600}', '\uFFFD', { a: 1 }, { a: 2 }, { b: 0 }, {}, [], [1], [5, 2], ['z'], true, false,
    [[1]], { a: { b: 1 } }, '10', '9', 0, [null], [{ a: 1 }],
  ];
  await put(site, ...values.map((v, at) => ({ _id: `e${String(at).padStart(2, '0')}`, v, same: at % 3, deep: { v } })), { _id: 'none' });
  for (const sort of [{ v: 1 }, { v: -1 }, { same: 1, v: -1 }, { 'deep.v': 1 }, { 'deep.v.a': -1 }, { _id: -1 }]) {
    const query = db.query({ sort });
    await query.whenReady();
    const { data } = await db.fetch({ sort, limit: 1000 });
    equal(ids(query), data.map(({ _id }) => _id), `by ${JSON.stringify(sort)}`);
    query.close();
  }
});

test('a limit cuts after sorting, and rows move up when one goes', async (world) => {
  const { site, db } = await world.pair();
  await put(site, ...Array.from({ length: 10 }, (_, n) => ({ _id: `e${n}`, n })));
  const query = db.query({ sort: { n: -1 }, limit: 3 });
  await query.whenReady();
  equal(ids(query), ['e9', 'e8', 'e7']);
  const { _seq } = await db.create({ _id: 'top', n: 100 });
  await query.seen(_seq);
  equal(ids(query), ['top', 'e9', 'e8']);
  await query.seen((await db.write({ type: 'DELETE', payload: { id: 'e9' } })).seq);
  equal(ids(query), ['top', 'e8', 'e7']);
});

test('a result with fields has these, and can be sorted by another', async (world) => {
  const { site, db } = await world.pair();
  await put(site, { _id: 'a', title: 'x', n: 2, secret: 1 }, { _id: 'b', title: 'y', n: 1, secret: 2 });
  const query = db.query({ fields: ['title'], sort: { n: 1 } });
  await query.whenReady();
  equal(query.get().map(({ _id, title, secret }) => [_id, title, secret]), [['b', 'y', undefined], ['a', 'x', undefined]]);
  await query.seen((await db.update('b', { n: 3, title: 'z' }))._seq);
  equal(query.get().map(({ title }) => title), ['x', 'z']);
});

test('what arrives in one task is told once', async (world) => {
  const site = await world.site();
  const db = world.connect(site, { WebSocket: HeldSocket });
  const query = db.query();
  await query.whenReady();
  const shown = shownBy(query);
  HeldSocket.hold();
  await put(site, ...Array.from({ length: 100 }, (_, n) => ({ _id: `e${n}` })));
  await until(() => HeldSocket.held.filter(({ data }) => data.includes('"change"')).length === 100, 'all have arrived');
  equal(shown.length, 0);
  HeldSocket.release();
  await until(() => query.get().length === 100);
  equal(shown.map((rows) => rows.length), [100]);
});

test('a result tells only when there is something new', async (world) => {
  const { site, db } = await world.pair();
  const query = db.query();
  await query.whenReady();
  const shown = shownBy(query);
  await put(site, ...Array.from({ length: 100 }, (_, n) => ({ _id: `e${n}` })));
  await until(() => query.get().length === 100);
  for (const [at, rows] of shown.entries()) if (at > 0) ok(rows !== shown[at - 1], `time ${at} was no news`);
});

test('seen() waits for a write, whoever made it, and is done at once for what is past', async (world) => {
  const { site, db } = await world.pair();
  const query = db.query({ filter: { in: true } });
  await query.whenReady();
  const other = world.connect(site);
  const { _seq } = await other.create({ _id: 'a', in: true });
  await query.seen(_seq);
  equal(ids(query), ['a']);
  await query.seen(1);
  // A write that the filter does not see is taken in too.
  const unseen = await other.create({ _id: 'b', in: false });
  await query.seen(unseen._seq);
  equal(ids(query), ['a']);
});

test('seen() rejects when the result ends', async (world) => {
  const { db } = await world.pair();
  const query = db.query();
  await query.whenReady();
  const waiting = query.seen(1000).then(() => 'seen', (error) => error.code);
  query.close();
  equal(await waiting, 'closed');
});

test('a result is an async iterable of its changes, in order', async (world) => {
  const { site, db } = await world.pair();
  await put(site, { _id: 'a', n: 1 });
  const query = db.query({ filter: { n: { $lt: 10 } } });
  await query.whenReady();
  const told = [];
  const reading = (async () => {
    for await (const change of query) {
      told.push([change.kind, change.eventId]);
      if (change.kind === 'delete') break;
    }
  })();
  const writer = world.connect(site);
  await writer.create({ _id: 'b', n: 2 });
  await writer.update('b', { n: 20 });
  await writer.update('b', { n: 3 });
  await writer.update('b', { n: 4 });
  await writer.remove('b');
  await reading;
  equal(told, [['create', 'b'], ['leave', 'b'], ['enter', 'b'], ['update', 'b'], ['delete', 'b']]);
});

test('onBatch tells the rows at the beginning and the changes after, so that an adapter can keep a copy', async (world) => {
  const { site, db } = await world.pair();
  await put(site, { _id: 'a', n: 1 }, { _id: 'b', n: 1 });
  const query = db.query({ optimistic: false });
  const copy = new Map();
  const batches = [];
  query.onBatch((batch) => {
    batches.push(batch);
    if (batch.reset) copy.clear();
    for (const row of batch.rows ?? []) copy.set(row._id, row);
    for (const { kind, eventId, data } of batch.changes) {
      if (['leave', 'delete'].includes(kind)) copy.delete(eventId);
      else if (data) copy.set(eventId, data);
    }
  });
  await query.whenReady();
  ok(batches[0].reset && batches.some(({ live }) => live), 'it begins with a reset and becomes live');
  await db.update('a', { n: 2 });
  await db.remove('b');
  const { _seq } = await db.create({ _id: 'c', n: 3 });
  await query.seen(_seq);
  equal([...copy.values()].map(({ _id, n }) => [_id, n]).sort(), [['a', 2], ['c', 3]]);
  ok(batches.at(-1).seq >= _seq, 'batches name their seq');
});

test('a filter that is none makes a result with an error, and the client lives on', async (world) => {
  const { db } = await world.pair();
  const query = db.query({ filter: { $nonsense: 1 } });
  let told = 0;
  query.subscribe(() => told++);
  await rejects(query.whenReady(), 'invalid_filter');
  equal([query.error.code, query.ready, query.get()], ['invalid_filter', false, []]);
  ok(told > 0, 'the error is told');
  await rejects(query.seen(1), 'invalid_filter');
  const good = db.query();
  await good.whenReady();
});

test('more subscriptions than a session may have give an error to those beyond, and to no other', async (world) => {
  const { site, db } = await world.pair();
  await put(site, ...Array.from({ length: 110 }, (_, n) => ({ _id: `e${n}`, n })));
  const queries = Array.from({ length: 105 }, (_, n) => db.query({ filter: { n } }));
  const outcomes = await Promise.all(queries.map((query) => query.whenReady().then(() => 'ready', ({ code }) => code)));
  equal(outcomes.filter((outcome) => outcome === 'ready').length, 100);
  equal(outcomes.filter((outcome) => outcome === 'too_many_subscriptions').length, 5);
  queries[0].close();
  const next = db.query({ filter: { n: 109 } });
  await next.whenReady();
  equal(ids(next), ['e109']);
});

test('a closed result is unsubscribed and changes no more', async (world) => {
  const { site, db } = await world.pair();
  const query = db.query();
  await query.whenReady();
  query.close();
  const shown = query.get();
  await until(async () => (await site.sent({ type: 'UNSUBSCRIBE' })).length === 1, 'it says so to the server');
  await db.create({ _id: 'a' });
  await db.fetch();
  same(query.get(), shown);
  query.close();
});

test('names that objects have of themselves are names like any other', async (world) => {
  const { site, db } = await world.pair();
  const deep = JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"toString":"text","hasOwnProperty":1}');
  const query = db.query({ sort: { 'deep.toString': 1 } });
  await query.whenReady();
  for (const _id of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) await db.create({ _id, deep, in: 1 });
  await db.update('constructor', JSON.parse('{"deep.__proto__.polluted":"no","deep.constructor.prototype.polluted":"no"}'));
  await db.update('toString', JSON.parse('{"deep":{"__proto__":{"merged":true}}}'), { merge: true });
  const { _seq } = await db.update('__proto__', JSON.parse('{"$inc":{"deep.hasOwnProperty":1}}'));
  await query.seen(_seq);
  equal([{}.polluted, Object.prototype.merged, Object.polluted], [undefined, undefined, undefined], 'nothing is polluted');
  equal([...ids(query)].sort(), ['__proto__', 'constructor', 'hasOwnProperty', 'toString']);
  equal(JSON.stringify(query.get().map(({ deep }) => deep)), JSON.stringify((await db.fetch({ sort: { 'deep.toString': 1 } })).data.map(({ deep }) => deep)));
  const judged = db.query({ filter: { 'deep.__proto__.polluted': true } });
  await judged.whenReady();
  const made = db.create({ _id: 'valueOf', deep });
  equal(ids(judged).includes('valueOf'), true, 'an own __proto__ is judged as a field');
  await made;
  equal(await site.event('valueOf').then(({ deep }) => JSON.stringify(deep)), JSON.stringify(deep));
});

test('what happened during a cut is there after it, and what did not change is the same object', async (world) => {
  const { site, db } = await world.pair();
  await put(site, ...Array.from({ length: 20 }, (_, n) => ({ _id: `e${String(n).padStart(2, '0')}`, n })));
  const query = db.query();
  await query.whenReady();
  const before = query.get();
  const writer = world.connect(site);
  await live(writer);
  await site.refuse(true);
  await site.cut();
  const body = JSON.stringify({ commands: [
    { type: 'UPDATE', payload: { id: 'e03', updateData: { n: 333 } } },
    { type: 'DELETE', payload: { id: 'e04' } },
    { type: 'CREATE', payload: { _id: 'e99', n: 99 } },
  ] });
  await fetch(`${await site.direct()}/api/batch`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  await until(() => db.state.name !== 'live');
  same(query.get(), before, 'while it is away it shows what it knows');
  await site.refuse(false);
  await query.seen(23);
  const after = new Map(query.get().map((row) => [row._id, row]));
  equal([after.size, after.get('e03').n, after.has('e04'), after.get('e99').n], [20, 333, false, 99]);
  for (const row of before) if (!['e03', 'e04'].includes(row._id)) same(after.get(row._id), row, row._id);
  const resumed = (await site.sent({ type: 'SUBSCRIBE' })).filter(({ payload }) => payload.after !== undefined);
  ok(resumed.length > 0 && resumed.every(({ payload }) => payload.after === 20 && typeof payload.epoch === 'string'), 'it resumed where it was');
});

test('a cut in which nothing happened changes no array', async (world) => {
  const { site, db } = await world.pair();
  await put(site, { _id: 'a' }, { _id: 'b' });
  const query = db.query();
  await query.whenReady();
  const before = query.get();
  const { accepted } = await site.connections();
  await site.cut();
  await until(async () => (await site.connections()).accepted > accepted);
  await live(db);
  await db.fetch();
  same(query.get(), before);
});

test('a result goes on after the server was killed and started again', async (world) => {
  const { site, db } = await world.pair();
  await put(site, { _id: 'a', n: 1 });
  const query = db.query();
  await query.whenReady();
  const [before] = query.get();
  await site.kill();
  await until(() => db.state.name !== 'live');
  await site.start();
  await live(db);
  await query.seen((await db.create({ _id: 'b', n: 2 }))._seq);
  equal(ids(query), ['a', 'b']);
  same(query.get()[0], before);
});

test('a log that was made anew is swapped in at one stroke: no empty result between', async (world) => {
  const { site, db } = await world.pair();
  await put(site, ...Array.from({ length: 30 }, (_, n) => ({ _id: `old${n}`, n })));
  const query = db.query({ filter: { n: { $gte: 0 } } });
  await query.whenReady();
  const shown = shownBy(query);
  const epoch = db.epoch;
  await site.refuse(true);
  await site.refound();
  await put(site, ...Array.from({ length: 1500 }, (_, n) => ({ _id: `new${n}`, n })));
  await site.cut();
  await site.refuse(false);
  await until(() => query.get()[0]._id.startsWith('new'), 'the new log shows');
  equal(shown.map((rows) => rows.length).filter((length) => length !== 1500), [], 'nothing but the whole of it was shown');
  ok(db.epoch !== epoch, 'the epoch is another');
  const { _seq } = await db.create({ _id: 'one more', n: 1 });
  await query.seen(_seq);
  equal(query.get().length, 1501);
});

test('a result whose connection is cut in the middle of its first snapshot begins again', async (world) => {
  const { site, db } = await world.pair();
  await put(site, ...Array.from({ length: 2500 }, (_, n) => ({ _id: `e${n}`, n })));
  await site.rule({ direction: 'down', match: { type: 'snapshot', more: true }, act: 'cutAfter' });
  const query = db.query();
  const shown = shownBy(query);
  await query.whenReady();
  equal(query.get().length, 2500);
  ok(shown.every((rows) => rows.length === 2500), 'half of it was never shown');
});

test('100 000 rows arrive whole, and one change costs one row', async (world) => {
  const site = await world.site({ rows: 100_000 });
  const db = world.connect(site);
  const started = performance.now();
  const query = db.query({ sort: { n: -1 } });
  await until(() => query.ready, 'they are there', 45_000);
  const took = performance.now() - started;
  const before = query.get();
  equal([before.length, before[0].n, before.at(-1).n], [100_000, 100_000, 1]);
  const change = performance.now();
  const { _seq } = await db.update('r050000', { title: 't' });
  await query.seen(_seq);
  const after = query.get();
  console.log(`100 000 rows: ready after ${Math.round(took)} ms; a change took ${Math.round(performance.now() - change)} ms`);
  equal(after[50_000].title, 't');
  ok(after.every((row, at) => row === before[at] || at === 50_000), 'all others are the same objects');
});
