import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { FakeServer, settled } from './fake_server.js';

let server;
let db;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  server = new FakeServer();
});

afterEach(() => {
  db.close();
  mock.timers.reset();
});

/** For promises that a test leaves behind, to be rejected when it ends. */
const leave = (promise) => void promise.catch(() => {});

/** Until the next attempt to connect, or to send again. */
const wait = () => mock.timers.tick(60_000);

function connected(options) {
  db = server.connect(options);
  server.welcome();
}

test('a write without an answer is sent again under the same commandId', async () => {
  connected();
  const writing = db.create({ a: 1 });
  const [first] = server.sent('CREATE');
  server.cut();
  wait();
  server.welcome();
  const [second] = server.sent('CREATE');
  assert.equal(server.sockets.length, 2);
  assert.equal(second.commandId, first.commandId);
  assert.deepEqual(second.payload, first.payload);
  server.accept(second, 1, { _id: 'a' }, { duplicate: true });
  assert.deepEqual(await writing, { _id: 'a' });
  assert.equal(db.pending, 0);
});

test('an answer that comes on a connection that was given up is nobody\'s', async () => {
  connected();
  const writing = db.write({ type: 'DELETE', payload: { id: 'a' } });
  const old = server.socket;
  const [first] = server.sent('DELETE');
  server.cut();
  wait();
  server.welcome();
  old.onmessage({ data: JSON.stringify({ type: 'error', id: first.id, error: { code: 'not_found', message: '' } }) });
  const [second] = server.sent('DELETE');
  server.accept(second, 5, { _id: 'a' });
  assert.deepEqual(await writing, { seq: 5, data: { _id: 'a' }, duplicate: false });
});

test('edits of one event are sent one after the other, and others beside them', () => {
  connected();
  leave(db.update('a', { n: 1 }));
  leave(db.update('b', { n: 1 }));
  leave(db.update('a', { n: 2 }));
  leave(db.update('c', { n: 1 }));
  const sent = () => server.sent('UPDATE').map(({ payload }) => `${payload.id}${payload.updateData.n}`);
  assert.deepEqual(sent(), ['a1', 'b1']);
  server.accept(server.sent('UPDATE')[0], 1, {});
  assert.deepEqual(sent(), ['a1', 'b1', 'a2', 'c1']);
});

test('a retry holds back the later edits of its event', async () => {
  connected();
  leave(db.update('a', { n: 1 }));
  leave(db.update('a', { n: 2 }));
  server.refuse(server.last('UPDATE'), 'busy', { retryable: true });
  assert.equal(server.sent('UPDATE').length, 1);
  wait();
  assert.deepEqual(server.sent('UPDATE').map(({ payload }) => payload.updateData.n), [1, 1]);
  assert.equal(new Set(server.sent('UPDATE').map(({ commandId }) => commandId)).size, 1);
  server.accept(server.last('UPDATE'), 1, {});
  assert.equal(server.last('UPDATE').payload.updateData.n, 2);
});

test('an unknown outcome is asked for again, any other refusal is final', async () => {
  connected();
  const writing = db.update('a', { n: 1 });
  server.refuse(server.last('UPDATE'), 'outcome_unknown');
  wait();
  server.refuse(server.last('UPDATE'), 'not_found');
  await assert.rejects(writing, { code: 'not_found', name: 'LivelogError' });
  assert.equal(db.pending, 0);
});

test('offline, so many writes wait and no more', async () => {
  db = server.connect();
  const writing = Array.from({ length: 101 }, () => db.create({}));
  await assert.rejects(writing.pop(), { code: 'queue_full' });
  await assert.rejects(db.create({ text: 'x'.repeat(300_000) }), { code: 'too_large' });
  assert.equal(db.pending, 100);
  server.welcome();
  assert.equal(server.sent('CREATE').length, 32);
  for (let at = 0; at < 100; at += 1) server.accept(server.sent('CREATE')[at], at + 1, { at });
  assert.deepEqual(await Promise.all(writing), Array.from({ length: 100 }, (_, at) => ({ at })));
});

test('what is 1 MiB together waits for a connection no longer', async () => {
  db = server.connect();
  for (let at = 0; at < 5; at += 1) leave(db.create({ text: 'x'.repeat(200_000) }));
  await assert.rejects(db.create({ text: 'x'.repeat(200_000) }), { code: 'queue_full' });
});

test('what its caller changes after the call is not sent', () => {
  db = server.connect();
  const doc = { tags: ['a'] };
  leave(db.create(doc));
  doc.tags.push('b');
  server.welcome();
  assert.deepEqual(server.last('CREATE').payload.tags, ['a']);
});

