/** Writes: what each does, what their promises say, and that none is lost or done twice. */
import { LivelogError } from 'livelog';
import { equal, ok, rejects, test } from './harness.js';
import { live, until } from './world.js';

const LIMIT_BYTES = 256 * 1024;

test('a created event is the value of its promise and is in the log', async (world) => {
  const { site, db } = await world.pair();
  const made = await db.create({ title: 'first', tags: ['new'] });
  ok(typeof made._id === 'string' && made._id.length > 0, 'it has an id');
  equal([made._version, made._seq, made.title, made.tags], [1, 1, 'first', ['new']]);
  equal(await site.event(made._id), made);
});

test('an id may be chosen', async (world) => {
  const { site, db } = await world.pair();
  const made = await db.create({ _id: 'mine', n: 1 });
  equal(made._id, 'mine');
  equal((await site.event('mine')).n, 1);
});

test('an update sets fields, applies operators, or merges', async (world) => {
  const { db } = await world.pair();
  await db.create({ _id: 'a', n: 1, deep: { x: 1, y: 2 } });
  const set = await db.update('a', { title: 't', 'deep.x': 5 });
  equal([set._version, set.title, set.deep], [2, 't', { x: 5, y: 2 }]);
  const counted = await db.update('a', { $inc: { n: 2 }, $push: { list: 'p' } });
  equal([counted.n, counted.list], [3, ['p']]);
  const merged = await db.update('a', { title: null, deep: { y: null } }, { merge: true });
  equal([merged.title, merged.deep, merged._version], [undefined, { x: 5 }, 4]);
});

test('what is removed is told as it was, and can be restored', async (world) => {
  const { site, db } = await world.pair();
  await db.create({ _id: 'a', n: 1 });
  await db.update('a', { n: 2 });
  const gone = await db.remove('a');
  equal([gone._id, gone.n], ['a', 2]);
  equal(await site.event('a'), undefined);
  const back = await db.restore('a', 1);
  equal([back._id, back.n, back._version], ['a', 1, 4]);
});

test('a batch is done as a whole or not at all', async (world) => {
  const { site, db } = await world.pair();
  const events = await db.batch([
    { type: 'CREATE', payload: { _id: 'a', n: 1 } },
    { type: 'UPDATE', payload: { id: 'a', updateData: { $inc: { n: 1 } } } },
  ]);
  equal(
    events.map(({ _id, n }) => [_id, n]),
    [
      ['a', 1],
      ['a', 2],
    ],
  );
  const refused = await rejects(
    db.batch((batch) => {
      batch.create({ _id: 'b' });
      batch.remove('nobody');
    }),
    'not_found',
  );
  ok(refused.path?.includes('1'), `the path names the second command: ${refused.path}`);
  equal(await site.event('b'), undefined);
});

test('a batch is built by a function too', async (world) => {
  const { site, db } = await world.pair();
  await db.batch((batch) => {
    batch.create({ _id: 'a', n: 1 });
    batch.update('a', { n: 2 });
    batch.create({ _id: 'b' });
    batch.remove('b');
  });
  equal((await site.event('a')).n, 2);
  equal(
    (await site.changes()).map(({ kind }) => kind),
    ['create', 'update', 'create', 'delete'],
  );
});

test('write() tells the seq, and whether the command had been given before', async (world) => {
  const { site, db } = await world.pair();
  const first = await db.write({ type: 'CREATE', payload: { _id: 'a', n: 1 } }, { commandId: 'once' });
  equal([first.seq, first.data.n, Boolean(first.duplicate)], [1, 1, false]);
  const again = await db.write({ type: 'CREATE', payload: { _id: 'a', n: 1 } }, { commandId: 'once' });
  equal([again.seq, again.data.n, again.duplicate], [1, 1, true]);
  const gone = await db.write({ type: 'DELETE', payload: { id: 'a' } });
  equal([gone.seq, (await site.changes()).length], [2, 2]);
});

