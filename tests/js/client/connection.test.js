import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { FakeServer, settled } from './fake_server.js';

let server;
let db;
let states;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  mock.method(Math, 'random', () => 0.999);
  server = new FakeServer();
  db = server.connect();
  states = [];
  db.onState(({ name, reason }) => states.push([name, reason]));
});

afterEach(() => {
  db.close();
  mock.timers.reset();
  mock.restoreAll();
});

const tick = (milliseconds) => mock.timers.tick(milliseconds);

test('the socket asks for no changes, and the state is live once the server has said welcome', () => {
  assert.equal(server.socket.url, 'ws://fake/ws?changes=none');
  assert.equal(db.state.name, 'connecting');
  server.welcome(7);
  assert.deepEqual(states, [['live', '']]);
  assert.deepEqual([db.epoch, db.seq], ['e1', 7]);
  assert.equal(db.state, db.state);
  assert.ok(Object.isFrozen(db.state));
});

test('what is no message of livelog is taken for another server, and the client tries again', () => {
  for (const data of ['oops', 'null', '7', '{}', '', new ArrayBuffer(2)]) {
    server.welcome();
    server.socket.onmessage({ data });
    assert.match(db.state.reason, /^no livelog answers there/, String(data));
    tick(30_000);
  }
  server.welcome();
  assert.equal(db.state.name, 'live');
});

