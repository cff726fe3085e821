/** The collection options for TanStack DB, with the real TanStack DB. */
import {
  and, BasicIndex, createCollection, createLiveQueryCollection, createTransaction, eq, gt, gte, inArray, isNull, isUndefined, like, lt, lte, not, or,
} from '@tanstack/db';
import { livelogCollectionOptions } from 'livelog/tanstack';
import { equal, ok, rejects } from '../suite/harness.js';
import { live, until } from '../suite/world.js';
import { fact } from './fact.js';

/** A server, a client of it with a collection, and another client through another door. */
async function stage(world, options = {}) {
  const site = await world.site();
  const door = await world.door(site);
  const db = world.connect(site);
  const other = world.connect(door);
  await Promise.all([live(db), live(other)]);
  return { site, door, db, other, collection: collect(world, db, options) };
}

function collect(world, db, options = {}) {
  const indexed = { autoIndex: 'eager', defaultIndexType: BasicIndex };
  const collection = createCollection(livelogCollectionOptions({ db, ...indexed, ...options }));
  world.after(() => collection.cleanup());
  return collection;
}

/** A live query that is watched: all that it ever showed, as arrays of rows. */
function watch(world, query) {
  const result = createLiveQueryCollection({ query, startSync: true, gcTime: 0 });
  const shown = [];
  const watching = result.subscribeChanges(() => shown.push(result.toArray));
  world.after(async () => {
    watching.unsubscribe();
    await result.cleanup();
  });
  return { result, shown, close: () => watching.unsubscribe() };
}

/** Without what livelog and TanStack DB add. */
const own = (row) => Object.fromEntries(Object.entries(row).filter(([name]) => name === '_id' || !/^[_$]/.test(name)));
const ids = (rows) => rows.map(({ _id }) => _id).sort();
const byId = (rows) => rows.map(own).sort((a, b) => (a._id < b._id ? -1 : 1));
const subscribed = async (site) => (await site.sent({ type: 'SUBSCRIBE' })).map(({ payload }) => payload.filter);
const settled = (collection, check, what) => until(() => check(collection.toArray), () => `${what}: ${JSON.stringify(collection.toArray)}`);

fact('a collection has what its filter sees, and what others write follows', async (world) => {
  const { other, collection } = await stage(world, { filter: { list: 'a' } });
  await other.batch((b) => ['a', 'a', 'b'].forEach((list, n) => b.create({ _id: `r${n}`, list })));
  await collection.preload();
  equal(ids(collection.toArray), ['r0', 'r1']);
  await other.update('r2', { list: 'a' });
  await other.update('r0', { list: 'b' });
  await other.remove('r1');
  await settled(collection, (rows) => ids(rows).join() === 'r2', 'r2 came, r0 left, r1 is gone');
  equal(own(collection.get('r2')), { _id: 'r2', list: 'a' });
});

fact('what is in one BATCH comes in one piece', async (world) => {
  const { other, collection } = await stage(world);
  await collection.preload();
  const { shown } = watch(world, (q) => q.from({ row: collection }));
  await other.batch((b) => Array.from({ length: 50 }, (_, n) => b.create({ _id: `r${n}` })));
  await settled(collection, (rows) => rows.length === 50, 'all of them');
  ok(shown.length <= 3, `it was told ${shown.length} times`);
});

fact('an insert shows at once, is confirmed, and is never there twice or gone between', async (world) => {
  const { site, collection } = await stage(world);
  await collection.preload();
  const { result, shown } = watch(world, (q) => q.from({ row: collection }));
  const inserted = collection.insert({ _id: 'new', title: 'first' });
  equal(ids(result.toArray), ['new']);
  equal(collection.get('new')._version, undefined);
  await inserted.isPersisted.promise;
  equal(collection.get('new')._version, 1, 'what is shown is the confirmed row');
  equal(ids(result.toArray), ['new']);
  ok(shown.every((rows) => rows.length === 1), JSON.stringify(shown));
  equal((await site.changes()).length, 1);
});

