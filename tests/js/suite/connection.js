/** The connection: its states, how it is lost and noticed to be lost, and how it comes back. */
import { equal, ok, rejects, same, test } from './harness.js';
import { live, until } from './world.js';

/** Waits until somebody connects who did not before. */
async function newConnection(site, before) {
  await until(async () => (await site.connections()).accepted > before.accepted, 'it connects anew', 30_000);
}

/** Watches how late timers are; a function that stops it and tells by how much the latest was. */
function watchTimers() {
  let last = performance.now();
  let worst = 0;
  const timer = setInterval(() => {
    worst = Math.max(worst, performance.now() - last - 50);
    last = performance.now();
  }, 50);
  return () => {
    clearInterval(timer);
    return worst;
  };
}

test('the state is told at each change, as a new frozen object', async (world) => {
  const site = await world.site();
  const db = world.connect(site);
  const told = [];
  db.onState((state) => told.push(state));
  equal(db.state.name, 'connecting');
  same(db.state, db.state);
  await live(db);
  same(told.at(-1), db.state);
  ok(Object.isFrozen(db.state), 'it is frozen');
  ok(Math.abs(Date.now() - db.state.since) < 20_000, 'since when');
  equal(typeof db.state.lag, 'number');
  db.close();
  equal(db.state.name, 'closed');
  equal(told.at(-1).name, 'closed');
});

test('who stops listening to the state hears nothing more', async (world) => {
  const site = await world.site();
  const db = world.connect(site);
  let told = 0;
  const stop = db.onState(() => told++);
  stop();
  await live(db);
  equal(told, 0);
});

test('a server that cannot be reached makes the state offline, and live when it is there again', async (world) => {
  const { site, db } = await world.pair();
  await site.kill();
  await until(
    () => db.state.name === 'offline',
    () => `it is offline: ${db.state.name}`,
  );
  await site.start();
  await until(() => db.state.name === 'live', 'it is live', 40_000);
});

test('a server that is not there yet is waited for', async (world) => {
  const site = await world.site();
  await site.kill();
  const db = world.connect(site);
  const made = db.create({ _id: 'a' });
  await until(() => db.state.name !== 'connecting' || db.pending === 1);
  await site.start();
  equal((await made)._id, 'a');
});

test('a refused connection is tried again with pauses that grow, not in a storm', async (world) => {
  const { site, db } = await world.pair();
  let attempts = 0;
  const Counted = class extends WebSocket {
    constructor(...args) {
      super(...args);
      attempts++;
    }
  };
  const other = world.connect(site, { WebSocket: Counted });
  await live(other);
  await site.refuse(true);
  await site.cut();
  const from = performance.now();
  await until(() => other.state.name === 'offline' && performance.now() - from > 4000, 'four seconds have passed');
  // Full jitter: a quarter, half, one, two seconds at most, so one to some in this time, and hardly ever a dozen.
  ok(attempts >= 2 && attempts <= 16, `${attempts} attempts in four seconds`);
  await site.refuse(false);
  await Promise.all([db, other].map((client) => until(() => client.state.name === 'live', 'it is live', 40_000)));
});

for (const [direction, what] of [
  ['both', 'passes nothing'],
  ['down', 'passes nothing of what the server says'],
  ['up', 'passes nothing to the server'],
]) {
  test(`a connection that ${what} is noticed within ten seconds`, async (world) => {
    const { site, db } = await world.pair();
    const query = db.query();
    await query.whenReady();
    const before = await site.connections();
    await site.stall(direction);
    const lateness = watchTimers();
    const started = performance.now();
    await newConnection(site, before);
    const took = performance.now() - started;
    // What a busy machine adds to its timers is no fault of the client's.
    ok(took < 10_500 + lateness(), `it took ${Math.round(took)} ms, with timers ${Math.round(lateness())} ms late`);
    await site.calm();
    await site.cut();
    await until(() => db.state.name === 'live', 'it is live', 40_000);
    await query.seen((await db.create({ _id: 'a' }))._seq);
    equal(query.get().length, 1);
  });
}

test('a write on a connection that passes nothing is done once when the next is there', async (world) => {
  const { site, db } = await world.pair();
  await db.create({ _id: 'a', n: 0 });
  const before = await site.connections();
  await site.stall('down');
  const done = db.update('a', { $inc: { n: 1 } });
  await newConnection(site, before);
  await site.calm();
  equal((await done).n, 1);
  equal((await site.changes()).length, 2);
});

