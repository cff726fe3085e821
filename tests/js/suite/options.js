/** What is said wrongly is refused before anything is done, and the log stays as it was. */
import { connect, LivelogError } from 'livelog';
import { equal, ok, rejects, test } from './harness.js';
import { promised } from './stored.js';
import { live, until } from './world.js';

/** The error that a call throws at once. */
function thrown(call) {
  try {
    call();
  } catch (error) {
    ok(error instanceof LivelogError, `it is a LivelogError: ${error}`);
    return error;
  }
  throw new Error('it threw nothing');
}

test('a misspelt condition of a write is refused, and nothing is written', async (world) => {
  const { site, db } = await world.pair();
  await db.create({ _id: 'a', n: 1 });
  const misspelt = { expectedVersoin: 3 };
  const command = { type: 'UPDATE', payload: { id: 'a', updateData: { n: 2 } } };
  const calls = [
    db.update('a', { n: 2 }, misspelt),
    db.remove('a', misspelt),
    db.restore('a', 1, misspelt),
    db.batch([command], misspelt),
    db.batch((batch) => batch.update('a', { n: 2 }, misspelt)),
    db.write(command, misspelt),
    db.write({ ...command, ...misspelt }),
  ];
  for (const call of calls) equal((await rejects(call, 'invalid_option')).path, 'expectedVersoin');
  equal((await site.event('a'))._version, 1);
  equal((await site.sent({ type: 'UPDATE' })).length, 0);
});

test('what the client hands on as it is, the server refuses: names within a command', async (world) => {
  const { site, db } = await world.pair();
  await db.create({ _id: 'a', n: 1 });
  const payload = { id: 'a', updateData: { n: 2 } };
  for (const command of [
    { type: 'UPDATE', payload: { ...payload, expectedVersoin: 3 } },
    { type: 'BATCH', payload: { commands: [{ type: 'UPDATE', payload: { ...payload, expectedVersoin: 3 } }] } },
    { type: 'BATCH', payload: { commands: [{ type: 'UPDATE', payload, expectedVersoin: 3 }] } },
    { type: 'BATCH', payload: { commands: [{ type: 'UPDATE', payload }], expectedVersion: 3 } },
  ]) {
    const { code, path } = await db.write(command).catch((error) => error);
    ok(code !== undefined && /expectedVers/.test(path), `${JSON.stringify(command)}: ${code} ${path}`);
  }
  equal((await site.event('a'))._version, 1);
});

test('a misspelt filter subscribes to nothing', async (world) => {
  const { site, db } = await world.pair();
  await rejects(db.fetch({ fliter: { n: 1 } }), 'invalid_option');
  for (const call of [db.query, db.changes, (options) => db.onChange(options, () => {})]) {
    equal(thrown(() => call({ fliter: { n: 1 } })).path, 'fliter');
    equal(thrown(() => call({ filter: { owner: undefined } })).path, 'filter');
  }
  equal(await site.sent({ type: 'SUBSCRIBE' }), []);
});

test('an address without a scheme is refused at once', (world) => {
  for (const url of ['127.0.0.1:3000', 'localhost:3000', 'example.org']) {
    ok(/http:\/\//.test(thrown(() => world.connect({ url })).message), url);
  }
});

test('without an address a page has its own, and a program is told to give one', async () => {
  if (globalThis.location?.host) return connect().close();
  equal(thrown(() => connect()).path, 'url');
});

test('where the database cannot be had, the state says that writes are not kept', async (world) => {
  const site = await world.site();
  const name = `taken-${Date.now()}`;
  // A later version of the database than any client knows.
  (await promised(indexedDB.open(name, 1_000_000))).close();
  const db = world.connect(site, { persist: 'indexeddb', name });
  await until(
    () => db.state.name === 'live' && /lost/.test(db.state.reason),
    () => `it says so: ${JSON.stringify(db.state)}`,
  );
  equal((await db.create({ _id: 'a' }))._version, 1);
});

test('a create that is repeated under its commandId is done once, and answered as a duplicate', async (world) => {
  const { site, db } = await world.pair();
  const command = { type: 'CREATE', payload: { n: 1 } };
  const first = await db.create({ n: 1 }, { commandId: 'order 7' });
  const second = await db.write(command, { commandId: 'order 7' });
  equal([second.duplicate, second.data._id, second.seq], [true, first._id, first._seq]);
  const other = world.connect(site);
  equal((await other.create({ n: 1 }, { commandId: 'order 7' }))._id, first._id);
  equal((await site.changes()).length, 1);
  await rejects(db.create({ n: 2 }, { commandId: 'order 7' }), 'command_id_reused');
  const third = await db.create({ n: 1 }, { commandId: 'order 8' });
  ok(third._id !== first._id, 'another command makes another event');
});

test('so is a batch that creates', async (world) => {
  const { site, db } = await world.pair();
  const build = (batch) => [1, 2, 3].forEach((n) => batch.create({ n }));
  const first = await db.batch(build, { commandId: 'b' });
  equal(new Set(first.map(({ _id }) => _id)).size, 3);
  const other = world.connect(site);
  equal(await other.batch(build, { commandId: 'b' }), first);
  equal((await site.changes()).length, 3);
});

test('an onConflict that changes nothing does not flood the server', async (world) => {
  const site = await world.site();
  const attempts = [];
  const db = world.connect(site, {
    onConflict: ({ command, attempt }) => {
      attempts.push(attempt);
      return attempt < 4 ? command.payload : undefined;
    },
  });
  await live(db);
  await db.create({ _id: 'a', n: 1 });
  await rejects(db.update('a', { n: 2 }, { expectedVersion: 7 }), 'version_conflict');
  equal(attempts, [1, 2, 3, 4]);
  equal((await site.sent({ type: 'UPDATE' })).length, 4);
  equal((await site.event('a')).n, 1);
});