fact('an update sends what it changed, and what somebody else changes of the same row stays', async (world) => {
  const { site, other, collection } = await stage(world);
  await other.create({ _id: 'e', address: { city: 'Bern', zip: '3000' }, tags: ['a'], note: 'x', done: false });
  await collection.preload();
  await site.stall('down');
  const updated = collection.update('e', (draft) => {
    draft.address.city = 'Basel';
    draft.tags.push('b');
    draft.done = true;
    delete draft.note;
  });
  await other.update('e', { 'address.zip': '4000', more: null });
  await site.flow();
  await updated.isPersisted.promise;
  const expected = { _id: 'e', address: { city: 'Basel', zip: '4000' }, tags: ['a', 'b'], done: true, more: null };
  equal(own(collection.get('e')), expected);
  equal(own(await site.event('e')), expected);
  const [{ payload }] = await site.sent({ type: 'BATCH' });
  equal(payload.commands, [
    { type: 'UPDATE', payload: { id: 'e', updateData: { $set: { 'address.city': 'Basel', tags: ['a', 'b'], done: true }, $unset: { note: '' } } } },
  ]);
});

fact('a delete shows at once, and is done once', async (world) => {
  const { site, other, collection } = await stage(world);
  await other.batch((b) => ['x', 'y'].forEach((_id) => b.create({ _id })));
  await collection.preload();
  const { shown } = watch(world, (q) => q.from({ row: collection }));
  const deleted = collection.delete('x');
  equal(ids(collection.toArray), ['y']);
  await deleted.isPersisted.promise;
  equal(ids(collection.toArray), ['y']);
  ok(shown.slice(1).every((rows) => rows.length === 1), 'it does not come back between');
  equal((await site.changes()).map(({ kind }) => kind), ['create', 'create', 'delete']);
});

fact('what the server refuses is taken back, all of it', async (world) => {
  const { site, other, collection } = await stage(world, { filter: { list: 'mine' } });
  await other.create({ _id: 'taken', list: 'of others' });
  await collection.preload();
  const inserted = collection.insert([{ _id: 'free', list: 'mine' }, { _id: 'taken', list: 'mine' }]);
  equal(ids(collection.toArray), ['free', 'taken']);
  await rejects(inserted.isPersisted.promise, 'already_exists');
  equal(collection.toArray, []);
  equal(await site.event('free'), undefined);
  const again = collection.insert({ _id: 'free', list: 'mine' });
  await again.isPersisted.promise;
  equal(ids(collection.toArray), ['free']);
});

fact('with expectedVersion a change of what somebody else has changed is refused', async (world) => {
  const { site, other, collection } = await stage(world, { expectedVersion: true });
  await other.create({ _id: 'e', n: 1 });
  await collection.preload();
  await collection.update('e', (draft) => void (draft.n = 2)).isPersisted.promise;
  await site.stall('down');
  await other.update('e', { n: 3 });
  const late = [collection.update('e', (draft) => void (draft.n = 4)), collection.delete('e')];
  await site.flow();
  for (const { isPersisted } of late) await rejects(isPersisted.promise, 'version_conflict');
  await settled(collection, ([row]) => row?.n === 3, 'what the other wrote');
});

fact('changes of two collections can be one BATCH', async (world) => {
  const { site, db, collection: lists } = await stage(world, { filter: { kind: 'list' } });
  const items = collect(world, db, { filter: { kind: 'item' } });
  await Promise.all([lists.preload(), items.preload()]);
  const write = (name) => {
    const transaction = createTransaction({ mutationFn: lists.utils.send });
    transaction.mutate(() => {
      lists.insert({ _id: name, kind: 'list' });
      items.insert({ _id: `${name} 1`, kind: 'item', list: name });
    });
    return transaction.isPersisted.promise;
  };
  await write('first');
  equal([ids(lists.toArray), ids(items.toArray)], [['first'], ['first 1']]);
  equal((await site.sent({ type: 'BATCH' })).length, 1);
  await db.create({ _id: 'second 1', kind: 'other' });
  await rejects(write('second'), 'already_exists');
  equal([ids(lists.toArray), ids(items.toArray)], [['first'], ['first 1']]);
});

