/**
 * Queues in IndexedDB: what was written before a page was gone is done after it is back, by one tab, once. Here a
 * page's end is `close()`, and tabs are clients of one name; real tabs are in `tabs.js`.
 */
import { equal, ok, rejects, test, watched } from './harness.js';
import { promised, stored } from './stored.js';
import { live, until } from './world.js';

let names = 0;
const persisted = () => ({ persist: 'indexeddb', name: `queue-${Date.now()}-${names++}` });

/** A client that cannot reach its server, with writes in its queue that are kept. */
async function leftBehind(world, options, write) {
  const site = await world.site();
  await site.refuse(true);
  const db = world.connect(site, options);
  const outcomes = write(db).map(watched);
  await kept(options.name, outcomes.length);
  db.close();
  await until(
    () => outcomes.every(({ outcome }) => outcome?.[0] === 'refused' && outcome[1].code === 'closed'),
    'their promises are closed',
  );
  return site;
}

/** Waits until so many writes are in the database, by opening it. */
async function kept(name, count) {
  await until(
    async () => (await stored(name)) >= count,
    () => `${count} writes are kept`,
  );
}

test('what was written before the end is done by the next client of that name, in order and once', async (world) => {
  const options = persisted();
  const site = await leftBehind(world, options, (db) => [
    db.create({ _id: 'a', list: [] }),
    db.update('a', { $push: { list: 1 } }),
    db.update('a', { $push: { list: 2 } }),
  ]);
  await site.refuse(false);
  const db = world.connect(site, options);
  await until(async () => (await site.event('a'))?.list.length === 2, 'all is done');
  equal((await site.event('a')).list, [1, 2]);
  await until(() => db.pending === 0, 'nothing is pending');
  await until(async () => (await stored(options.name)) === 0, 'nothing is kept');
  db.close();
  const third = world.connect(site, options);
  await third.fetch();
  equal((await site.changes()).length, 3);
});

test('what waits from before shows at once in the results of the next client', async (world) => {
  const options = persisted();
  const site = await leftBehind(world, options, (db) => [db.create({ _id: 'a', title: 'x' })]);
  await site.rule({ direction: 'up', match: { type: 'CREATE' }, act: 'fail', code: 'busy', times: 3 });
  await site.refuse(false);
  const db = world.connect(site, options);
  const query = db.query();
  const shown = [];
  query.subscribe(() => shown.push(query.get().length));
  await query.whenReady();
  await until(() => query.get().length === 1, 'it shows');
  await until(() => !query.pending('a') && db.pending === 0, 'it is done');
  equal(query.get()[0].title, 'x');
});

test('a write whose answer was lost with the page is not done again', async (world) => {
  const options = persisted();
  const site = await world.site();
  const db = world.connect(site, options);
  await db.create({ _id: 'a', n: 0 });
  await site.rule({ direction: 'down', match: { type: 'response', request: 'UPDATE' }, act: 'drop', times: 1 });
  watched(db.update('a', { $inc: { n: 1 } }));
  await until(async () => (await site.event('a')).n === 1, 'the server has done it');
  db.close();
  const next = world.connect(site, options);
  await until(async () => (await site.sent({ type: 'UPDATE' })).length === 2, 'it is asked again');
  await until(() => next.pending === 0);
  equal([(await site.event('a')).n, (await site.changes()).length], [1, 2]);
});

test('several clients of one name do each write once', async (world) => {
  const options = persisted();
  const site = await world.site();
  const tabs = [1, 2, 3].map(() => world.connect(site, options));
  await tabs[0].create({ _id: 'a', n: 0 });
  await site.refuse(true);
  await site.cut();
  await until(() => tabs.every((db) => db.state.name !== 'live'));
  const all = tabs.flatMap((db) => Array.from({ length: 10 }, () => watched(db.update('a', { $inc: { n: 1 } }))));
  await site.refuse(false);
  await until(
    () => all.every(({ outcome }) => outcome?.[0] === 'done'),
    () => `every promise is kept: ${JSON.stringify(all)}`,
    40_000,
  );
  equal([(await site.event('a')).n, (await site.changes()).length], [30, 31]);
});

