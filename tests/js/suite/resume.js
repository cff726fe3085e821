/** Live results through cuts, restarts and a log that was made anew; and very large ones. */
import { equal, ok, same, test } from './harness.js';
import { ids, put, shownBy } from './shown.js';
import { live, until } from './world.js';

test('what happened during a cut is there after it, and what did not change is the same object', async (world) => {
  const { site, db } = await world.pair();
  await put(site, ...Array.from({ length: 20 }, (_, n) => ({ _id: `e${String(n).padStart(2, '0')}`, n })));
  const query = db.query();
  await query.whenReady();
  const before = query.get();
  const writer = world.connect(site);
  await live(writer);
  await site.refuse(true);
  await site.cut();
  const body = JSON.stringify({
    commands: [
      { type: 'UPDATE', payload: { id: 'e03', updateData: { n: 333 } } },
      { type: 'DELETE', payload: { id: 'e04' } },
      { type: 'CREATE', payload: { _id: 'e99', n: 99 } },
    ],
  });
  await fetch(`${await site.direct()}/api/batch`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json' },
  });
  await until(() => db.state.name !== 'live');
  same(query.get(), before, 'while it is away it shows what it knows');
  await site.refuse(false);
  await query.seen(23);
  const after = new Map(query.get().map((row) => [row._id, row]));
  equal([after.size, after.get('e03').n, after.has('e04'), after.get('e99').n], [20, 333, false, 99]);
  for (const row of before) if (!['e03', 'e04'].includes(row._id)) same(after.get(row._id), row, row._id);
  const resumed = (await site.sent({ type: 'SUBSCRIBE' })).filter(({ payload }) => payload.after !== undefined);
  ok(
    resumed.length > 0 && resumed.every(({ payload }) => payload.after === 20 && typeof payload.epoch === 'string'),
    'it resumed where it was',
  );
});

test('a cut in which nothing happened changes no array', async (world) => {
  const { site, db } = await world.pair();
  await put(site, { _id: 'a' }, { _id: 'b' });
  const query = db.query();
  await query.whenReady();
  const before = query.get();
  const { accepted } = await site.connections();
  await site.cut();
  await until(async () => (await site.connections()).accepted > accepted);
  await live(db);
  await db.fetch();
  same(query.get(), before);
});

test('a result goes on after the server was killed and started again', async (world) => {
  const { site, db } = await world.pair();
  await put(site, { _id: 'a', n: 1 });
  const query = db.query();
  await query.whenReady();
  const [before] = query.get();
  await site.kill();
  await until(() => db.state.name !== 'live');
  await site.start();
  await live(db);
  await query.seen((await db.create({ _id: 'b', n: 2 }))._seq);
  equal(ids(query), ['a', 'b']);
  same(query.get()[0], before);
});

test('a log that was made anew is swapped in at one stroke: no empty result between', async (world) => {
  const { site, db } = await world.pair();
  await put(site, ...Array.from({ length: 30 }, (_, n) => ({ _id: `old${n}`, n })));
  const query = db.query({ filter: { n: { $gte: 0 } } });
  await query.whenReady();
  const shown = shownBy(query);
  const epoch = db.epoch;
  await site.refuse(true);
  await site.refound();
  await put(site, ...Array.from({ length: 1500 }, (_, n) => ({ _id: `new${n}`, n })));
  await site.cut();
  await site.refuse(false);
  await until(() => query.get()[0]._id.startsWith('new'), 'the new log shows');
  equal(
    shown.map((rows) => rows.length).filter((length) => length !== 1500),
    [],
    'nothing but the whole of it was shown',
  );
  ok(db.epoch !== epoch, 'the epoch is another');
  const { _seq } = await db.create({ _id: 'one more', n: 1 });
  await query.seen(_seq);
  equal(query.get().length, 1501);
});

test('a read that was under way when the log was made anew does not wait for what the old one had', async (world) => {
  const { site, db } = await world.pair();
  for (let n = 0; n < 5; n++) await db.create({ n });
  await site.rule({ direction: 'up', match: { type: 'FETCH' }, act: 'drop' });
  const read = db.fetch();
  await until(async () => (await site.sent({ type: 'FETCH' })).length === 1, 'it is asked');
  // Held up and not refused: after three attempts in vain a read gives up.
  await site.stall();
  await site.refound();
  await site.cut();
  await site.flow();
  const { data, seq } = await read;
  equal([data, seq], [[], 0]);
});

test('an edit that is done only in the new log shows once, also while its answer is late', async (world) => {
  const { site, db } = await world.pair();
  await db.create({ _id: 'a', n: 0 });
  for (let n = 1; n <= 5; n++) await db.update('a', { n: 0, round: n });
  const query = db.query();
  await query.whenReady();
  await site.rule({ direction: 'up', match: { type: 'UPDATE' }, act: 'drop' });
  const edit = db.update('a', { $inc: { n: 1 } });
  await until(async () => (await site.sent({ type: 'UPDATE' })).length === 6, 'it is asked');
  const shown = new Set();
  query.subscribe(() => shown.add(query.get()[0]?.n));
  await site.refuse(true);
  await site.refound();
  await put(site, { _id: 'a', n: 0 });
  // It is done after the new snapshot, and its change is told before its answer.
  await site.rule({ direction: 'up', match: { type: 'UPDATE' }, act: 'late', milliseconds: 500 });
  await site.rule({ direction: 'down', match: { type: 'response', request: 'UPDATE' }, act: 'late', milliseconds: 500 });
  await site.cut();
  await site.refuse(false);
  await edit;
  await until(() => !query.pending('a'));
  equal(query.get()[0].n, 1);
  ok([...shown].every((n) => n === 1), `it showed ${[...shown]}`);
});

test('a result whose connection is cut in the middle of its first snapshot begins again', async (world) => {
  const { site, db } = await world.pair();
  await put(site, ...Array.from({ length: 2500 }, (_, n) => ({ _id: `e${n}`, n })));
  await site.rule({ direction: 'down', match: { type: 'snapshot', more: true }, act: 'cutAfter' });
  const query = db.query();
  const shown = shownBy(query);
  await query.whenReady();
  equal(query.get().length, 2500);
  ok(
    shown.every((rows) => rows.length === 2500),
    'half of it was never shown',
  );
});

test('100 000 rows arrive whole, and one change costs one row', async (world) => {
  const site = await world.site({ rows: 100_000 });
  const db = world.connect(site);
  const started = performance.now();
  const query = db.query({ sort: { n: -1 } });
  await until(() => query.ready, 'they are there', 100_000);
  const took = performance.now() - started;
  const before = query.get();
  equal([before.length, before[0].n, before.at(-1).n], [100_000, 100_000, 1]);
  const change = performance.now();
  const { _seq } = await db.update('r050000', { title: 't' });
  await query.seen(_seq);
  const after = query.get();
  console.log(
    `100 000 rows: ready after ${Math.round(took)} ms; a change took ${Math.round(performance.now() - change)} ms`,
  );
  equal(after[50_000].title, 't');
  ok(
    after.every((row, at) => row === before[at] || at === 50_000),
    'all others are the same objects',
  );
});