fact('another log takes the place of the old without a moment of nothing', async (world) => {
  const { site, other, collection } = await stage(world);
  await other.batch((b) => ['a', 'b', 'both'].forEach((_id) => b.create({ _id, log: 'old' })));
  await collection.preload();
  const { shown, result } = watch(world, (q) => q.from({ row: collection }));
  await site.refuse(true);
  await site.refound();
  const fresh = world.connect(await world.door(site));
  await fresh.batch((b) => ['both', 'c'].forEach((_id) => b.create({ _id, log: 'new' })));
  await site.refuse(false);
  await settled(collection, (rows) => rows.length === 2, 'the new log');
  equal(byId(result.toArray), [{ _id: 'both', log: 'new' }, { _id: 'c', log: 'new' }]);
  ok(shown.every((rows) => rows.length >= 2), `${JSON.stringify(shown.map(ids))} has a moment of nothing`);
});

fact('a server that restarts is resumed from, and nothing is missed', async (world) => {
  const { site, collection } = await stage(world);
  await collection.preload();
  await site.kill();
  const inserted = collection.insert({ _id: 'offline' });
  equal(ids(collection.toArray), ['offline']);
  await site.start();
  const other = world.connect(await world.door(site));
  await other.create({ _id: 'theirs' });
  await inserted.isPersisted.promise;
  await settled(collection, (rows) => ids(rows).join() === 'offline,theirs', 'both');
  equal((await site.changes()).length, 2);
});

fact('a filter that is none is the error of the collection', async (world) => {
  const { collection } = await stage(world, { filter: { a: { $where: '1' } } });
  await rejects(collection.preload(), 'invalid_filter');
  equal(collection.status, 'error');
});

fact('a subscription that ends for good is the error of the collection', async (world) => {
  const { db, collection } = await stage(world);
  await collection.preload();
  db.close();
  await until(() => collection.status === 'error');
});

fact('fields are kept to, and a row can be told from its version all the same', async (world) => {
  const { site, other, collection } = await stage(world, { fields: ['title'], expectedVersion: true });
  await other.create({ _id: 'e', title: 'x', body: 'long' });
  await collection.preload();
  equal(collection.get('e').body, undefined);
  await collection.update('e', (draft) => void (draft.title = 'y')).isPersisted.promise;
  equal(own(await site.event('e')), { _id: 'e', title: 'y', body: 'long' });
});

fact('a collection that is cleaned up asks for nothing, and can begin again', async (world) => {
  const { site, other, collection } = await stage(world);
  await collection.preload();
  await collection.cleanup();
  await until(async () => (await site.sent({ type: 'UNSUBSCRIBE' })).length === 1);
  await other.create({ _id: 'later' });
  await collection.preload();
  equal(ids(collection.toArray), ['later']);
});

// --- on demand ---

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

fact('eager collections are joined', async (world) => {
  const { other, collection, db } = await stage(world, { filter: { kind: 'task' } });
  const lists = collect(world, db, { filter: { kind: 'list' } });
  const { result } = watch(world, (q) => q.from({ t: collection })
    .join({ l: lists }, ({ t, l }) => eq(t.list, l._id), 'inner')
    .select(({ t, l }) => ({ _id: t._id, title: l.title })));
  await result.preload();
  await other.batch((b) => {
    b.create({ _id: 'l', kind: 'list', title: 'one' });
    b.create({ _id: 't', kind: 'task', list: 'l' });
  });
  await until(() => result.toArray[0]?.title === 'one');
  await lists.update('l', (draft) => void (draft.title = 'two')).isPersisted.promise;
  equal(result.toArray[0].title, 'two');
});

