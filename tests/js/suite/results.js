/** Live results: what they show, which of it keeps its identity, and when they tell. */
import { HeldSocket } from './held_socket.js';
import { equal, ok, rejects, same, test } from './harness.js';
import { ids, put, shownBy } from './shown.js';
import { until } from './world.js';

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
  equal(
    shown.map((rows) => rows.length),
    [100],
  );
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
  const waiting = query.seen(1000).then(
    () => 'seen',
    (error) => error.code,
  );
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
  equal(told, [
    ['create', 'b'],
    ['leave', 'b'],
    ['enter', 'b'],
    ['update', 'b'],
    ['delete', 'b'],
  ]);
});

test('onBatch tells the rows and then the changes, so that an adapter can keep a copy', async (world) => {
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
  equal([...copy.values()].map(({ _id, n }) => [_id, n]).sort(), [
    ['a', 2],
    ['c', 3],
  ]);
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
  const outcomes = await Promise.all(
    queries.map((query) =>
      query.whenReady().then(
        () => 'ready',
        ({ code }) => code,
      ),
    ),
  );
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
  const deep = JSON.parse(
    `{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},
      "toString":"text","hasOwnProperty":1}`,
  );
  const query = db.query({ sort: { 'deep.toString': 1 } });
  await query.whenReady();
  for (const _id of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) await db.create({ _id, deep, in: 1 });
  await db.update(
    'constructor',
    JSON.parse('{"deep.__proto__.polluted":"no","deep.constructor.prototype.polluted":"no"}'),
  );
  await db.update('toString', JSON.parse('{"deep":{"__proto__":{"merged":true}}}'), { merge: true });
  const { _seq } = await db.update('__proto__', JSON.parse('{"$inc":{"deep.hasOwnProperty":1}}'));
  await query.seen(_seq);
  equal(
    [{}.polluted, Object.prototype.merged, Object.polluted],
    [undefined, undefined, undefined],
    'nothing is polluted',
  );
  equal([...ids(query)].sort(), ['__proto__', 'constructor', 'hasOwnProperty', 'toString']);
  equal(
    JSON.stringify(query.get().map(({ deep }) => deep)),
    JSON.stringify((await db.fetch({ sort: { 'deep.toString': 1 } })).data.map(({ deep }) => deep)),
  );
  const judged = db.query({ filter: { 'deep.__proto__.polluted': true } });
  await judged.whenReady();
  const made = db.create({ _id: 'valueOf', deep });
  equal(ids(judged).includes('valueOf'), true, 'an own __proto__ is judged as a field');
  await made;
  equal(await site.event('valueOf').then(({ deep }) => JSON.stringify(deep)), JSON.stringify(deep));
});

test('a window is kept by the server: as long as its limit, without holes, and counted', async (world) => {
  const { site, db } = await world.pair();
  await put(site, ...Array.from({ length: 40 }, (_, n) => ({ _id: `e${n + 10}`, n, in: n % 2 === 0 })));
  const query = db.query({ filter: { in: true }, sort: { n: -1 }, limit: 3, window: true, count: true });
  await query.whenReady();
  equal([ids(query), query.count], [['e48', 'e46', 'e44'], 20]);
  const writer = world.connect(site);
  const step = async (promise) => {
    await promise;
    await query.seen((await writer.fetch()).seq);
  };
  await step(writer.remove('e46'));
  equal([ids(query), query.count], [['e48', 'e44', 'e42'], 19]);
  await step(writer.update('e11', { n: 99, in: true }));
  equal([ids(query), query.count], [['e11', 'e48', 'e44'], 20]);
  await step(writer.update('e44', { note: 'stays' }));
  equal([query.get()[2].note, query.count], ['stays', 20]);
  const gone = Array.from({ length: 16 }, (_, n) => `e${10 + 2 * n}`);
  await step(writer.batch((b) => gone.forEach((id) => b.remove(id))));
  await step(writer.remove('e44'));
  equal(ids(query), ['e11', 'e48', 'e42']);
  await db.create({ _id: 'mine', n: 100, in: true });
  equal(ids(query), ['mine', 'e11', 'e48']);
});

test('a window comes anew with a connection', async (world) => {
  const { site, db } = await world.pair();
  await put(site, { _id: 'a', n: 1 }, { _id: 'b', n: 2 });
  const query = db.query({ sort: { n: 1 }, limit: 1, window: true });
  const count = db.query({ limit: 0, window: true, count: true });
  await query.whenReady();
  await count.whenReady();
  equal([ids(query), count.get(), count.count], [['a'], [], 2]);
  await site.cut();
  const writer = world.connect(site);
  await writer.remove('a');
  await query.seen((await writer.fetch()).seq);
  await count.seen((await writer.fetch()).seq);
  equal([ids(query), count.count], [['b'], 1]);
});

test('a window has a limit', async (world) => {
  const { db } = await world.pair();
  for (const options of [{ window: true }, { count: true, sort: { n: 1 } }]) {
    let code;
    try {
      db.query(options);
    } catch (error) {
      code = error.code;
    }
    equal(code, 'invalid_option');
  }
});