test('of a conflict the application makes another write, and what is behind it waits', async () => {
  const asked = Promise.withResolvers();
  const conflicts = [];
  connected({
    onConflict(conflict) {
      conflicts.push(conflict);
      return asked.promise;
    },
  });
  const first = db.update('a', { n: 1 }, { expectedVersion: 1 });
  const second = db.update('a', { n: 2 });
  const other = db.update('b', { n: 3 });
  const [sent] = server.sent('UPDATE');
  const current = { _id: 'a', _version: 7 };
  server.refuse(sent, 'version_conflict', { details: { currentVersion: 7, current } });
  await settled();
  assert.deepEqual(conflicts[0].current, current);
  assert.deepEqual(server.sent('UPDATE').map(({ payload }) => payload.id), ['a', 'b']);
  asked.resolve({ ...conflicts[0].command.payload, expectedVersion: 7 });
  await settled();
  const again = server.last('UPDATE');
  assert.deepEqual(again.payload, { id: 'a', updateData: { n: 1 }, expectedVersion: 7 });
  assert.notEqual(again.commandId, sent.commandId);
  server.accept(again, 8, { n: 1 });
  assert.deepEqual(await first, { n: 1 });
  assert.equal(server.last('UPDATE').payload.updateData.n, 2);
  server.accept(server.last('UPDATE'), 9, { n: 2 });
  server.accept(server.sent('UPDATE')[1], 10, { n: 3 });
  await Promise.all([second, other]);
});

test('the write that is made of a conflict shows where the other did, under the later edits', async () => {
  connected({ onConflict: ({ command }) => ({ id: command.payload.id, updateData: { n: 7, m: 7 } }) });
  const query = db.query();
  server.snapshot(10, [{ _id: 'a' }]);
  await query.whenReady();
  leave(db.update('a', { n: 1 }, { expectedVersion: 1 }));
  leave(db.update('a', { n: 2 }));
  server.refuse(server.last('UPDATE'), 'version_conflict');
  await settled();
  assert.deepEqual(query.get(), [{ _id: 'a', n: 2, m: 7 }]);
});

test('thousands of writes at once are sent as answers come', async () => {
  connected();
  const writing = Array.from({ length: 3000 }, (_, at) => db.create({ at }));
  for (let at = 0; at < 3000; at += 1) server.accept(server.sent('CREATE')[at], at + 1, at);
  assert.deepEqual(await Promise.all(writing), Array.from({ length: 3000 }, (_, at) => at));
});

test('a conflict that is given up rejects, and one whose handler throws rejects with that', async () => {
  let answer = () => undefined;
  connected({ onConflict: () => answer() });
  const given = db.update('a', {}, { expectedVersion: 1 });
  server.refuse(server.last('UPDATE'), 'version_conflict');
  await assert.rejects(given, { code: 'version_conflict' });
  answer = () => {
    throw new RangeError('no');
  };
  const thrown = db.update('a', {}, { expectedVersion: 1 });
  server.refuse(server.last('UPDATE'), 'version_conflict');
  await assert.rejects(thrown, RangeError);
  assert.equal(db.pending, 0);
});

test('what waits is rejected when the client is closed, and what comes later', async () => {
  connected();
  const sent = db.create({});
  db.close();
  await assert.rejects(sent, { code: 'closed' });
  await assert.rejects(db.create({}), { code: 'closed' });
  await assert.rejects(db.fetch(), { code: 'closed' });
});