test('a refusal is an error with the code, the path and the details that the server names', async (world) => {
  const { db } = await world.pair();
  await db.create({ _id: 'a', n: 'text' });
  const taken = await rejects(db.create({ _id: 'a' }), 'already_exists');
  ok(taken instanceof LivelogError && taken instanceof Error, 'it is a LivelogError');
  equal([taken.retryable, typeof taken.message], [false, 'string']);
  const misfit = await rejects(db.update('a', { $inc: { n: 1 } }), 'does_not_fit');
  equal(misfit.path, 'payload.updateData.$inc.n');
  await rejects(db.update('nobody', { n: 1 }), 'not_found');
  const conflict = await rejects(db.update('a', { n: 1 }, { expectedVersion: 7 }), 'version_conflict');
  equal([conflict.details.currentVersion, conflict.details.current.n], [1, 'text']);
});

test('a write that no frame holds is refused before it is sent', async (world) => {
  const { site, db } = await world.pair();
  await rejects(db.create({ _id: 'big', text: 'x'.repeat(LIMIT_BYTES) }), 'too_large');
  // Two bytes each in UTF-8: it is bytes that count.
  await rejects(db.create({ _id: 'wide', text: 'é'.repeat(LIMIT_BYTES / 2) }), 'too_large');
  await db.create({ _id: 'fits', text: 'x'.repeat(LIMIT_BYTES - 1000) });
  equal(
    (await site.sent({ type: 'CREATE' })).map(({ payload }) => payload._id),
    ['fits'],
  );
});

test('writes that nobody waited for are done in the order of their calls', async (world) => {
  const { site, db } = await world.pair();
  db.create({ _id: 'a', n: -1 });
  const all = Array.from({ length: 60 }, (_, n) => db.update('a', { n }));
  await Promise.all(all);
  const told = (await site.changes()).map(({ data }) => data.n);
  equal(told, [-1, ...Array.from({ length: 60 }, (_, n) => n)]);
});

for (const [what, direction] of [
  ['request', 'up'],
  ['answer', 'down'],
]) {
  test(`a write whose ${what} was lost with the connection is done once`, async (world) => {
    const { site, db } = await world.pair();
    await db.create({ _id: 'a', n: 0 });
    const match = direction === 'up' ? { type: 'UPDATE' } : { type: 'response', request: 'UPDATE' };
    await site.rule({ direction, match, act: 'cut' });
    const done = await db.update('a', { $inc: { n: 1 } });
    equal(done.n, 1);
    equal((await site.sent({ type: 'UPDATE' })).length, 2, 'it was sent twice');
    equal((await site.changes()).length, 2);
  });
}

test('a write that arrives twice is done once, and the answer that nobody asked for harms nothing', async (world) => {
  const { site, db } = await world.pair();
  await db.create({ _id: 'a', n: 0 });
  await site.rule({ direction: 'up', match: { type: 'UPDATE' }, act: 'twice', times: 5 });
  await Promise.all(Array.from({ length: 5 }, () => db.update('a', { $inc: { n: 1 } })));
  equal((await db.get('a')).n, 5);
  equal((await site.changes()).length, 6);
});

for (const code of ['busy', 'unavailable', 'storage_failed', 'outcome_unknown']) {
  test(`a write that failed as ${code} is sent again under its commandId`, async (world) => {
    const { site, db } = await world.pair();
    await db.create({ _id: 'a', n: 0 });
    // Of an unknown outcome, the worst: it was done.
    const rule =
      code === 'outcome_unknown'
        ? { direction: 'down', match: { request: 'UPDATE' } }
        : { direction: 'up', match: { type: 'UPDATE' } };
    await site.rule({ ...rule, act: 'fail', code, times: 2 });
    equal((await db.update('a', { $inc: { n: 1 } })).n, 1);
    const sent = await site.sent({ type: 'UPDATE' });
    equal([sent.length, new Set(sent.map(({ commandId }) => commandId)).size], [3, 1]);
    equal((await site.changes()).length, 2);
  });
}

test('edits of one event keep their order though one of them is tried again', async (world) => {
  const { site, db } = await world.pair();
  await db.create({ _id: 'a', list: [] });
  await site.rule({
    direction: 'up',
    match: { type: 'UPDATE', payload: { updateData: { $push: { list: 2 } } } },
    act: 'fail',
    code: 'busy',
    times: 2,
  });
  await Promise.all([1, 2, 3, 4, 5].map((n) => db.update('a', { $push: { list: n } })));
  equal((await site.event('a')).list, [1, 2, 3, 4, 5]);
});