test('a connection that is silent because nothing happens is kept', async (world) => {
  const { site, db } = await world.pair();
  const before = await site.connections();
  await until(async () => (await site.sent({ type: 'PING' })).length >= 1, 'it has pinged', 30_000);
  await db.fetch();
  equal((await site.connections()).accepted, before.accepted);
  equal(db.state.name, 'live');
});

test('a slow connection is a connection', async (world) => {
  const { site, db } = await world.pair();
  const before = await site.connections();
  await site.delay(600);
  const query = db.query();
  await query.whenReady();
  await db.create({ _id: 'a' });
  await until(() => query.get().length === 1);
  equal((await site.connections()).accepted, before.accepted);
});

for (const [code, reason] of [
  [4000, 'shutting_down'],
  [4001, 'timed_out'],
  [4002, 'too_slow'],
  [1001, ''],
  [1011, ''],
]) {
  test(`a connection that is closed with ${code} is made anew`, async (world) => {
    const { site, db } = await world.pair();
    const before = await site.connections();
    await site.close(code, reason);
    await newConnection(site, before);
    equal((await db.create({ _id: 'a' }))._version, 1);
  });
}

for (const [code, reason] of [
  [4500, 'message_too_large'],
  [4501, 'corrupt'],
]) {
  test(`a connection that is closed with ${code} is not made anew, and what waits is told`, async (world) => {
    const { site, db } = await world.pair();
    const query = db.query();
    await query.whenReady();
    await site.rule({ direction: 'up', match: { type: 'CREATE' }, act: 'drop' });
    const waiting = db.create({ _id: 'a' }).then(
      () => 'done',
      (error) => error.code,
    );
    const before = await site.connections();
    await site.close(code, reason);
    await until(
      () => db.state.name === 'closed',
      () => `it is closed: ${db.state.name}`,
    );
    ok(
      String(db.state.reason).includes(reason) || String(db.state.reason).includes(String(code)),
      `it says why: ${db.state.reason}`,
    );
    equal(await waiting, 'closed');
    await rejects(db.create({ _id: 'b' }), 'closed');
    equal((await site.connections()).accepted, before.accepted);
  });
}

test('close() ends what waits, and everything after it is refused', async (world) => {
  const { site, db } = await world.pair();
  const query = db.query();
  await query.whenReady();
  await site.stall();
  const waiting = [db.create({ _id: 'a' }), db.fetch(), query.seen(99)].map((promise) =>
    promise.then(
      () => 'done',
      ({ code }) => code,
    ),
  );
  db.close();
  equal(await Promise.all(waiting), ['closed', 'closed', 'closed']);
  await rejects(db.create({ _id: 'b' }), 'closed');
  await rejects(db.fetch(), 'closed');
  await site.flow();
  await until(async () => (await site.connections()).open === 0, 'the socket is closed');
  db.close();
});

test('what a later server may say is passed over', async (world) => {
  const { site, db } = await world.pair();
  const query = db.query();
  await query.whenReady();
  const before = await site.connections();
  for (const message of [
    { type: 'novelty', payload: 1 },
    { type: 'response', id: 'nobody', success: true },
    { type: 'change', sub: 'nobody', seq: 1 },
    { type: 'pong', id: 'x', seq: 0 },
    { type: 'error', success: false, error: { code: 'internal', message: 'm' } },
  ]) {
    await site.say(message);
  }
  await query.seen((await db.create({ _id: 'a' }))._seq);
  equal((await site.connections()).accepted, before.accepted);
});

test('the url may be of http or ws, with or without a slash at its end', async (world) => {
  const site = await world.site();
  for (const url of [site.url, `${site.url}/`, site.url.replace('http', 'ws'), new URL(site.url)]) {
    const db = world.connect({ url });
    await live(db);
    equal(await db.get('nobody'), undefined);
    ok(typeof db.epoch === 'string' && db.seq === 0, 'epoch and seq of the welcome');
  }
});

test('a query that is behind its log says so until it has caught up', async (world) => {
  const { site, db } = await world.pair();
  const query = db.query();
  await query.whenReady();
  const told = new Set();
  db.onState(({ name }) => told.add(name));
  const sub = (await site.sent({ type: 'SUBSCRIBE' })).at(-1).payload.sub;
  await site.say({ type: 'behind', sub, seq: 0 });
  await until(
    () => db.state.name === 'behind',
    () => `it is behind: ${db.state.name}`,
  );
  await site.say({ type: 'live', sub, seq: 0 });
  await live(db);
});