test('a batch is built in one go and keeps the ids that the client chose', () => {
  connected();
  leave(db.batch((batch) => {
    batch.create({ n: 1 });
    batch.update('a', { n: 2 }, { merge: true, expectedVersion: 3 });
    batch.remove('b');
    batch.restore('c', 4);
  }));
  const [create, ...others] = server.last('BATCH').payload.commands.map(({ type, payload }) => ({ type, payload }));
  assert.match(create.payload._id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual(others, [
    { type: 'UPDATE', payload: { id: 'a', mergePatch: { n: 2 }, expectedVersion: 3 } },
    { type: 'DELETE', payload: { id: 'b' } },
    { type: 'RESTORE', payload: { id: 'c', version: 4 } },
  ]);
});

test('reads ask again on the next connection, broadcasts do not', async () => {
  connected();
  const reading = db.fetch({ filter: { a: 1 } });
  const broadcasting = db.broadcast({ hi: true });
  await settled();
  assert.equal(server.sent('FETCH').length, 1);
  server.cut();
  await assert.rejects(broadcasting, { code: 'outcome_unknown' });
  wait();
  server.welcome();
  await settled();
  server.accept(server.last('FETCH'), 3, [{ _id: 'a' }]);
  const { data, seq } = await reading;
  assert.deepEqual({ data, seq }, { data: [{ _id: 'a' }], seq: 3 });
  assert.equal(server.sent('BROADCAST').length, 0);
});

test('a read sees this client\'s own writes, and none of another log\'s', async () => {
  connected();
  const writing = db.create({});
  server.accept(server.last('CREATE'), 41, {});
  await writing;
  leave(db.fetch());
  await settled();
  assert.equal(server.last('FETCH').payload.minSeq, 41);
  server.cut();
  wait();
  server.epoch = 'e2';
  server.welcome();
  await settled();
  leave(db.fetch());
  await settled();
  assert.equal(server.last('FETCH').payload.minSeq, undefined);
});

test('a condition goes with the write', () => {
  connected();
  leave(db.remove('a', { expectedVersion: 3 }));
  leave(db.write({ type: 'DELETE', payload: { id: 'b' } }, { expectedVersion: 4 }));
  const [first, second] = server.sent('DELETE').map(({ payload }) => payload);
  assert.deepEqual([first, second], [{ id: 'a', expectedVersion: 3 }, { id: 'b', expectedVersion: 4 }]);
});

test('what is created under a commandId of the caller\'s has the same id each time, alone and in a batch', () => {
  const idsOf = (commandId) => {
    connected();
    leave(db.create({ n: 1 }, { commandId }));
    leave(db.batch((batch) => [1, 2].forEach((n) => batch.create({ n })), { commandId: `${commandId}+` }));
    const [{ payload }] = server.sent('CREATE');
    const others = server.last('BATCH').payload.commands.map((command) => command.payload);
    db.close();
    return [payload, ...others].map(({ _id }) => _id);
  };
  const all = new Set();
  for (const commandId of ['', '.', '..', 'order 7', 'order 8', 'ä\0🂡', 'x'.repeat(128), 'x'.repeat(127)]) {
    const ids = idsOf(commandId);
    assert.deepEqual(idsOf(commandId), ids);
    for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
    for (const id of ids) all.add(id);
  }
  assert.equal(all.size, 8 * 3, 'no two of them are one');
  connected();
  leave(db.create({ _id: 'mine' }, { commandId: 'c' }));
  assert.equal(server.last('CREATE').payload._id, 'mine');
});

/** For so long, refuses as in conflict each write with a condition; how many updates were sent. */
async function conflicts(milliseconds) {
  let refused = 0;
  for (let passed = 0; passed < milliseconds; passed += 50) {
    for (let last; (last = server.last('UPDATE')).payload.expectedVersion && last.id !== refused; ) {
      refused = last.id;
      server.refuse(last, 'version_conflict', { details: { current: {} } });
      await settled();
    }
    mock.timers.tick(50);
  }
  return server.sent('UPDATE').length;
}

test('a conflict that comes again and again is tried less and less often until it is given up', async (t) => {
  t.mock.method(Math, 'random', () => 0.999);
  const attempts = [];
  connected({
    onConflict({ command, attempt }) {
      attempts.push(attempt);
      return attempt < 9 && command.payload;
    },
  });
  const writing = db.update('a', { n: 1 }, { expectedVersion: 1 });
  const refused = assert.rejects(writing, { code: 'version_conflict' });
  assert.equal(await conflicts(50), 2, 'at once after the first');
  leave(db.update('a', { n: 2 }));
  leave(db.create({ _id: 'b' }));
  assert.equal(server.sent('UPDATE').length, 2, 'what is behind it waits');
  assert.equal(server.sent('CREATE').length, 1, 'and nothing else');
  assert.equal(await conflicts(5000), 4);
  assert.equal(await conflicts(200_000), 10, 'the last is what waited behind it');
  assert.deepEqual(attempts, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await refused;
});

test('a write that waits after a conflict ends with its client', async () => {
  mock.timers.reset();
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  connected({ onConflict: ({ command }) => command.payload });
  const writing = db.update('a', { n: 1 }, { expectedVersion: 1 });
  for (const attempt of [0, 1]) {
    server.refuse(server.sent('UPDATE')[attempt], 'version_conflict');
    await settled();
  }
  assert.equal(server.sent('UPDATE').length, 2, 'the third waits');
  assert.equal(timers(), before + 2, 'a beat and a delay');
  db.close();
  await assert.rejects(writing, { code: 'closed' });
  assert.equal(timers(), before);
});

test('an answer that does not say where the write is costs the connection, and the write is sent again', async () => {
  connected();
  const writing = db.create({ _id: 'a' });
  const first = server.last('CREATE');
  server.accept(first, undefined, {});
  assert.match(db.state.reason, /^no livelog answers there/);
  wait();
  server.welcome();
  const second = server.last('CREATE');
  assert.equal(second.commandId, first.commandId);
  server.accept(second, 7, { _id: 'a' });
  assert.deepEqual(await writing, { _id: 'a' });
});
