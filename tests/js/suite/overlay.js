/** Optimistic writes: shown at once, confirmed without flicker, dropped when they are refused. */
import { equal, ok, rejects, same, test } from './harness.js';
import { until } from './world.js';

const ids = (query) => query.get().map(({ _id }) => _id);

/** Something that `see` made of the result each time that it told of news, without repetitions. */
function seenOf(query, see) {
  const seen = [];
  const look = () => {
    const now = JSON.stringify(see(query.get()));
    if (now !== seen.at(-1)) seen.push(now);
  };
  look();
  query.subscribe(look);
  return () => seen.map((text) => (text === undefined ? undefined : JSON.parse(text)));
}

async function withQuery(world, options, documents = []) {
  const { site, db } = await world.pair();
  for (const document of documents) await db.create(document);
  const query = db.query(options);
  await query.whenReady();
  if (documents.length > 0) await query.seen(documents.length);
  return { site, db, query };
}

test('a created event shows at once, and is confirmed without flicker', async (world) => {
  const { site, db, query } = await withQuery(world);
  await site.delay(40);
  const seen = seenOf(query, (rows) => rows.map(({ title }) => title));
  const made = db.create({ _id: 'a', title: 'x' });
  equal([ids(query), query.get()[0].title, query.pending('a')], [['a'], 'x', true]);
  const { _seq } = await made;
  await query.seen(_seq);
  await until(() => !query.pending('a'), 'it is confirmed');
  equal(query.get()[0]._version, 1);
  equal(seen(), [[], ['x']]);
});

test('what is written shows until its change has arrived, though the answer was earlier', async (world) => {
  const { site, db, query } = await withQuery(world, {}, [{ _id: 'a', n: 1 }, { _id: 'gone' }]);
  const seen = seenOf(query, (rows) => rows.map(({ _id, n }) => `${_id}${n ?? ''}`));
  const late = () => site.rule({ direction: 'down', match: { type: 'change' }, act: 'late', milliseconds: 150 });
  const steps = [
    () => db.update('a', { $inc: { n: 1 } }),
    () => db.create({ _id: 'b', n: 1 }),
    () => db.remove('gone'),
  ];
  for (const step of steps) {
    await late();
    await step();
    await until(() => !['a', 'b', 'gone'].some((id) => query.pending(id)), 'it is confirmed');
  }
  equal(seen(), [
    ['a1', 'gone'],
    ['a2', 'gone'],
    ['a2', 'b1', 'gone'],
    ['a2', 'b1'],
  ]);
});

test('an event without a chosen id shows under the id that it will have', async (world) => {
  const { db, query } = await withQuery(world);
  const made = db.create({ title: 'x' });
  const [{ _id }] = query.get();
  equal((await made)._id, _id);
});

test('an optimistic row has the names that a row has', async (world) => {
  const { db, query } = await withQuery(world);
  const made = db.create({ _id: 'a', title: 'x' });
  const shown = Object.keys(query.get()[0]);
  await query.seen((await made)._seq);
  for (const name of ['_id', '_version', '_createdAt', '_updatedAt', 'title'])
    ok(shown.includes(name), `${name} of ${shown}`);
  equal(Object.keys(query.get()[0]).sort(), ['_createdAt', '_id', '_seq', '_updatedAt', '_version', 'title']);
});

test('counting shows at once and never runs backwards', async (world) => {
  const { site, db, query } = await withQuery(world, {}, [{ _id: 'a', n: 0 }]);
  await site.delay(30);
  const seen = seenOf(query, ([row]) => row.n);
  const all = Array.from({ length: 20 }, () => db.update('a', { $inc: { n: 1 } }));
  equal(query.get()[0].n, 20);
  const events = await Promise.all(all);
  await query.seen(events.at(-1)._seq);
  await until(() => !query.pending('a'), 'all is confirmed');
  equal(query.get()[0].n, 20);
  const values = seen();
  equal(
    values,
    [...values].sort((x, y) => x - y),
    'it only grew',
  );
});

test('fields, operators and merge patches show at once', async (world) => {
  const { site, db, query } = await withQuery(world, {}, [{ _id: 'a', n: 1, deep: { x: 1, y: 2 }, gone: 1 }]);
  await site.delay(30);
  const all = [
    db.update('a', { title: 't', 'deep.x': 5 }),
    db.update('a', { $set: { 'deep.z': 3 }, $unset: { gone: '' }, $inc: { n: 4 } }),
    db.update('a', { deep: { y: null }, more: { kept: 1 } }, { merge: true }),
  ];
  const shown = ({ title, deep, n, gone, more }) => ({ title, deep, n, gone, more });
  const expected = { title: 't', deep: { x: 5, z: 3 }, n: 5, gone: undefined, more: { kept: 1 } };
  equal(shown(query.get()[0]), expected);
  await query.seen((await Promise.all(all)).at(-1)._seq);
  await until(() => !query.pending('a'));
  equal(shown(query.get()[0]), expected);
});