test('a write that is tried again does not hold back the edits of other events for long', async (world) => {
  const { site, db } = await world.pair();
  await db.create({ _id: 'a' });
  await db.create({ _id: 'b' });
  await site.rule({
    direction: 'up',
    match: { type: 'UPDATE', payload: { id: 'a' } },
    act: 'fail',
    code: 'busy',
    times: 3,
  });
  const [a, b] = await Promise.all([db.update('a', { n: 1 }), db.update('b', { n: 1 })]);
  equal([a.n, b.n], [1, 1]);
});

test('what is refused does not hold back what follows', async (world) => {
  const { db } = await world.pair();
  const refused = rejects(db.update('nobody', { n: 1 }), 'not_found');
  const made = db.create({ _id: 'a', n: 1 });
  await refused;
  equal((await made).n, 1);
});

test('a conflict is put to the application, and what it returns is sent instead', async (world) => {
  const conflicts = [];
  const site = await world.site();
  const db = world.connect(site, {
    onConflict: async ({ command, error, current }) => {
      conflicts.push([command.type, error.code, current.n]);
      return { ...command.payload, updateData: { n: current.n + 10 }, expectedVersion: current._version };
    },
  });
  await db.create({ _id: 'a', n: 1 });
  await db.update('a', { n: 2 });
  const done = await db.update('a', { n: 5 }, { expectedVersion: 1 });
  equal(done.n, 12);
  equal(conflicts, [['UPDATE', 'version_conflict', 2]]);
  const ids = (await site.sent({ type: 'UPDATE' })).map(({ commandId }) => commandId);
  equal(new Set(ids).size, 3, 'another command has another commandId');
});

test('a conflict that is given up rejects the promise, and the edits behind it have waited', async (world) => {
  const site = await world.site();
  const gate = Promise.withResolvers();
  const db = world.connect(site, { onConflict: () => gate.promise });
  await db.create({ _id: 'a', n: 1 });
  const refused = rejects(db.update('a', { n: 5 }, { expectedVersion: 9 }), 'version_conflict');
  const behind = db.update('a', { $inc: { n: 1 } });
  await until(
    async () => (await site.sent({ payload: { expectedVersion: 9 } })).length === 1,
    'the conflict is answered',
  );
  gate.resolve(null);
  await refused;
  equal((await behind).n, 2);
});

test('a broadcast is heard by every client', async (world) => {
  const { site, db } = await world.pair();
  const other = world.connect(site);
  await live(other);
  const heard = [];
  const stop = other.onBroadcast((payload) => heard.push(payload));
  await db.broadcast({ text: 'hello' });
  await until(() => heard.length === 1, 'the other hears it');
  equal(heard, [{ text: 'hello' }]);
  stop();
  await db.broadcast({ text: 'again' });
  await other.fetch();
  equal(heard.length, 1, 'who has stopped hears nothing');
});

test('a broadcast is sent at most once, though its answer is lost', async (world) => {
  const { site, db } = await world.pair();
  const other = world.connect(site);
  await live(other);
  const heard = [];
  other.onBroadcast((payload) => heard.push(payload.n));
  await site.rule({ direction: 'down', match: { type: 'response', request: 'BROADCAST' }, act: 'cut' });
  const refused = await db.broadcast({ n: 1 }).catch((error) => error);
  ok(refused instanceof LivelogError, 'its promise says that nobody knows');
  // The cut ended both connections.
  await Promise.all([live(db), live(other)]);
  await db.broadcast({ n: 2 });
  await until(() => heard.includes(2), 'the second is heard');
  equal(
    (await site.sent({ type: 'BROADCAST' })).map(({ payload }) => payload.n),
    [1, 2],
  );
});

test('a broadcast fails at once while there is no connection', async (world) => {
  const { site, db } = await world.pair();
  await site.refuse(true);
  await site.cut();
  await until(() => db.state.name !== 'live', 'it has noticed');
  await rejects(db.broadcast({ n: 1 }), 'unavailable');
});
