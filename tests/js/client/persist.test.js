import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { IDBFactory, IDBObjectStore } from 'fake-indexeddb';
import { FakeServer, tokenOf } from './fake_server.js';

/** What a page asks of the database takes some turns of the loop. */
async function until(holds) {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    if (holds()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.fail(`it never came: ${holds}`);
}

const leave = (promise) => void promise.catch(() => {});

let server;
let pages;

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
  server = new FakeServer();
  pages = [];
});

afterEach(() => {
  for (const page of pages) page.close();
  // What hid the runtime's own.
  delete globalThis.navigator.locks;
});

function open(options) {
  const page = server.connect({ persist: 'indexeddb', ...options });
  pages.push(page);
  return page;
}

for (const kind of ['Web Locks', 'leases']) {
  const setUp = () => {
    if (kind === 'leases') Object.defineProperty(globalThis.navigator, 'locks', { value: undefined, configurable: true });
  };

  test(`${kind}: a write that was never sent is sent by the next page, before its own`, async () => {
    setUp();
    const first = open();
    leave(first.update('a', { n: 1 }));
    leave(first.update('a', { n: 2 }));
    await until(() => first.pending === 2);
    await stored(2);
    first.close();
    const second = open();
    server.welcome();
    leave(second.update('a', { n: 3 }));
    for (const n of [1, 2, 3]) {
      await until(() => server.sent('UPDATE').length === n);
      assert.equal(server.last('UPDATE').payload.updateData.n, n);
      server.accept(server.last('UPDATE'), n, {});
    }
    await stored(0);
    assert.equal(second.pending, 0);
  });

  test(`${kind}: a write that was sent and not answered is sent again under its commandId, and shows`, async () => {
    setUp();
    const first = open();
    server.welcome();
    leave(first.create({ _id: 'a', n: 1 }));
    await until(() => server.sent('CREATE').length === 1);
    const [sent] = server.sent('CREATE');
    first.close();
    const second = open();
    server.welcome(1);
    await until(() => server.sent('CREATE').length === 1);
    assert.equal(server.last('CREATE').commandId, sent.commandId);
    const query = second.query({});
    server.snapshot(1, []);
    await query.whenReady();
    assert.equal(query.get()[0].n, 1);
    server.accept(server.last('CREATE'), 1, {}, { duplicate: true });
    await stored(0);
  });

  test(`${kind}: two pages send each its own, and neither the other's`, async () => {
    setUp();
    const first = open();
    const one = server.socket;
    server.welcome();
    const second = open();
    const two = server.socket;
    server.welcome();
    leave(first.update('a', { n: 1 }));
    leave(second.update('b', { n: 1 }));
    const sent = (socket) => socket.sent.filter(({ type }) => type === 'UPDATE').map(({ payload }) => payload.id);
    await until(() => sent(one).length && sent(two).length);
    two.onclose({ code: 1006, reason: '' });
    await until(() => server.sockets.length === 3);
    server.welcome();
    await until(() => sent(server.socket).length === 1);
    assert.deepEqual([sent(one), sent(two), sent(server.socket)], [['a'], ['b'], ['b']]);
  });

  test(`${kind}: a write of an earlier page that is refused goes to onLost`, async () => {
    setUp();
    const first = open();
    leave(first.update('gone', { n: 1 }));
    await stored(1);
    first.close();
    const lost = [];
    open({ onLost: (edit) => lost.push(edit) });
    server.welcome();
    await until(() => server.sent('UPDATE').length === 1);
    server.refuse(server.last('UPDATE'), 'not_found');
    await until(() => lost.length === 1);
    assert.equal(lost[0].command.payload.id, 'gone');
    assert.equal(lost[0].error.code, 'not_found');
    await stored(0);
  });

  test(`${kind}: what the application makes of a conflict is stored before it is sent`, async () => {
    setUp();
    const first = open({ onConflict: ({ command }) => ({ ...command.payload, expectedVersion: 2 }) });
    server.welcome();
    leave(first.update('a', { n: 1 }, { expectedVersion: 1 }));
    await until(() => server.sent('UPDATE').length === 1);
    server.refuse(server.last('UPDATE'), 'version_conflict', { details: { current: {} } });
    await until(() => server.sent('UPDATE').length === 2);
    const { commandId } = server.last('UPDATE');
    first.close();
    open();
    server.welcome();
    await until(() => server.sent('UPDATE').length === 1);
    assert.equal(server.last('UPDATE').commandId, commandId);
    assert.equal(server.last('UPDATE').payload.expectedVersion, 2);
  });
}

