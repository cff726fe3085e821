/** Writes while there is no connection: queued, bounded, done once when it is back. */
import { equal, ok, rejects, test, watched } from './harness.js';
import { live, until } from './world.js';

async function away(world, options) {
  const { site, db } = await world.pair(options);
  await site.refuse(true);
  await site.cut();
  await until(() => db.state.name !== 'live', 'it has noticed');
  return { site, db };
}

test('what is written offline shows at once and is done, in order, when the connection is back', async (world) => {
  const { site, db } = await world.pair();
  const query = db.query();
  await query.whenReady();
  await site.refuse(true);
  await site.cut();
  await until(() => db.state.name !== 'live');
  const all = [
    db.create({ _id: 'a', n: 1 }),
    ...[2, 3].map((n) => db.update('a', { $inc: { n } })),
    db.update('a', { n: 7 }),
    db.create({ _id: 'b' }),
    db.remove('b'),
  ];
  equal(
    query.get().map(({ _id, n }) => [_id, n]),
    [['a', 7]],
  );
  await site.refuse(false);
  await Promise.all(all);
  const told = (await site.changes()).map(({ kind, eventId, data }) => [kind, eventId, data?.n]);
  const expected = [
    ['create', 'a', 1],
    ['update', 'a', 3],
    ['update', 'a', 6],
    ['update', 'a', 7],
    ['create', 'b', undefined],
    ['delete', 'b', undefined],
  ];
  equal(
    ['a', 'b'].flatMap((id) => told.filter(([, of]) => of === id)),
    expected,
  );
});

test('at most 100 writes are queued', async (world) => {
  const { site, db } = await away(world);
  const all = Array.from({ length: 100 }, (_, n) => db.create({ n }));
  await rejects(db.create({ n: 100 }), 'queue_full');
  equal(db.pending, 100);
  await site.refuse(false);
  await Promise.all(all);
  equal(
    (await site.changes()).map(({ data }) => data.n),
    Array.from({ length: 100 }, (_, n) => n),
  );
});

test('at most one MiB is queued', async (world) => {
  const { site, db } = await away(world);
  const text = 'x'.repeat(200 * 1024);
  const all = Array.from({ length: 5 }, () => watched(db.create({ text })));
  await rejects(db.create({ text }), 'queue_full');
  const small = db.create({ n: 1 });
  await site.refuse(false);
  await small;
  await until(() => all.every(({ outcome }) => outcome?.[0] === 'done'), 'those that had room are done');
});

test('what was refused for want of room does not show', async (world) => {
  const { db } = await world.pair();
  const query = db.query();
  await query.whenReady();
  let refused = 0;
  const all = Array.from({ length: 400 }, (_, n) =>
    db.create({ _id: `e${n}` }).catch(({ code }) => (refused += code === 'queue_full' ? 1 : 1000)),
  );
  await Promise.all(all);
  const { seq, data } = await db.fetch({ limit: 1000 });
  await query.seen(seq);
  equal(query.get().length, data.length);
  equal(data.length + refused, 400);
});

test('writes through a server that is killed again and again are each done once', async (world) => {
  const { site, db } = await world.pair();
  const query = db.query();
  await query.whenReady();
  await db.create({ _id: 'a', n: 0 });
  const done = [];
  for (let round = 0; round < 4; round++) {
    for (let at = 0; at < 15; at++) done.push(db.update('a', { $inc: { n: 1 } }));
    await Promise.race([done.at(-10), new Promise((go) => setTimeout(go, 20 * round))]);
    await site.kill();
    for (let at = 0; at < 5; at++) done.push(db.update('a', { $inc: { n: 1 } }));
    await site.start();
    await until(() => db.state.name === 'live', 'it is live', 40_000);
    await Promise.all(done);
  }
  equal((await site.event('a')).n, 80);
  equal((await site.changes()).length, 81);
  await until(() => query.get()[0].n === 80 && !query.pending('a'));
});

test('a retried write to a log that was made anew is done in the new one', async (world) => {
  const { site, db } = await away(world);
  const made = db.create({ _id: 'a', n: 1 });
  await site.refound();
  await site.refuse(false);
  equal((await made)._seq, 1);
  await live(db);
  ok((await site.event('a')).n === 1);
});
