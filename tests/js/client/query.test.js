import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { begun, ended, settled } from './fake_server.js';

let server;
let db;

beforeEach(() => void ({ server, db } = begun()));

afterEach(() => ended(db));

const leave = (promise) => void promise.catch(() => {});
const wait = () => mock.timers.tick(60_000);
const row = (_id, fields) => ({ _id, _version: 1, ...fields });
const ids = (query) => query.get().map(({ _id }) => _id);

/** A query with its first rows, and how often it has told that something changed. */
async function shown(options, rows) {
  const query = db.query(options);
  query.told = 0;
  query.subscribe(() => (query.told += 1));
  server.snapshot(10, rows);
  await settled();
  query.told = 0;
  return query;
}

test('nothing is shown before the first snapshot is whole', async () => {
  const query = db.query();
  const { sub } = server.last('SUBSCRIBE').payload;
  server.say({ type: 'snapshot', sub, seq: 10, data: [row('a')], more: true });
  server.say({ type: 'snapshot', sub, seq: 10, data: [row('b')], more: false });
  server.change(11, 'create', row('c'));
  await settled();
  assert.deepEqual([query.ready, query.get(), query.seq], [false, [], 0]);
  server.say({ type: 'live', sub, seq: 12 });
  await query.whenReady();
  assert.deepEqual([query.ready, ids(query), query.seq], [true, ['a', 'b', 'c'], 12]);
});

test('the array and its rows stay the same objects until they change', async () => {
  const query = await shown({}, [row('a'), row('b')]);
  const before = query.get();
  assert.equal(query.get(), before);
  server.change(11, 'update', row('b', { n: 1 }));
  await settled();
  const after = query.get();
  assert.notEqual(after, before);
  assert.equal(after[0], before[0]);
  assert.deepEqual(after[1], row('b', { n: 1 }));
  assert.equal(query.told, 1);
  assert.ok(Object.isFrozen(after[1]));
});

test('what comes in one task is told once', async () => {
  const query = await shown({}, []);
  const batches = [];
  query.onBatch((batch) => batches.push(batch));
  server.change(11, 'create', row('a'));
  server.change(12, 'create', row('b'));
  server.change(13, 'delete', row('a'), { data: undefined });
  await settled();
  assert.equal(query.told, 1);
  assert.deepEqual(batches.map(({ changes, reset, seq }) => [changes.map(({ kind }) => kind), reset, seq]), [
    [['create', 'create', 'delete'], false, 13],
  ]);
});

test('rows beyond the limit change without a word, and move up when there is room', async () => {
  const rows = [row('a', { n: 3 }), row('b', { n: 2 }), row('c', { n: 1 })];
  const query = await shown({ sort: { n: -1 }, limit: 2 }, rows);
  const before = query.get();
  assert.deepEqual(ids(query), ['a', 'b']);
  server.change(11, 'update', row('c', { n: 0 }));
  await settled();
  assert.equal(query.get(), before);
  assert.equal(query.told, 0);
  server.change(12, 'leave', row('a'), { data: undefined });
  await settled();
  assert.deepEqual(ids(query), ['b', 'c']);
});

test('after a reconnect it resumes from its position, and hears nothing twice', async () => {
  const query = await shown({ filter: { a: 1 } }, [row('a')]);
  server.change(11, 'create', row('b'));
  await settled();
  server.cut();
  wait();
  server.welcome(12);
  const { after, epoch, snapshot, filter } = server.last('SUBSCRIBE').payload;
  assert.deepEqual({ after, epoch, snapshot, filter }, { after: 11, epoch: 'e1', snapshot: true, filter: { a: 1 } });
  server.change(11, 'create', row('x'));
  server.change(12, 'create', row('c'));
  await settled();
  assert.deepEqual(ids(query), ['a', 'b', 'c']);
});

test('a connection that ends in the middle of a snapshot costs the snapshot', async () => {
  const query = db.query();
  const { sub } = server.last('SUBSCRIBE').payload;
  server.say({ type: 'snapshot', sub, seq: 10, data: [row('gone')], more: true });
  server.cut();
  wait();
  server.welcome(11);
  assert.equal(server.last('SUBSCRIBE').payload.after, undefined);
  server.snapshot(11, [row('a')]);
  await query.whenReady();
  assert.deepEqual(ids(query), ['a']);
});