test('what a page leaves behind is taken over by one that stays', async () => {
  open();
  const stays = server.socket;
  server.welcome();
  const goes = open();
  leave(goes.update('a', { n: 1 }));
  await stored(1);
  goes.close();
  await until(() => stays.sent.some(({ type }) => type === 'UPDATE'));
});

test('where nothing can be stored, writes are sent all the same', async () => {
  globalThis.indexedDB = {
    open() {
      throw new Error('not here');
    },
  };
  const page = open();
  server.welcome();
  const writing = page.create({});
  await until(() => server.sent('CREATE').length === 1);
  server.accept(server.last('CREATE'), 1, { a: 1 });
  assert.deepEqual(await writing, { a: 1 });
});

test('where nothing can be stored, the state says so, and goes on to', async () => {
  const failing = { open: () => ({ set onerror(tell) { queueMicrotask(tell); }, error: new Error('no room') }) };
  for (const [factory, why] of [[{ open() { throw new Error('not here'); } }, 'not here'], [failing, 'no room']]) {
    globalThis.indexedDB = factory;
    const page = open();
    const told = [];
    page.onState(({ name, reason }) => told.push(`${name}: ${reason}`));
    const said = `writes that wait are lost with this page: ${why}`;
    await until(() => page.state.reason === said);
    server.welcome();
    assert.deepEqual(told, [`connecting: ${said}`, `live: ${said}`]);
    server.cut();
    assert.notEqual(page.state.reason, said);
    page.close();
  }
});

test('a write that could not be stored is told', async () => {
  const page = open();
  server.welcome();
  leave(page.update('a', { n: 1 }));
  await stored(1);
  assert.equal(page.state.reason, '');
  const { put } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = () => {
    throw new Error('no room');
  };
  leave(page.update('a', { n: 2 }));
  await until(() => page.state.reason.includes('no room'));
  IDBObjectStore.prototype.put = put;
});

test('writes of earlier pages count as pending, and that is told', async () => {
  const first = open();
  leave(first.update('a', { n: 1 }));
  await stored(1);
  first.close();
  const second = open();
  const told = [];
  second.onState(() => told.push(second.pending));
  await until(() => second.pending === 1);
  assert.deepEqual(told, [1]);
});

test('what is stored is sent by who made it, and neither shown to others nor lost', async () => {
  const lost = [];
  const onLost = (edit) => lost.push(edit);
  const first = open({ token: tokenOf('ada') });
  leave(first.update('a', { n: 1 }));
  await stored(1);
  first.close();
  for (const token of [tokenOf('bob'), undefined, 'lk_ada_00']) {
    const other = open({ token, onLost });
    leave(other.update('b', { n: 1 }));
    await stored(2);
    if (token) server.admit({ role: 'user' });
    else server.welcome();
    await until(() => server.sent('UPDATE').length === 1);
    assert.deepEqual([server.last('UPDATE').payload.id, other.pending], ['b', 1]);
    server.accept(server.last('UPDATE'), 1, {});
    await stored(1);
    other.close();
  }
  const back = open({ token: async () => tokenOf('ada', 2), onLost });
  await until(() => back.pending === 1);
  server.admit({ role: 'user' });
  await until(() => server.sent('UPDATE').length === 1);
  assert.equal(server.last('UPDATE').payload.id, 'a');
  server.accept(server.last('UPDATE'), 1, {});
  await stored(0);
  assert.deepEqual(lost, []);
});

test('what waits when somebody else signs in waits until who made it is back, in the same page too', async () => {
  const lost = [];
  const page = open({ token: tokenOf('ada'), onLost: (edit) => lost.push(edit) });
  const writing = page.update('a', { n: 1 });
  await stored(1);
  page.authenticate(tokenOf('bob'));
  await assert.rejects(writing, { code: 'signed_out' });
  server.admit({ role: 'user' });
  leave(page.update('b', { n: 1 }));
  await until(() => server.sent('UPDATE').length === 1);
  assert.equal(server.last('UPDATE').payload.id, 'b');
  server.accept(server.last('UPDATE'), 1, {});
  await stored(1);
  page.authenticate(tokenOf('ada', 2));
  server.admit({ role: 'user' });
  await until(() => server.sent('UPDATE').length === 1);
  assert.equal(server.last('UPDATE').payload.id, 'a');
  page.authenticate(tokenOf('bob'));
  assert.equal(page.pending, 0);
  assert.deepEqual(lost, []);
});

