import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { begun, ended, settled } from './fake_server.js';

let server;
let db;

beforeEach(() => void ({ server, db } = begun()));

afterEach(() => ended(db));

const leave = (promise) => void promise.catch(() => {});
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

const outcome = (promise) => promise.then((value) => value ?? 'done', ({ code }) => code);

test('changes of a query that is over end, or throw why it is over', async () => {
  const closed = await shown({}, []);
  closed.close();
  const refused = db.query({ filter: { $bad: 1 } });
  server.refuse(server.last('SUBSCRIBE'), 'bad_request');
  await settled();
  assert.deepEqual(await closed[Symbol.asyncIterator]().next(), { value: undefined, done: true });
  await assert.rejects(refused[Symbol.asyncIterator]().next(), { code: 'bad_request' });
  const open = await shown({}, []);
  db.close();
  await settled();
  for (const query of [open, db.query()]) {
    await settled();
    assert.equal((await query[Symbol.asyncIterator]().next()).done, true);
  }
});

test('an iterator that waits is let go at once, and so is one that was never begun', async () => {
  const query = await shown({}, []);
  for (const open of [() => query[Symbol.asyncIterator](), () => db.changes()]) {
    const iterator = open();
    const next = iterator.next();
    await settled();
    assert.equal((await iterator.return()).done, true);
    assert.equal((await next).done, true);
    assert.equal((await iterator.next()).done, true);
  }
  const { sub } = server.last('SUBSCRIBE').payload;
  assert.equal(server.last('UNSUBSCRIBE').payload.sub, sub);
  await db.changes().return();
  assert.equal(server.sent('UNSUBSCRIBE').length, 2);
});

test('what ends a feed is told, and never an uncaught rejection', async (t) => {
  const reported = t.mock.method(console, 'error', () => {});
  const errors = [];
  for (const onError of [undefined, ({ code }) => errors.push(code)]) {
    db.onChange({ filter: { $bad: 1 } }, () => {}, onError);
    server.refuse(server.last('SUBSCRIBE'), 'bad_request');
    await settled();
  }
  assert.deepEqual(errors, ['bad_request']);
  assert.deepEqual(reported.mock.calls.map(({ arguments: [error] }) => error.code), ['bad_request']);
  db.onChange({}, () => {}, () => errors.push('ended'))();
  await settled();
  assert.equal(errors.length, 1);
});

test('what is no seq is not waited for', async () => {
  const query = await shown({}, []);
  for (const seq of [undefined, null, NaN, -1, 1.5, '1', { _seq: 1 }, Infinity]) {
    await assert.rejects(query.seen(seq), { code: 'invalid_option', path: 'seq' });
  }
  assert.equal(await outcome(query.seen(10)), 'done');
});

test('a caller cannot change the rows that the client works with', async () => {
  const query = await shown({ sort: { n: 1 } }, [row('a', { n: 1 }), row('b', { n: 2 })]);
  assert.throws(() => query.get().reverse(), TypeError);
  assert.throws(() => query.get().push(row('c')), TypeError);
  server.change(11, 'create', row('c', { n: 1.5 }));
  await settled();
  assert.deepEqual(ids(query), ['a', 'c', 'b']);
  assert.throws(() => db.query().get().push(1), TypeError);
});

test('a filter is judged as the server reads it', async () => {
  const query = await shown({ filter: { at: { $gte: new Date(0) } } }, []);
  leave(db.create({ _id: 'a', at: new Date(1) }));
  assert.deepEqual(ids(query), ['a']);
  server.accept(server.last('CREATE'), 11, {});
  server.change(11, 'create', row('a', { at: new Date(1).toJSON() }));
  await settled();
  leave(db.update('a', { n: 1 }));
  assert.deepEqual(ids(query), ['a']);
});