test('frames of a subscription that was begun anew are nobody\'s', async () => {
  const query = db.query();
  const { sub } = server.last('SUBSCRIBE').payload;
  server.cut();
  wait();
  server.welcome(11);
  server.say({ type: 'snapshot', sub, seq: 10, data: [row('gone')], more: false }, { type: 'live', sub, seq: 10 });
  await settled();
  assert.equal(query.ready, false);
});

test('a reset is swapped in at one stroke, and equal rows stay', async () => {
  const query = await shown({}, [row('a'), row('b')]);
  const [a] = query.get();
  const batches = [];
  query.onBatch((batch) => batches.push(batch));
  server.cut();
  wait();
  server.epoch = 'e2';
  server.welcome(3);
  const { sub } = server.last('SUBSCRIBE').payload;
  server.say({ type: 'reset', sub, reason: 'epoch_changed', seq: 3, earliest: 1 });
  server.say({ type: 'snapshot', sub, seq: 3, data: [row('a'), row('c')], more: false });
  await settled();
  assert.deepEqual(ids(query), ['a', 'b']);
  assert.equal(query.told, 0);
  server.say({ type: 'live', sub, seq: 3 });
  await settled();
  assert.deepEqual([ids(query), query.seq, query.told], [['a', 'c'], 3, 1]);
  assert.equal(query.get()[0], a);
  assert.deepEqual(batches.map(({ reset, rows, changes }) => [reset, rows.length, changes]), [[true, 2, []]]);
});

test('a subscription that is refused for now is asked for again, one that is wrong is over', async () => {
  const query = db.query();
  server.refuse(server.last('SUBSCRIBE'), 'busy', { retryable: true });
  wait();
  assert.equal(server.sent('SUBSCRIBE').length, 2);
  server.snapshot(10, []);
  await query.whenReady();
  const wrong = db.query({ filter: { $where: 1 } });
  let told = 0;
  wrong.subscribe(() => (told += 1));
  const waiting = assert.rejects(wrong.whenReady(), { code: 'invalid_filter' });
  server.refuse(server.last('SUBSCRIBE'), 'invalid_filter', { path: 'payload.filter.$where' });
  await waiting;
  assert.deepEqual([wrong.error.code, wrong.error.path, told], ['invalid_filter', 'payload.filter.$where', 1]);
  await assert.rejects(wrong.seen(1), { code: 'invalid_filter' });
});

test('a snapshot that cannot go on is begun again', async () => {
  const query = db.query();
  const { sub } = server.last('SUBSCRIBE').payload;
  server.say({ type: 'snapshot', sub, seq: 10, data: [row('gone')], more: true });
  server.say({ type: 'error', sub, success: false, error: { code: 'unavailable', message: '', retryable: true } });
  wait();
  server.snapshot(11, [row('a')]);
  await query.whenReady();
  assert.deepEqual(ids(query), ['a']);
});

test('seen resolves with the change, or where nothing matches with the mark of a new subscription', async () => {
  const query = await shown({}, []);
  let seen = 0;
  query.seen(11).then(() => (seen = 11));
  await settled();
  assert.equal(seen, 0);
  server.change(11, 'create', row('a'));
  await settled();
  assert.equal(seen, 11);
  query.seen(12).then(() => (seen = 12));
  wait();
  const { after, minSeq, sub } = server.last('SUBSCRIBE').payload;
  assert.deepEqual([after, minSeq, server.sent('UNSUBSCRIBE').length], [11, 12, 1]);
  assert.equal(db.state.name, 'live');
  server.say({ type: 'live', sub, seq: 12 });
  await settled();
  assert.equal(seen, 12);
});