test('delays double from 250 ms, up to 30 s, and begin anew after a connection that lasted', () => {
  const delays = [];
  for (let at = 0; at < 10; at += 1) {
    server.cut();
    let delay = 0;
    for (const before = server.sockets.length; server.sockets.length === before; delay += 50) tick(50);
    delays.push(delay);
  }
  assert.deepEqual(delays, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  server.welcome();
  server.cut();
  tick(29_000);
  assert.equal(server.sockets.length, 11);
  tick(1000);
  server.welcome();
  tick(10_000);
  server.cut();
  tick(250);
  assert.equal(server.sockets.length, 13);
});

test('three failures in a row are offline, and so are ten seconds without a welcome', () => {
  for (let at = 0; at < 3; at += 1) {
    assert.equal(db.state.name, 'connecting');
    server.cut();
    tick(1000);
  }
  assert.equal(db.state.name, 'offline');
  server.welcome();
  assert.equal(db.state.name, 'live');
  server.cut();
  assert.equal(db.state.name, 'connecting');
  tick(2000);
  tick(10_000);
  assert.deepEqual([db.state.name, db.state.reason], ['offline', 'no welcome']);
});

test('silence is noticed within ten seconds, and an answered ping is life', () => {
  server.welcome();
  tick(60_000);
  assert.equal(server.sockets.length, 1);
  server.isAwake = false;
  const { socket } = server;
  tick(9_600);
  assert.equal(socket.isClosed, true);
  assert.equal(db.state.reason, 'no answer to a ping');
});

test('where one message takes long, each attempt waits longer for it', () => {
  server.isAwake = false;
  const lasted = [];
  for (let at = 0; at < 3; at += 1) {
    server.welcome();
    const before = server.socket;
    let seconds = 0;
    for (; !before.isClosed; seconds += 0.1) tick(100);
    lasted.push(Math.round(seconds));
    tick(5000);
  }
  assert.deepEqual(lasted, [7, 12, 22]);
});

test('4000 and 1006 come back, 4500 does not', async () => {
  const query = db.query();
  const writing = assert.rejects(db.create({}), { code: 'closed' });
  server.cut(4000);
  tick(1000);
  assert.equal(server.sockets.length, 2);
  server.welcome();
  server.cut(4501);
  tick(60_000);
  assert.equal(server.sockets.length, 2);
  assert.deepEqual([db.state.name, db.state.reason], ['closed', 'the server ended the connection: 4501']);
  assert.equal(query.error.code, 'closed');
  await writing;
});

test('the reason of a state is in words', () => {
  server.cut();
  assert.equal(db.state.reason, 'the server cannot be reached, or refuses this page');
  tick(1000);
  server.welcome();
  assert.equal(db.state.reason, '');
  server.cut();
  assert.equal(db.state.reason, 'the connection broke off');
  tick(1000);
  server.welcome();
  server.cut(4000, 'shutting_down');
  assert.equal(db.state.reason, 'the server ended the connection: shutting_down');
});

test('who watches the state hears of it, and of each number of pending writes, once', () => {
  const told = [];
  db.onState((state) => told.push([state.name, db.pending]));
  server.welcome();
  const writing = [db.create({}), db.create({})];
  for (const { id } of server.sent('CREATE')) server.accept({ id, type: 'CREATE' }, id, {});
  assert.deepEqual(told, [['live', 0], ['live', 1], ['live', 2], ['live', 1], ['live', 0]]);
  return Promise.all(writing);
});

test('a page that wakes asks at once, and one that waits tries at once', (t) => {
  const target = new EventTarget();
  globalThis.addEventListener = target.addEventListener.bind(target);
  globalThis.removeEventListener = target.removeEventListener.bind(target);
  t.after(() => {
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
  });
  db.close();
  db = server.connect();
  for (let at = 0; at < 6; at += 1) {
    server.cut();
    tick(10_000);
  }
  server.cut();
  const before = server.sockets.length;
  target.dispatchEvent(new Event('online'));
  assert.equal(server.sockets.length, before + 1);
  target.dispatchEvent(new Event('pageshow'));
  assert.equal(server.sockets.length, before + 1);
  server.cut();
  tick(250);
  assert.equal(server.sockets.length, before + 2);
  server.welcome();
  server.isAwake = false;
  target.dispatchEvent(new Event('visibilitychange'));
  assert.equal(server.sent('PING').length, 1);
  tick(5000);
  assert.equal(server.socket.isClosed, true);
  db.close();
  target.dispatchEvent(new Event('online'));
});

test('behind is told with its lag, until the next live', async () => {
  server.welcome(10);
  const query = db.query();
  server.snapshot(10, []);
  await query.whenReady();
  const { sub } = server.last('SUBSCRIBE').payload;
  server.say({ type: 'behind', sub, seq: 10 }, { type: 'pong', seq: 30 });
  assert.deepEqual([db.state.name, db.state.lag], ['behind', 20]);
  server.say({ type: 'live', sub, seq: 31 });
  assert.deepEqual([db.state.name, db.state.lag], ['live', 0]);
});

test('a position that lags far behind is moved up', async () => {
  server.welcome(10);
  const query = db.query();
  server.snapshot(10, []);
  await query.whenReady();
  server.say({ type: 'pong', seq: 10_010 });
  assert.equal(server.sent('SUBSCRIBE').length, 1);
  server.say({ type: 'pong', seq: 10_011 });
  assert.equal(server.last('SUBSCRIBE').payload.after, 10);
});

test('reads wait for a connection, but not while there is little hope', async () => {
  const reading = db.fetch();
  await settled();
  for (let at = 0; at < 3; at += 1) {
    server.cut();
    tick(1000);
  }
  await assert.rejects(reading, { code: 'unavailable', retryable: true });
  await assert.rejects(db.fetch(), { code: 'unavailable' });
  await assert.rejects(db.broadcast(1), { code: 'unavailable' });
});

test('a message that is too large is refused before it is sent', async () => {
  server.welcome();
  const filter = { text: 'x'.repeat(300_000) };
  await assert.rejects(db.fetch({ filter }), { code: 'too_large' });
  const query = db.query({ filter });
  await assert.rejects(query.whenReady(), { code: 'too_large' });
});

test('history is asked over HTTP, with the token', async () => {
  const asked = [];
  const refused = { success: false, error: { code: 'not_found', message: '' } };
  const answers = [{ success: true, seq: 3, data: [1], next: 2 }, refused];
  const fetch = async (url, { headers }) => {
    asked.push([url, headers]);
    return { json: async () => answers.shift() };
  };
  db.close();
  db = server.connect({ fetch, token: async () => 't' });
  assert.deepEqual(await db.history('a/b', { limit: 1, order: 'oldest', after: undefined }), { seq: 3, data: [1], next: 2 });
  assert.deepEqual(asked, [['http://fake/api/events/a%2Fb/history?limit=1&order=oldest', { authorization: 'Bearer t' }]]);
  await assert.rejects(db.history('x'), { code: 'not_found' });
});

test('a welcome that comes twice is heard once, and a client that is closed stays closed', () => {
  server.welcome();
  server.welcome();
  tick(2400);
  assert.equal(server.sent('PING').length, 1);
  db.close();
  const { length } = server.sockets;
  tick(60_000);
  assert.deepEqual([server.sockets.length, db.state.name], [length, 'closed']);
});

test('a welcome that says no position is none', () => {
  server.say({ type: 'welcome', epoch: 'e1' });
  assert.match(db.state.reason, /^no livelog answers there/);
});

test('what no address can name has no history', async () => {
  const asked = [];
  db.close();
  db = server.connect({ fetch: async (url) => asked.push(url) });
  for (const id of [undefined, null, '', '.', '..', 7, {}, 'a\ud800']) {
    await assert.rejects(db.history(id), { code: 'invalid_option', path: 'id' });
  }
  assert.deepEqual(asked, []);
});