test('what was not stored yet when somebody else signs in is not stored as theirs', async () => {
  const page = open({ token: tokenOf('ada') });
  const writing = page.update('a', { n: 1 });
  page.authenticate(tokenOf('bob'));
  await assert.rejects(writing, { code: 'signed_out' });
  server.admit({ role: 'user' });
  const sending = page.update('b', { n: 1 });
  await until(() => server.sent('UPDATE').length === 1);
  server.accept(server.last('UPDATE'), 1, {});
  await sending;
  await stored(0);
});

test('what the application makes of a conflict of one is not kept as of another', async () => {
  let decide;
  const onConflict = () => new Promise((resolve) => void (decide = resolve));
  const page = open({ token: tokenOf('ada'), onConflict });
  server.admit({ role: 'user' });
  leave(page.update('a', { n: 1 }, { expectedVersion: 1 }));
  await until(() => server.sent('UPDATE').length === 1);
  server.refuse(server.last('UPDATE'), 'version_conflict', { details: { current: {} } });
  await until(() => decide);
  page.authenticate(tokenOf('bob'));
  server.admit({ role: 'user' });
  const sending = page.update('b', { n: 1 });
  await until(() => server.sent('UPDATE').length === 1);
  decide({ id: 'a', updateData: { n: 2 } });
  server.accept(server.last('UPDATE'), 1, {});
  await sending;
  await stored(1);
  page.close();
  const back = open({ token: tokenOf('ada') });
  await until(() => back.pending === 1);
});

test('what is read for one while another signs in is not taken over', async () => {
  const gone = open({ token: tokenOf('ada') });
  leave(gone.update('a', { n: 1 }));
  await stored(1);
  gone.close();
  for (let turns = 0; turns < 40; turns += 1) {
    const page = open({ token: tokenOf('ada', 2) });
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    page.authenticate(tokenOf('bob'));
    await stored(1);
    assert.equal(page.pending, 0, `after ${turns} turns`);
    page.close();
  }
});

test('until a token is there nobody knows whose a write is, so it waits in memory', async () => {
  let give;
  const page = open({ token: () => new Promise((resolve) => void (give = resolve)) });
  leave(page.update('a', { n: 1 }));
  await until(() => give);
  assert.equal(await countOfWrites(), undefined);
  give(tokenOf('ada'));
  await stored(1);
  assert.equal(page.pending, 1);
});

test('a tab takes over only what is of who is signed in there', async () => {
  const goes = open({ token: tokenOf('ada') });
  leave(goes.update('a', { n: 1 }));
  await stored(1);
  goes.close();
  const stays = open({ token: tokenOf('bob') });
  server.admit({ role: 'user' });
  const sending = stays.update('b', { n: 1 });
  await until(() => server.sent('UPDATE').length === 1);
  server.accept(server.last('UPDATE'), 1, {});
  await sending;
  const late = open({ token: tokenOf('ada', 2) });
  server.admit({ role: 'user' });
  await until(() => server.sent('UPDATE').length === 1);
  assert.deepEqual([stays.pending, late.pending], [0, 1]);
});

/** Waits until so many writes are in the database. */
async function stored(count) {
  let found;
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    found = await countOfWrites();
    if (found === count) return;
  }
  assert.fail(`there are ${found} writes in the database, not ${count}`);
}

/** Nothing, if the client has not made the database yet: it must not be made here. */
async function countOfWrites() {
  const request = globalThis.indexedDB.open('livelog http://fake', 1);
  request.onupgradeneeded = () => request.transaction.abort();
  await ended(request);
  if (request.error) return undefined;
  const counting = request.result.transaction('writes').objectStore('writes').count();
  await ended(counting);
  request.result.close();
  return counting.result;
}

const ended = (request) =>
  new Promise((resolve) => {
    request.onsuccess = resolve;
    request.onerror = resolve;
  });