test('a create shows at once, in its place, and its confirmation takes its place without a flicker', async () => {
  const query = await shown({ filter: { done: false }, sort: { n: 1 } }, [row('a', { n: 1 }), row('c', { n: 3 })]);
  leave(db.create({ _id: 'b', done: false, n: 2 }));
  leave(db.create({ _id: 'x', done: true }));
  assert.deepEqual(ids(query), ['a', 'b', 'c']);
  assert.equal(query.pending('b'), true);
  const views = [];
  query.subscribe(() => views.push(ids(query).join('')));
  server.accept(server.sent('CREATE')[0], 11, {});
  await settled();
  assert.equal(query.pending('b'), true);
  server.change(11, 'create', row('b', { done: false, n: 2, _seq: 11 }));
  await settled();
  assert.equal(query.pending('b'), false);
  assert.equal(query.get()[1]._seq, 11);
  assert.ok(views.every((view) => view === 'abc'), views.join());
});

test('a change that comes before its answer is not counted twice', async () => {
  const query = await shown({}, [row('a', { n: 1 })]);
  const values = [];
  query.subscribe(() => values.push(query.get()[0].n));
  leave(db.update('a', { $inc: { n: 1 } }));
  leave(db.update('a', { $inc: { n: 10 } }));
  await settled();
  server.change(11, 'update', row('a', { n: 2 }));
  await settled();
  assert.equal(query.get()[0].n, 12);
  server.accept(server.sent('UPDATE')[0], 11, {});
  await settled();
  assert.equal(query.get()[0].n, 12);
  server.accept(server.sent('UPDATE')[1], 12, {});
  server.change(12, 'update', row('a', { n: 12 }));
  await settled();
  assert.equal(query.get()[0].n, 12);
  assert.equal(query.pending('a'), false);
  assert.ok(values.every((value) => value === 12), values.join());
});

test('a change that was heard of before an edit was sent is not that edit\'s', async () => {
  const query = await shown({}, [row('a', { n: 1 })]);
  leave(db.update('a', { $inc: { n: 1 } }));
  leave(db.update('a', { $inc: { n: 10 } }));
  server.accept(server.last('UPDATE'), 11, {});
  assert.equal(server.sent('UPDATE').length, 2);
  server.change(11, 'update', row('a', { n: 2 }));
  assert.equal(query.get()[0].n, 12);
  server.change(12, 'update', row('a', { n: 12 }));
  assert.equal(query.get()[0].n, 12);
  server.accept(server.last('UPDATE'), 12, {});
  assert.deepEqual([query.get()[0].n, query.pending('a')], [12, false]);
});

test('an edit that is made while another is in flight does not uncover what is held back', async () => {
  const query = await shown({}, [row('a', { n: 1 })]);
  leave(db.update('a', { $inc: { n: 1 } }));
  server.change(11, 'update', row('a', { n: 2 }));
  leave(db.update('a', { m: 1 }));
  assert.deepEqual([query.get()[0].n, query.get()[0].m], [2, 1]);
  server.accept(server.last('UPDATE'), 11, {});
  assert.deepEqual([query.get()[0].n, query.get()[0].m], [2, 1]);
});

test('an answer of a log that was made anew is done with when the new log shows, not before', async () => {
  const query = await shown({}, []);
  leave(db.create({ _id: 'a' }));
  server.accept(server.last('CREATE'), 11, {});
  const seen = query.seen(11);
  server.cut();
  wait();
  server.epoch = 'e2';
  server.welcome(3);
  leave(db.create({ _id: 'b' }));
  server.accept(server.last('CREATE'), 4, {});
  await settled();
  assert.deepEqual(ids(query), ['a', 'b']);
  const { sub } = server.last('SUBSCRIBE').payload;
  server.say({ type: 'reset', sub, reason: 'epoch_changed', seq: 3 });
  server.say({ type: 'snapshot', sub, seq: 3, data: [], more: false }, { type: 'live', sub, seq: 3 });
  await seen;
  assert.deepEqual(ids(query), ['b']);
  server.change(4, 'create', row('b'));
  assert.equal(query.pending('b'), false);
});

test('a seq of a log that is gone is not waited for in the next', async () => {
  const query = db.query();
  const seen = query.seen(500);
  server.cut();
  wait();
  server.epoch = 'e2';
  server.welcome(3);
  assert.equal(server.last('SUBSCRIBE').payload.minSeq, undefined);
  server.snapshot(3, []);
  await seen;
});