test('a client that ends hands its queue to another of that name that is there', async (world) => {
  const options = persisted();
  const site = await world.site();
  await site.refuse(true);
  const [first, second] = [1, 2].map(() => world.connect(site, options));
  const lost = Array.from({ length: 5 }, (_, n) => watched(first.create({ _id: `e${n}` })));
  await kept(options.name, 5);
  first.close();
  await site.refuse(false);
  await until(async () => (await site.changes()).length === 5, 'the other has done them', 40_000);
  await second.create({ _id: 'own' });
  equal((await site.changes()).length, 6);
  ok(lost.every(({ outcome }) => outcome?.[0] === 'refused'));
});

test('a client that ends offline hands its queue to one that is connected all the time', async (world) => {
  const options = persisted();
  const site = await world.site();
  const staying = world.connect(site, options);
  await live(staying);
  const door = await world.door(site);
  await door.refuse(true);
  const ending = world.connect(door, options);
  const lost = Array.from({ length: 5 }, (_, n) => watched(ending.create({ _id: `e${n}` })));
  await kept(options.name, 5);
  ending.close();
  await until(async () => (await site.changes()).length === 5, 'the other has done them', 40_000);
  await until(async () => (await stored(options.name)) === 0, 'nothing is kept');
  ok(lost.every(({ outcome }) => outcome?.[0] === 'refused'));
});

test('what is refused after the page is back is told to onLost', async (world) => {
  const options = persisted();
  const site = await leftBehind(world, options, (db) => [db.update('nobody', { n: 1 }), db.create({ _id: 'a' })]);
  await site.refuse(false);
  const lost = [];
  world.connect(site, { ...options, onLost: (edit) => lost.push(edit) });
  await until(() => lost.length === 1, 'it is told');
  ok(JSON.stringify(lost[0]).includes('nobody'), `what was lost: ${JSON.stringify(lost[0])}`);
  await until(async () => (await site.event('a')) !== undefined, 'what follows is done');
  await until(async () => (await stored(options.name)) === 0, 'nothing is kept');
});

test('a conflict after the page is back is put to onConflict', async (world) => {
  const options = persisted();
  const site = await leftBehind(world, options, (db) => [
    db.create({ _id: 'a', n: 1 }),
    db.update('a', { n: 2 }, { expectedVersion: 5 }),
  ]);
  await site.refuse(false);
  const db = world.connect(site, {
    ...options,
    onConflict: ({ command, current }) => ({ ...command.payload, expectedVersion: current._version }),
  });
  await until(async () => (await site.event('a'))?.n === 2, 'it is done with another version');
  await until(() => db.pending === 0);
});

test('the queue in the database is bounded as any other', async (world) => {
  const options = persisted();
  const site = await world.site();
  await site.refuse(true);
  const db = world.connect(site, options);
  const all = Array.from({ length: 100 }, (_, n) => watched(db.create({ n })));
  await rejects(db.create({ n: 100 }), 'queue_full');
  await kept(options.name, 100);
  equal(all.filter(({ outcome }) => outcome).length, 0);
});

test('a database that cannot be had leaves a client that keeps its queue in memory, or says so', async (world) => {
  const site = await world.site();
  const name = persisted().name;
  // A later version of the database than any client knows.
  const request = indexedDB.open(`livelog-${name}`, 1_000_000);
  (await promised(request)).close();
  const db = world.connect(site, { persist: 'indexeddb', name });
  const outcome = await db.create({ _id: 'a' }).then(
    () => 'done',
    ({ code }) => code,
  );
  ok(typeof outcome === 'string' && outcome !== 'undefined', `it is ${outcome}`);
});

test('a client without persistence leaves nothing behind', async (world) => {
  const site = await world.site();
  await site.refuse(true);
  const name = persisted().name;
  const db = world.connect(site, { name });
  const lost = watched(db.create({ _id: 'a' }));
  db.close();
  await until(() => lost.outcome?.[1].code === 'closed');
  equal(await stored(name), 0);
  await site.refuse(false);
  const next = world.connect(site, { name });
  await next.fetch();
  equal((await site.changes()).length, 0);
});
