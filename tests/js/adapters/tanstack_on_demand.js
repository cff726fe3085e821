/** A collection that asks for what its live queries need. */
import { add, and, eq, gt, ilike, inArray, like, lt, lte, not, or, upper } from '@tanstack/db';
import { equal, ok, rejects } from '../suite/harness.js';
import { until } from '../suite/world.js';
import { fact } from './fact.js';
import { collect, ids, stage, subscribed, watch } from './tanstack_stage.js';

const onDemand = { syncMode: 'on-demand', filter: { kind: 'task' } };

async function tasks(world, count = 100, options = {}) {
  const scene = await stage(world, { ...onDemand, ...options });
  await scene.other.batch((b) => Array.from({ length: count }, (_, n) => {
    b.create({ _id: `t${String(n).padStart(3, '0')}`, kind: 'task', n, list: `l${n % 10}`, ...(n % 4 && { due: n % 7 }) });
  }));
  return scene;
}

fact('on demand, nothing is asked for before a query asks, and then what it needs', async (world) => {
  const { site, collection } = await tasks(world);
  collection.startSyncImmediate();
  equal(await subscribed(site), []);
  const { result, close } = watch(world, (q) => q.from({ t: collection }).where(({ t }) => and(eq(t.list, 'l3'), gt(t.n, 50))));
  await result.preload();
  equal(ids(result.toArray), ['t053', 't063', 't073', 't083', 't093']);
  equal(collection.size, 5, 'nothing else was loaded');
  const asked = { $and: [{ kind: 'task' }, { $and: [{ list: { $in: ['l3'] } }, { n: { $gt: 50 } }] }] };
  equal(await subscribed(site), [asked]);
  close();
  await result.cleanup();
  await until(async () => (await site.sent({ type: 'UNSUBSCRIBE' })).length === 1);
  await until(() => collection.size === 0, 'what no query needs is let go');
});

fact('on demand, what comes to match is told, and an insert of one\'s own stays in its place', async (world) => {
  const { other, collection } = await tasks(world);
  const { result, shown } = watch(world, (q) => q.from({ t: collection }).where(({ t }) => eq(t.list, 'l3')));
  await result.preload();
  await other.update('t000', { list: 'l3' });
  await until(() => result.toArray.length === 11);
  const before = shown.length;
  const inserted = collection.insert({ _id: 'mine', kind: 'task', list: 'l3', n: 1 });
  equal(result.toArray.length, 12);
  await inserted.isPersisted.promise;
  equal(result.toArray.length, 12);
  ok(shown.slice(before).every((rows) => rows.length === 12), 'it never went away');
  await collection.update('mine', (draft) => void (draft.list = 'l4')).isPersisted.promise;
  equal(result.toArray.length, 11);
});

fact('on demand, a row of two queries stays until neither needs it', async (world) => {
  const { collection } = await tasks(world);
  const low = watch(world, (q) => q.from({ t: collection }).where(({ t }) => lt(t.n, 10)));
  const list = watch(world, (q) => q.from({ t: collection }).where(({ t }) => eq(t.list, 'l3')));
  await Promise.all([low.result.preload(), list.result.preload()]);
  equal(collection.size, 19);
  low.close();
  await low.result.cleanup();
  await until(() => collection.size === 10, () => `${collection.size}`);
  equal(ids(list.result.toArray).length, 10);
  await collection.update('t003', (draft) => void (draft.n = 500)).isPersisted.promise;
  equal(list.result.toArray.find(({ _id }) => _id === 't003').n, 500);
});

fact('on demand, equal queries share a subscription', async (world) => {
  const { site, collection } = await tasks(world);
  const one = () => watch(world, (q) => q.from({ t: collection }).where(({ t }) => eq(t.list, 'l1')));
  const [first, second] = [one(), one()];
  await Promise.all([first.result.preload(), second.result.preload()]);
  equal((await subscribed(site)).length, 1);
  first.close();
  await first.result.cleanup();
  equal(collection.size, 10);
});