test('a mark that was asked for is waited for, however long it takes', async () => {
  const query = await shown({}, []);
  leave(query.seen(11));
  wait();
  assert.equal(server.sent('SUBSCRIBE').length, 2);
  leave(query.seen(12));
  wait();
  server.say({ type: 'pong', seq: 50_000 });
  assert.equal(server.sent('SUBSCRIBE').length, 2);
  server.say({ type: 'live', sub: server.last('SUBSCRIBE').payload.sub, seq: 11 });
  wait();
  assert.equal(server.last('SUBSCRIBE').payload.minSeq, 12);
});

test('a write that is refused shows no more', async () => {
  const query = await shown({}, [row('a', { n: 1 })]);
  const [before] = query.get();
  const writing = db.update('a', { n: 2 }, { expectedVersion: 9 });
  assert.deepEqual(query.get()[0], { _id: 'a', _version: 2, n: 2 });
  server.refuse(server.last('UPDATE'), 'version_conflict');
  await assert.rejects(writing);
  assert.equal(query.get()[0], before);
  assert.equal(query.pending('a'), false);
});

test('an update makes a row leave, and another enter again, as far as the client can judge', async () => {
  const query = await shown({ filter: { done: false } }, [row('a', { done: false })]);
  leave(db.update('a', { done: true }));
  assert.deepEqual(ids(query), []);
  leave(db.update('a', { $unset: { done: 1 } }));
  assert.deepEqual(ids(query), []);
  leave(db.update('a', { done: false }, { merge: true }));
  assert.deepEqual(ids(query), ['a']);
});

test('where only the server can judge, a new row waits and a known one stays', async () => {
  const query = await shown({ filter: { text: { $regex: 'x' } } }, [row('a', { text: 'x' })]);
  leave(db.create({ _id: 'b', text: 'x' }));
  leave(db.update('a', { text: 'y' }));
  leave(db.update('a', { $push: { tags: 1 } }));
  assert.deepEqual(query.get(), [{ _id: 'a', _version: 2, text: 'y' }]);
});

test('a row does not leave for fields that were not asked for', async () => {
  const query = await shown({ filter: { done: false }, fields: ['title'] }, [{ _id: 'a', title: 'x' }]);
  leave(db.update('a', { title: 'y' }));
  leave(db.create({ _id: 'b', title: 'z', done: false, more: 1 }));
  assert.deepEqual(query.get(), [{ _id: 'a', title: 'y' }, { _id: 'b', title: 'z' }]);
});

test('edits of a document that is not created yet show on it', async () => {
  const query = await shown({ filter: { n: 2 } }, []);
  server.cut();
  leave(db.create({ _id: 'a', n: 1 }));
  leave(db.update('a', { n: 2 }));
  assert.equal(query.get()[0].n, 2);
  leave(db.remove('a'));
  assert.deepEqual(query.get(), []);
  const late = db.query({ optimistic: true });
  assert.deepEqual(late.get(), []);
});

test('a query without an overlay shows what is confirmed, and so does a write without one', async () => {
  const query = await shown({ optimistic: false }, [row('a', { n: 1 })]);
  const other = await shown({}, [row('a', { n: 1 })]);
  leave(db.update('a', { n: 2 }));
  leave(db.create({ _id: 'b' }, { optimistic: false }));
  assert.equal(query.get()[0].n, 1);
  assert.deepEqual(ids(other), ['a']);
});

test('an answered edit of which the query hears nothing is dropped all the same', async () => {
  const query = await shown({}, []);
  leave(db.create({ _id: 'a' }));
  server.accept(server.last('CREATE'), 11, {});
  await settled();
  wait();
  const { sub, minSeq } = server.last('SUBSCRIBE').payload;
  assert.equal(minSeq, 11);
  server.say({ type: 'live', sub, seq: 12 });
  await settled();
  assert.deepEqual(query.get(), []);
});