test('an operator that is not shown at once does not show wrongly', async (world) => {
  const { site, db, query } = await withQuery(world, {}, [{ _id: 'a', list: [1] }]);
  await site.delay(30);
  const seen = seenOf(query, ([row]) => row.list);
  const done = db.update('a', { $push: { list: 2 } });
  await query.seen((await done)._seq);
  equal(seen().filter((list) => list.length === 2).length <= 1 && seen().at(-1), [1, 2]);
});

test('a removed event is gone at once, and stays gone', async (world) => {
  const { site, db, query } = await withQuery(world, {}, [{ _id: 'a' }, { _id: 'b' }]);
  await site.delay(40);
  const seen = seenOf(query, (rows) => rows.length);
  const gone = db.write({ type: 'DELETE', payload: { id: 'a' } });
  equal(ids(query), ['b']);
  await query.seen((await gone).seq);
  equal([ids(query), seen()], [['b'], [2, 1]]);
});

test('what is refused is dropped, and what was there shows again as the same object', async (world) => {
  const { db, query } = await withQuery(world, {}, [{ _id: 'a', n: 1 }]);
  const before = query.get()[0];
  const refused = rejects(db.update('a', { n: 2 }, { expectedVersion: 9 }), 'version_conflict');
  equal(query.get()[0].n, 2);
  await refused;
  await until(() => query.get()[0].n === 1, 'it is dropped');
  same(query.get()[0], before);
  const taken = rejects(db.create({ _id: 'a', n: 5 }), 'already_exists');
  await taken;
  await until(() => !query.pending('a'));
  same(query.get()[0], before);
});

test('rows that an optimistic write does not concern are the same objects', async (world) => {
  const { db, query } = await withQuery(world, {}, [{ _id: 'a' }, { _id: 'b' }, { _id: 'c' }]);
  const [a, , c] = query.get();
  const done = db.update('b', { n: 1 });
  same(query.get()[0], a);
  same(query.get()[2], c);
  await query.seen((await done)._seq);
  same(query.get()[0], a);
  same(query.get()[2], c);
});

test('an optimistic update leaves a result and enters another', async (world) => {
  const { site, db, query } = await withQuery(world, { filter: { done: false } }, [{ _id: 'a', done: false }]);
  const other = db.query({ filter: { done: { $eq: true } } });
  await other.whenReady();
  await site.delay(40);
  const seen = [seenOf(query, (rows) => rows.length), seenOf(other, (rows) => rows.length)];
  const done = db.update('a', { done: true });
  equal(ids(query), []);
  const { _seq } = await done;
  await Promise.all([query.seen(_seq), other.seen(_seq)]);
  equal([ids(query), ids(other)], [[], ['a']]);
  equal(
    seen.map((of) => of()),
    [
      [1, 0],
      [0, 1],
    ],
    'neither flickered',
  );
});

test('an optimistic row is sorted and counts for the limit', async (world) => {
  const { site, db, query } = await withQuery(world, { sort: { n: 1 }, limit: 2 }, [
    { _id: 'a', n: 1 },
    { _id: 'b', n: 3 },
  ]);
  await site.delay(40);
  const made = db.create({ _id: 'c', n: 2 });
  equal(ids(query), ['a', 'c']);
  const moved = db.update('a', { n: 9 });
  equal(ids(query), ['c', 'b']);
  await made;
  await query.seen((await moved)._seq);
  equal(ids(query), ['c', 'b']);
});

