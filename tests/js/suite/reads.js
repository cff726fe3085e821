/** Reads that are asked for once, and the feed of raw changes. */
import { equal, ok, rejects, test } from './harness.js';
import { live, until } from './world.js';

async function withNumbers(world, count = 10) {
  const { site, db } = await world.pair();
  await db.batch(
    Array.from({ length: count }, (_, n) => ({ type: 'CREATE', payload: { _id: `e${n}`, n, even: n % 2 === 0 } })),
  );
  return { site, db };
}

test('a fetch filters, sorts, limits and chooses fields', async (world) => {
  const { db } = await withNumbers(world);
  const { data, seq } = await db.fetch({ filter: { even: true }, sort: { n: -1 }, limit: 2, fields: ['n'] });
  equal(
    data.map(({ _id, n, even }) => [_id, n, even]),
    [
      ['e8', 8, undefined],
      ['e6', 6, undefined],
    ],
  );
  equal(seq, 10);
});

test('a fetch goes on at its cursor', async (world) => {
  const { db } = await withNumbers(world);
  const found = [];
  for (let cursor; ;) {
    const { data, next } = await db.fetch({ sort: { n: 1 }, limit: 4, cursor });
    found.push(...data.map(({ n }) => n));
    if (next === undefined) break;
    cursor = next;
  }
  equal(found, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('a fetch and a get see the writes of their client', async (world) => {
  const { db } = await world.pair();
  for (let n = 0; n < 20; n++) {
    const { _id } = await db.create({ n });
    equal((await db.get(_id)).n, n);
    equal((await db.fetch({ filter: { n } })).data.length, 1);
  }
});

test('a fetch and a get see the past', async (world) => {
  const { db } = await world.pair();
  const { _seq } = await db.create({ _id: 'a', n: 1 });
  await db.update('a', { n: 2 });
  equal((await db.get('a', { at: _seq })).n, 1);
  equal(
    (await db.fetch({ at: _seq })).data.map(({ n }) => n),
    [1],
  );
  equal(Object.keys(await db.get('a', { fields: ['n'] })).includes('_createdAt'), false);
});

test('a get of what is not there is undefined', async (world) => {
  const { db } = await world.pair();
  equal(await db.get('nobody'), undefined);
  await db.create({ _id: 'a/b?c=%&#"', n: 1 });
  equal((await db.get('a/b?c=%&#"')).n, 1);
});

test('a history tells the changes of one event', async (world) => {
  const { db } = await world.pair();
  await db.create({ _id: 'a/ b', n: 1 });
  await db.update('a/ b', { n: 2 });
  await db.remove('a/ b');
  const { data } = await db.history('a/ b');
  equal(data.map(({ kind, version }) => [kind, version]).sort(), [
    ['create', 1],
    ['delete', 3],
    ['update', 2],
  ]);
  const oldest = await db.history('a/ b', { order: 'oldest', limit: 1 });
  equal(
    oldest.data.map(({ kind }) => kind),
    ['create'],
  );
  ok(oldest.next !== undefined, 'there is more');
  equal((await db.history('a/ b', { order: 'oldest', after: oldest.next, limit: 1 })).data[0].kind, 'update');
});

test('a read that is asked wrongly is refused with its path', async (world) => {
  const { db } = await world.pair();
  const refused = await rejects(db.fetch({ filter: { $nonsense: 1 } }), 'invalid_filter');
  ok(refused.path?.includes('filter'), refused.path);
  equal((await db.fetch()).data, [], 'the client lives on');
});

test('a fetch without a connection is answered when there is one, or fails as unavailable', async (world) => {
  const { site, db } = await withNumbers(world, 1);
  await site.refuse(true);
  await site.cut();
  await until(() => db.state.name !== 'live', 'it has noticed');
  const asked = db.fetch().then(
    ({ data }) => data.length,
    ({ code }) => code,
  );
  await site.refuse(false);
  const outcome = await asked;
  ok(outcome === 1 || outcome === 'unavailable', `it is ${outcome}`);
  await live(db);
  equal((await db.fetch()).data.length, 1);
});

test('the feed tells every change from now on, in order, through cuts', async (world) => {
  const { site, db } = await world.pair();
  await db.create({ _id: 'before' });
  const feed = db.changes();
  const told = [];
  const reading = (async () => {
    for await (const change of feed) told.push(change);
  })();
  await db.create({ _id: 'a', n: 1 });
  await until(() => told.length > 0, 'the first is told');
  await db.update('a', { n: 2 });
  await site.cut();
  await db.remove('a');
  await until(() => told.at(-1)?.kind === 'delete', 'the last is told');
  const own = told.filter(({ eventId }) => eventId === 'a');
  equal(
    own.map(({ seq, kind, version }) => [seq, kind, version]),
    [
      [2, 'create', 1],
      [3, 'update', 2],
      [4, 'delete', 3],
    ],
  );
  equal([own[0].data.n, own[1].patch.set.n], [1, 2]);
  feed.close();
  await reading;
});

test('the feed begins where it is told to, with the filter and the fields that it is told', async (world) => {
  const { db } = await withNumbers(world);
  const told = [];
  const stop = db.onChange({ after: 4, filter: { even: true }, fields: ['n'] }, (change) => told.push(change));
  await until(
    () => told.length === 3,
    () => `e4, e6 and e8 are told: ${JSON.stringify(told)}`,
  );
  equal(
    told.map(({ eventId, data }) => [eventId, data.n, data.even]),
    [
      ['e4', 4, undefined],
      ['e6', 6, undefined],
      ['e8', 8, undefined],
    ],
  );
  stop();
  await db.create({ _id: 'later', even: true });
  await db.fetch();
  equal(told.length, 3);
});

test('the feed says when the log is another one', async (world) => {
  const { site, db } = await withNumbers(world);
  const told = [];
  db.onChange({ after: 0 }, (change) => told.push(change));
  await until(() => told.length === 10, 'all is told');
  await site.refound();
  await until(
    () => told.some(({ kind }) => kind === 'reset'),
    () => `a reset is told: ${JSON.stringify(told.at(-1))}`,
  );
  await db.create({ _id: 'new' });
  await until(() => told.at(-1).eventId === 'new', 'it goes on');
});