fact('on demand, what the server takes no filter for is loaded whole', async (world) => {
  const { site, collection } = await tasks(world);
  const many = Array.from({ length: 1100 }, (_, n) => n);
  const { result } = watch(world, (q) => q.from({ t: collection }).where(({ t }) => inArray(t.n, many)));
  await result.preload();
  equal(result.toArray.length, 100);
  equal((await subscribed(site)).at(-1), { kind: 'task' });
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

// --- the same answer from the server and from TanStack DB ---

const seed = Number(process.env.ADAPTER_SEED ?? Math.floor(Math.random() * 2 ** 31));

function dice(seed) {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x80000000;
  };
  const below = (n) => Math.floor(next() * n);
  return { below, one: (list) => list[below(list.length)] };
}

/** Fields have values of one type, as tables have; null, and nothing, everywhere. */
const VALUES = { n: [0, 1, 2.5, -3, null], s: ['', 'a', 'B', 'ä', '😀', '\uffff', null], b: [true, false, null], 'in.n': [1, 2, null] };

function randomRow(dice, n) {
  const row = { _id: `r${n}`, kind: 'row' };
  for (const [path, values] of Object.entries(VALUES)) {
    const [outer, inner] = path.split('.');
    if (dice.below(5) === 0) continue;
    row[outer] = inner ? { [inner]: dice.one(values) } : dice.one(values);
  }
  return row;
}

function randomCondition(dice, row, depth) {
  const sub = () => randomCondition(dice, row, depth - 1);
  if (depth > 0 && dice.below(2)) return dice.one([() => and(sub(), sub()), () => or(sub(), sub()), () => not(sub())])();
  const path = dice.one(Object.keys(VALUES));
  const field = path.split('.').reduce((at, name) => at[name], row);
  const value = () => dice.one(VALUES[path]);
  return dice.one([
    () => eq(field, value()), () => eq(value(), field), () => gt(field, value()), () => gte(field, value()), () => lt(field, value()),
    () => lte(field, value()), () => inArray(field, [value(), value()]), () => isNull(field), () => isUndefined(field),
    () => like(row.s, '%a%'), () => gt(field, row.n),
  ])();
}

fact(`a query gets the same rows on demand as from all of them (seed ${seed})`, async (world) => {
  const { below, one } = dice(seed);
  const { db, other, collection } = await stage(world, { filter: { kind: 'row' } });
  const asked = collect(world, db, { filter: { kind: 'row' }, syncMode: 'on-demand' });
  await other.batch((b) => Array.from({ length: 80 }, (_, n) => b.create(randomRow({ below, one }, n))));
  await collection.preload();
  for (let round = 0; round < 150; round++) {
    const start = below(2 ** 30);
    const order = below(3) && [one(['n', 's', 'b']), { direction: one(['asc', 'desc']), nulls: one(['first', 'last']) }, below(12) + 1];
    const rows = [];
    for (const source of [collection, asked]) {
      const query = (q) => {
        const found = q.from({ t: source }).where(({ t }) => randomCondition(dice(start), t, 3));
        if (!order) return found;
        return found.orderBy(({ t }) => t[order[0]], order[1]).orderBy(({ t }) => t._id).limit(order[2]);
      };
      const result = createLiveQueryCollection({ query, startSync: true, gcTime: 0 });
      await result.preload();
      rows.push(order ? result.toArray.map(({ _id }) => _id) : ids(result.toArray));
      await result.cleanup();
    }
    equal(rows[1], rows[0], `round ${round}, condition ${start}, order ${JSON.stringify(order)}`);
  }
});

fact(`two who write at once end with what the server has (seed ${seed})`, async (world) => {
  const { below, one } = dice(seed);
  const { site, other, collection } = await stage(world);
  const theirs = collect(world, other);
  const halves = watch(world, (q) => q.from({ t: collection }).where(({ t }) => eq(t.half, true)));
  await Promise.all([collection.preload(), theirs.preload()]);
  const writes = [];
  const step = (rows) => {
    const ids = [...rows.keys()];
    const id = one(ids);
    const kind = ids.length < 3 ? 0 : below(4);
    if (kind === 0) return rows.insert({ _id: crypto.randomUUID(), n: below(10), half: below(2) === 0 });
    if (kind === 1) return rows.delete(id);
    return rows.update(id, (draft) => void (below(2) ? (draft.n = below(10_000)) : (draft.half = !draft.half)));
  };
  for (let round = 0; round < 100; round++) {
    const { isPersisted } = step(round % 2 ? collection : theirs);
    // Gone meanwhile: the other one was first.
    writes.push(isPersisted.promise.catch((error) => equal(error.code, 'not_found')));
    if (below(3) === 0) await Promise.all(writes);
  }
  await Promise.all(writes);
  const { data } = await site.get('/api/events');
  for (const rows of [collection, theirs]) {
    await until(() => JSON.stringify(byId(rows.toArray)) === JSON.stringify(byId(data)), 'the server has the same');
  }
  equal(byId(halves.result.toArray), byId(data.filter(({ half }) => half)));
});