test('the client judges filters as the server does', async (world) => {
  const { site, db } = await world.pair();
  const filters = [
    { n: 1 },
    { n: { $ne: 1 } },
    { n: { $gt: 1 } },
    { n: { $gte: 2, $lt: 3 } },
    { n: { $lte: 'b' } },
    { n: { $in: [1, 'a', null] } },
    { n: { $nin: [1, null] } },
    { n: { $exists: true } },
    { n: { $exists: false } },
    { n: null },
    { 'deep.x': 1 },
    { 'deep.x': { $gt: 0 } },
    { $and: [{ n: 1 }, { 'deep.x': 1 }] },
    { $or: [{ n: 'a' }, { n: 2.5 }] },
    { $nor: [{ n: 1 }, { n: 'a' }] },
    { n: { $not: { $gt: 1 } } },
    { 'list.v': 2 },
    { 'list.0': 1 },
    { n: true },
    { n: { $gt: false } },
    { n: [1, 2] },
    { n: { $eq: { a: 1 } } },
    {},
    { n: { $lt: 2 }, 'deep.x': { $exists: false } },
  ];
  const values = [
    1,
    2,
    2.5,
    -1,
    1.0,
    'a',
    'b',
    '',
    null,
    true,
    false,
    [1, 2],
    [2, 1],
    [],
    [[1, 2]],
    { a: 1 },
    { a: 1, b: 2 },
    ['a', null],
  ];
  const documents = [
    ...values.map((n) => ({ n })),
    {},
    { deep: { x: 1 } },
    { n: 1, deep: { x: [1, 5] } },
    { deep: [{ x: 0 }, { x: 1 }] },
    { list: [{ v: 1 }, { v: 2 }] },
    { list: [1, 2] },
    { list: [[{ v: 2 }]] },
    { deep: 1 },
    { deep: null },
  ].map((document, at) => ({ _id: `d${String(at).padStart(2, '0')}`, ...document }));
  const queries = filters.map((filter) => db.query({ filter }));
  await Promise.all(queries.map((query) => query.whenReady()));
  await site.stall('up');
  const made = Promise.all(documents.map((document) => db.create(document)));
  const optimistic = queries.map(ids);
  await site.flow();
  const seq = Math.max(...(await made).map(({ _seq }) => _seq));
  await Promise.all(queries.map((query) => query.seen(seq)));
  for (const [at, filter] of filters.entries()) {
    const confirmed = ids(queries[at]);
    const shownTooMuch = optimistic[at]
      .filter((id) => !confirmed.includes(id))
      .map((id) => documents.find(({ _id }) => _id === id));
    equal(shownTooMuch, [], `${JSON.stringify(filter)} shows what it does not see`);
    // What it cannot judge it may leave to the server; what is a plain value it can.
    const missed = confirmed
      .filter((id) => !optimistic[at].includes(id))
      .map((id) => documents.find(({ _id }) => _id === id));
    const plain = missed.filter(
      ({ n, deep, list }) => typeof n !== 'object' && deep === undefined && list === undefined,
    );
    equal(
      JSON.stringify(filter).includes('"a"') || JSON.stringify(filter).includes('[1,2]') ? [] : plain,
      [],
      `${JSON.stringify(filter)} does not show at once`,
    );
  }
});

test('who does not want it sees no optimistic rows, in a query or of a write', async (world) => {
  const { site, db, query } = await withQuery(world, { optimistic: false });
  const hopeful = db.query();
  await hopeful.whenReady();
  await site.delay(40);
  const first = db.create({ _id: 'a' });
  equal([ids(query), ids(hopeful)], [[], ['a']]);
  const second = db.create({ _id: 'b' }, { optimistic: false });
  equal(ids(hopeful), ['a']);
  await Promise.all([first, second]);
  await until(() => ids(query).length === 2 && ids(hopeful).length === 2);
});

test('an optimistic batch shows as a whole and is confirmed as a whole', async (world) => {
  const { site, db, query } = await withQuery(world, {}, [{ _id: 'a', n: 1 }]);
  await site.delay(40);
  const seen = seenOf(query, (rows) => rows.map(({ _id, n }) => `${_id}${n}`));
  const done = db.write({
    type: 'BATCH',
    payload: {
      commands: [
        { type: 'UPDATE', payload: { id: 'a', updateData: { n: 2 } } },
        { type: 'CREATE', payload: { _id: 'b', n: 1 } },
        { type: 'CREATE', payload: { _id: 'c', n: 1 } },
      ],
    },
  });
  await query.seen((await done).seq);
  await until(() => !query.pending('a') && !query.pending('c'));
  equal(seen(), [['a1'], ['a2', 'b1', 'c1']]);
});

test("another client's change of a row with an optimistic edit shows together with it", async (world) => {
  const { site, db, query } = await withQuery(world, {}, [{ _id: 'a', n: 0, by: 'me' }]);
  const other = world.connect(site);
  await other.fetch();
  await site.rule({
    direction: 'up',
    match: { type: 'UPDATE', payload: { updateData: { $inc: { n: 1 } } } },
    act: 'fail',
    code: 'busy',
    times: 2,
  });
  const mine = db.update('a', { $inc: { n: 1 } });
  equal(query.get()[0].n, 1);
  await other.update('a', { by: 'other', n: 10 });
  await until(() => query.get()[0].by === 'other', 'the other change shows');
  equal(query.get()[0].n, 11, 'the edit is on top of what is confirmed');
  await query.seen((await mine)._seq);
  equal([query.get()[0].n, query.pending('a')], [11, false]);
});

test('an overlay stays through a cut and a restart until its write is confirmed', async (world) => {
  const { site, db, query } = await withQuery(world, {}, [{ _id: 'a', n: 0 }]);
  const seen = seenOf(query, ([row]) => row.n);
  await site.rule({ direction: 'down', match: { type: 'response', request: 'UPDATE' }, act: 'cut' });
  const done = db.update('a', { $inc: { n: 1 } });
  await query.seen((await done)._seq);
  await until(() => !query.pending('a'));
  equal(seen(), [0, 1], 'neither lost nor counted twice between');
});

test('pending counts the writes that are not answered', async (world) => {
  const { site, db } = await world.pair();
  equal(db.pending, 0);
  await site.stall();
  const told = [];
  db.onState(() => told.push(db.pending));
  const all = [1, 2, 3].map((n) => db.create({ n }));
  equal(db.pending, 3);
  await site.flow();
  await Promise.all(all);
  await until(() => db.pending === 0);
  ok(told.includes(3) && told.at(-1) === 0, `it is told: ${told}`);
});
