/** A collection that holds all that its filter sees. */
import { createCollection, createTransaction, eq, localOnlyCollectionOptions } from '@tanstack/db';
import { livelogCollectionOptions } from 'livelog/tanstack';
import { equal, ok, rejects } from '../suite/harness.js';
import { until } from '../suite/world.js';
import { fact } from './fact.js';
import { byId, collect, ids, own, settled, stage, watch } from './tanstack_stage.js';

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

fact('an option that neither livelog nor TanStack DB knows is refused, and asks for nothing', async (world) => {
  const { site, db } = await stage(world);
  const given = { db, id: 'c', startSync: true, gcTime: 0, autoIndex: 'off', compare: () => 0, syncMode: 'eager' };
  const { id, startSync } = livelogCollectionOptions({ ...given, expectedVersion: true, getKey: ({ n }) => n });
  equal([id, startSync], ['c', true]);
  for (const name of ['fliter', 'onInsert', 'sync', 'utils']) {
    let error;
    try {
      livelogCollectionOptions({ ...given, [name]: {} });
    } catch (thrown) {
      error = thrown;
    }
    equal([error?.code, error?.path], ['invalid_option', name]);
  }
  equal(await site.sent({ type: 'SUBSCRIBE' }), []);
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

fact('a transaction of more changes than a BATCH takes is refused before anything is sent', async (world) => {
  const { site, collection } = await stage(world);
  await collection.preload();
  const rows = (count) => Array.from({ length: count }, (_, n) => ({ _id: `r${n}` }));
  await site.refuse(true);
  await site.cut();
  const { isPersisted } = collection.insert(rows(101));
  const error = await rejects(isPersisted.promise, 'bad_request');
  ok(error.message.includes('at most 100 changes'), error.message);
  equal(collection.size, 0, 'it is taken back, also while nobody can be asked');
  const whole = collection.insert(rows(100));
  await site.refuse(false);
  await whole.isPersisted.promise;
  equal((await site.changes()).length, 100);
  equal((await site.sent({ type: 'BATCH' })).map(({ payload }) => payload.commands.length), [100]);
});

fact('a transaction with changes of something else than this client is refused, and nothing of it is done', async (world) => {
  const { site, collection } = await stage(world);
  const elsewhere = collect(world, world.connect(await world.site()));
  const local = createCollection(localOnlyCollectionOptions({ getKey: ({ id }) => id }));
  await Promise.all([collection, elsewhere, local].map((each) => each.preload()));
  for (const [other, row] of [[elsewhere, { _id: 'theirs' }], [local, { id: 'private' }]]) {
    const transaction = createTransaction({ mutationFn: collection.utils.send });
    transaction.mutate(() => {
      collection.insert({ _id: 'mine' });
      other.insert(row);
    });
    await rejects(transaction.isPersisted.promise, 'bad_request');
    equal([collection.size, other.size], [0, 0]);
  }
  equal(await site.changes(), []);
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