for (const direction of ['asc', 'desc']) {
  fact(`on demand, the first of an order are asked for, and no others: ${direction}`, async (world) => {
    const { site, other, collection } = await tasks(world);
    const { result } = watch(world, (q) => q.from({ t: collection }).orderBy(({ t }) => t.n, direction).limit(5));
    await result.preload();
    const wanted = (first) => Array.from({ length: 5 }, (_, at) => (direction === 'asc' ? first + at : 99 - first - at));
    equal(result.toArray.map(({ n }) => n), wanted(0));
    ok(collection.size < 20, `${collection.size} were loaded`);
    const asked = (await subscribed(site)).map((filter) => JSON.stringify(filter));
    ok(asked.every((filter) => filter.includes('"n"')), `each has a range: ${asked}`);
    const [first] = result.toArray;
    await other.remove(first._id);
    await until(() => result.toArray.map(({ n }) => n).join() === wanted(1).join(), () => JSON.stringify(result.toArray));
    const before = direction === 'asc' ? -1 : 1000;
    await other.create({ _id: 'before', kind: 'task', n: before });
    await until(() => result.toArray[0].n === before);
    ok(collection.size < 30, `${collection.size} were loaded`);
  });
}

fact('on demand, the first of an order of text are asked for, and no others', async (world) => {
  const { collection } = await tasks(world);
  const { result } = watch(world, (q) => q.from({ t: collection }).orderBy(({ t }) => t._id, 'desc').limit(3));
  await result.preload();
  equal(result.toArray.map(({ _id }) => _id), ['t099', 't098', 't097']);
  ok(collection.size < 10, `${collection.size} were loaded`);
});

fact('on demand, a window moves through all of an order, whatever is null in it', async (world) => {
  const { collection, other } = await tasks(world, 60);
  const all = (await other.fetch({ filter: onDemand.filter, limit: 1000 })).data;
  for (const [direction, nulls] of [['asc', 'first'], ['asc', 'last'], ['desc', 'first'], ['desc', 'last']]) {
    const { result } = watch(world, (q) => q.from({ t: collection })
      .orderBy(({ t }) => t.due, { direction, nulls })
      .orderBy(({ t }) => t.n).limit(7));
    await result.preload();
    const compare = (a, b) => {
      const [x, y] = [a.due, b.due];
      if (x === y) return a.n - b.n;
      if (x === undefined || y === undefined) return (x === undefined) === (nulls === 'first') ? -1 : 1;
      return (x - y) * (direction === 'asc' ? 1 : -1);
    };
    const sorted = all.toSorted(compare).map(({ n }) => n);
    for (const offset of [0, 7, 21, 49]) {
      await result.utils.setWindow({ offset, limit: 7 });
      equal(result.toArray.map(({ n }) => n), sorted.slice(offset, offset + 7), `${direction}, nulls ${nulls}, from ${offset}`);
    }
  }
});

fact('on demand, joined rows are asked for by the keys that are joined', async (world) => {
  const { site, other, collection, db } = await tasks(world);
  await other.batch((b) => Array.from({ length: 10 }, (_, n) => b.create({ _id: `l${n}`, kind: 'list', title: `list ${n}` })));
  const lists = collect(world, db, { syncMode: 'on-demand', filter: { kind: 'list' } });
  const { result } = watch(world, (q) => q.from({ t: collection })
    .where(({ t }) => lt(t.n, 3))
    .leftJoin({ l: lists }, ({ t, l }) => eq(t.list, l._id))
    .select(({ t, l }) => ({ n: t.n, title: l.title })));
  await result.preload();
  const shown = () => result.toArray.map(({ n, title }) => `${n} ${title}`).sort();
  await until(() => shown().join() === '0 list 0,1 list 1,2 list 2', () => shown().join());
  equal(lists.size, 3, JSON.stringify(await subscribed(site)));
  await other.update('l1', { title: 'other' });
  await until(() => shown().includes('1 other'));
});

fact('on demand, what the server takes no filter for is loaded whole', async (world) => {
  const { site, collection } = await tasks(world);
  const many = Array.from({ length: 1100 }, (_, n) => n);
  const { result } = watch(world, (q) => q.from({ t: collection }).where(({ t }) => inArray(t.n, many)));
  await result.preload();
  equal(result.toArray.length, 100);
  equal((await subscribed(site)).at(-1), { kind: 'task' });
});