test('a document may have any name', async () => {
  const query = await shown({ sort: { '__proto__.x': 1 }, filter: { constructor: null } }, []);
  const patch = JSON.parse('{"__proto__.y":2,"toString":1}');
  leave(db.create(JSON.parse('{"_id":"a","__proto__":{"x":1}}')));
  leave(db.update('a', patch));
  assert.equal(JSON.stringify(query.get()[0].__proto__), '{"x":1,"y":2}');
  assert.equal({}.y, undefined);
});

test('changes are iterated in order until the query ends, and a slow taker hears of a reset', async () => {
  const query = await shown({}, []);
  const taken = [];
  const taking = (async () => {
    for await (const { kind, seq } of query) taken.push(`${kind} ${seq}`);
  })();
  server.change(11, 'create', row('a'));
  await settled();
  server.change(12, 'delete', row('a'));
  await settled();
  assert.deepEqual(taken, ['create 11', 'delete 12']);
  const slow = query[Symbol.asyncIterator]();
  for (let seq = 13; seq < 2000; seq += 1) server.change(seq, 'create', row(`${seq}`));
  await settled();
  assert.equal((await slow.next()).value.kind, 'reset');
  query.close();
  await taking;
});

test('a listener that throws stops nobody else, and is reported', async (t) => {
  const query = await shown({}, []);
  const uncaught = [];
  const { queueMicrotask } = globalThis;
  t.mock.method(globalThis, 'queueMicrotask', (task) => queueMicrotask(() => {
    try {
      task();
    } catch (error) {
      uncaught.push(error.message);
    }
  }));
  let told = false;
  query.subscribe(() => {
    throw new Error('mine');
  });
  query.subscribe(() => (told = true));
  server.change(11, 'create', row('a'));
  await settled();
  assert.equal(told, true);
  assert.deepEqual(uncaught, ['mine']);
});

test('the feed yields every change and what is missing, and goes on by itself', async () => {
  const feed = db.changes({ filter: { a: 1 } });
  const subscribe = server.last('SUBSCRIBE');
  assert.equal(subscribe.payload.snapshot, undefined);
  server.accept(subscribe, 10, {});
  server.change(11, 'create', row('a'));
  assert.equal((await feed.next()).value.seq, 11);
  server.cut();
  wait();
  server.welcome(12);
  assert.equal(server.last('SUBSCRIBE').payload.after, 11);
  const { sub } = server.last('SUBSCRIBE').payload;
  server.say({ type: 'reset', sub, reason: 'ahead', seq: 5 });
  const { value } = await feed.next();
  assert.deepEqual([value.kind, value.reason, value.seq], ['reset', 'ahead', 5]);
  feed.close();
  assert.equal((await feed.next()).done, true);
  assert.equal(server.last('UNSUBSCRIBE').payload.sub, sub);
});

test('a feed that is taken slowly stops, and goes on where it stopped', async () => {
  const feed = db.changes({ after: 0 });
  for (let seq = 1; seq <= 1500; seq += 1) server.change(seq, 'create', row(`${seq}`));
  assert.equal(server.sent('UNSUBSCRIBE').length, 1);
  for (let seq = 1; seq <= 1000; seq += 1) assert.equal((await feed.next()).value.seq, seq);
  const next = feed.next();
  await settled();
  assert.equal(server.last('SUBSCRIBE').payload.after, 1000);
  server.change(1001, 'create', row('x'));
  assert.equal((await next).value.seq, 1001);
});

test('what is asked of a client that is closed ends at once', async () => {
  db.close();
  await assert.rejects(db.query().whenReady(), { code: 'closed' });
  assert.equal((await db.changes().next()).done, true);
});

test('after telling that took long, what comes waits to be told together, 50 ms at most', async (t) => {
  const query = await shown({}, []);
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const stop = query.subscribe(() => (now += 1000));
  server.change(11, 'create', row('a'));
  await settled();
  stop();
  query.told = 0;
  server.change(12, 'create', row('b'));
  await settled();
  server.change(13, 'create', row('c'));
  mock.timers.tick(49);
  assert.deepEqual([query.told, ids(query)], [0, ['a', 'b', 'c']]);
  mock.timers.tick(1);
  assert.equal(query.told, 1);
});
