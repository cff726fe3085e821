/** The order of a live result, its limit and its fields. */
import { equal, test } from './harness.js';
import { ids, put } from './shown.js';

test('without a sort, rows are in the order of their ids, by code points', async (world) => {
  const { site, db } = await world.pair();
  await put(site, ...['b', 'a', 'B', '10', '9', 'é', '\u{1F600}', '\uFFFD'].map((_id) => ({ _id })));
  const query = db.query();
  await query.whenReady();
  equal(ids(query), ['10', '9', 'B', 'a', 'b', 'é', '\uFFFD', '\u{1F600}']);
  equal(
    ids(query),
    (await db.fetch()).data.map(({ _id }) => _id),
    'as the server has them',
  );
});

test('a result sorts values of all types as the server does', async (world) => {
  const { site, db } = await world.pair();
  const values = [
    null,
    3,
    -1,
    2.5,
    1e300,
    'b',
    'a',
    'B',
    '',
    '\u{1F600}',
    '\uFFFD',
    { a: 1 },
    { a: 2 },
    { b: 0 },
    {},
    [],
    [1],
    [5, 2],
    ['z'],
    true,
    false,
    [[1]],
    { a: { b: 1 } },
    '10',
    '9',
    0,
    [null],
    [{ a: 1 }],
  ];
  await put(
    site,
    ...values.map((v, at) => ({ _id: `e${String(at).padStart(2, '0')}`, v, same: at % 3, deep: { v } })),
    { _id: 'none' },
  );
  for (const sort of [{ v: 1 }, { v: -1 }, { same: 1, v: -1 }, { 'deep.v': 1 }, { 'deep.v.a': -1 }, { _id: -1 }]) {
    const query = db.query({ sort });
    await query.whenReady();
    const { data } = await db.fetch({ sort, limit: 1000 });
    equal(
      ids(query),
      data.map(({ _id }) => _id),
      `by ${JSON.stringify(sort)}`,
    );
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
  equal(
    query.get().map(({ _id, title, secret }) => [_id, title, secret]),
    [
      ['b', 'y', undefined],
      ['a', 'x', undefined],
    ],
  );
  await query.seen((await db.update('b', { n: 3, title: 'z' }))._seq);
  equal(
    query.get().map(({ title }) => title),
    ['x', 'z'],
  );
});