fact('on demand, what no filter can say is judged here, and nothing of it is missing', async (world) => {
  const { site, collection } = await tasks(world, 40);
  const all = {
    like: [({ t }) => like(t.list, 'l1%'), 4],
    ilike: [({ t }) => ilike(t.list, 'L_'), 40],
    'a computed value': [({ t }) => eq(upper(t.list), 'L1'), 4],
    'a sum': [({ t }) => gt(add(t.n, 1), 30), 10],
    'two fields': [({ t }) => eq(t.n, t.due), 5],
    'a field behind its value': [({ t }) => eq(7, t.n), 1],
    'or with one of them': [({ t }) => or(like(t.list, 'l1'), eq(t.n, 2)), 5],
    'not of one of them': [({ t }) => not(or(gt(t.n, 5), like(t.list, 'l1'))), 5],
    'a whole document': [({ t }) => eq(t, { n: 1 }), 0],
    'no number': [({ t }) => eq(t.n, Number.NaN), 0],
  };
  for (const [what, [where, expected]] of Object.entries(all)) {
    const { result } = watch(world, (q) => q.from({ t: collection }).where(where));
    await result.preload();
    equal(result.toArray.length, expected, `${what}: ${JSON.stringify((await subscribed(site)).at(-1))}`);
    await result.cleanup();
  }
});

fact('on demand, a collection that is cleaned up while it finds out what to ask for asks for nothing', async (world) => {
  const { site, db, collection } = await tasks(world);
  await site.stall('down');
  const { close } = watch(world, (q) => q.from({ t: collection }).orderBy(({ t }) => t.n).limit(5));
  await until(async () => (await site.sent({ type: 'FETCH' })).length === 1, 'it asks for the range');
  close();
  await collection.cleanup();
  await site.flow();
  await db.fetch();
  equal(await subscribed(site), []);
});

fact('on demand, an ordered query that begins offline is answered when the connection is back', async (world) => {
  const { site, db, collection } = await tasks(world);
  await site.refuse(true);
  await site.cut();
  await until(() => db.state.name === 'offline', 'it is offline');
  const ordered = () => watch(world, (q) => q.from({ t: collection }).orderBy(({ t }) => t.n).limit(5));
  const { result } = ordered();
  await until(() => collection.isLoadingSubset, 'it loads');
  const loaded = result.preload();
  await site.refuse(false);
  await loaded;
  equal(result.toArray.map(({ n }) => n), [0, 1, 2, 3, 4]);
  ok(collection.size < 20, `${collection.size} were loaded`);
});

fact('on demand, a query that goes before it is answered leaves nothing that loads', async (world) => {
  const { site, db, collection } = await tasks(world);
  await site.refuse(true);
  await site.cut();
  const { result, close } = watch(world, (q) => q.from({ t: collection }).where(({ t }) => eq(t.list, 'l3')));
  await until(() => collection.isLoadingSubset, 'it loads');
  close();
  await result.cleanup();
  await until(() => !collection.isLoadingSubset, 'nothing loads any more');
  await site.refuse(false);
  await db.create({ kind: 'task' });
  equal(await subscribed(site), []);
});

fact('on demand, more queries than a session has subscriptions are answered all the same', async (world) => {
  const { collection } = await tasks(world);
  const queries = Array.from({ length: 110 }, (_, n) => watch(world, (q) => q.from({ t: collection }).where(({ t }) => lte(t.n, n % 100 + n / 1000))));
  await Promise.all(queries.map(({ result }) => result.preload()));
  equal(queries.map(({ result }) => result.toArray.length), queries.map((_, n) => Math.min(n % 100 + 1, 100)));
});

fact('on demand, a filter that is none is the error of whoever asks', async (world) => {
  const { collection } = await tasks(world, 1, { filter: { a: { $where: '1' } } });
  const { result } = watch(world, (q) => q.from({ t: collection }).where(({ t }) => eq(t.n, 1)));
  await rejects(result.preload(), 'invalid_filter');
});
