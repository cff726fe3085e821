import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { FakeServer, settled, tokenOf } from './fake_server.js';

const ADA = tokenOf('ada');
const ADA_AGAIN = tokenOf('ada', 2);
const BOB = tokenOf('bob');
const HOUR = 3_600_000;

let server;
let db;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  mock.method(Math, 'random', () => 0.999);
  mock.method(performance, 'now', () => 0);
  server = new FakeServer();
});

afterEach(() => {
  db.close();
  mock.timers.reset();
  mock.restoreAll();
});

const leave = (promise) => void promise.catch(() => {});
const row = (_id, fields) => ({ _id, _version: 1, ...fields });
const ids = (query) => query.get().map(({ _id }) => _id);
const code = (promise) => promise.then(() => 'done', ({ code }) => code);
const shown = () => server.socket.sent.filter(({ type }) => type === 'AUTH').map(({ payload }) => payload);

async function tick(milliseconds) {
  mock.timers.tick(milliseconds);
  await settled();
}

/** A client whose function gives these, one after the other; an error is thrown. */
function connectWith(...tokens) {
  const source = mock.fn(async () => {
    const token = tokens.length > 1 ? tokens.shift() : tokens[0];
    if (token instanceof Error) throw token;
    return token;
  });
  db = server.connect({ token: source });
  return source;
}

const inAnHour = () => ({ role: 'user', iss: 'i', sub: 'ada', expiresAt: new Date(Date.now() + HOUR).toISOString() });

/** A query with these rows. */
async function query(rows, options = {}) {
  const live = db.query(options);
  server.snapshot(10, rows);
  await settled();
  return live;
}

test('a token is the first that is said, and nothing else is before it is answered', async () => {
  db = server.connect({ token: ADA, role: 'editor' });
  leave(db.create({ n: 1 }));
  db.query();
  assert.deepEqual(server.socket.sent, []);
  server.open();
  const [auth, ...more] = server.socket.sent;
  assert.deepEqual([auth.type, auth.payload, more], ['AUTH', { token: ADA, role: 'editor' }, []]);
  server.accept(auth, undefined, { role: 'editor', sub: 'ada' });
  assert.deepEqual([server.socket.sent.length, db.state.name], [1, 'connecting']);
  server.welcome(10);
  assert.deepEqual(server.socket.sent.slice(1).map(({ type }) => type), ['CREATE', 'SUBSCRIBE']);
  assert.equal(db.state.name, 'live');
});

test('where everyone is let in, what was written with a token waits for its answer all the same', () => {
  db = server.connect({ token: ADA });
  leave(db.create({ n: 1 }));
  server.open();
  server.welcome(10);
  assert.deepEqual([server.sent('CREATE').length, db.state.name], [0, 'connecting']);
  server.accept(server.last('AUTH'), undefined, {});
  assert.deepEqual([server.sent('CREATE').length, db.state.name], [1, 'live']);
});

test('each connection has to be let in anew', () => {
  db = server.connect({ token: ADA });
  server.admit({ role: 'user' });
  server.cut();
  mock.timers.tick(1000);
  server.open();
  server.welcome(10);
  assert.equal(db.state.name, 'connecting');
  server.accept(server.last('AUTH'), undefined, { role: 'user' });
  assert.equal(db.state.name, 'live');
});

test('who the server says it is can be read, and that it changed is told', () => {
  db = server.connect({ token: ADA });
  const told = [];
  db.onState(() => told.push(db.identity?.sub));
  assert.equal(db.identity, undefined);
  server.admit({ role: 'user', iss: 'i', sub: 'ada' });
  assert.deepEqual(db.identity, { role: 'user', iss: 'i', sub: 'ada' });
  assert.ok(Object.isFrozen(db.identity));
  assert.equal(told[0], 'ada');
});

test('a role that everybody has is known without a token, and is none that a token has', () => {
  db = server.connect();
  server.say({ type: 'welcome', epoch: 'e1', seq: 10, role: 'guest' });
  assert.deepEqual([db.state.name, db.identity], ['live', { role: 'guest' }]);
  db.authenticate(ADA);
  server.open();
  server.say({ type: 'welcome', epoch: 'e1', seq: 10, role: 'guest' });
  assert.deepEqual([db.state.name, db.identity], ['connecting', undefined]);
  server.accept(server.last('AUTH'), undefined, { role: 'user' });
  assert.deepEqual([db.state.name, db.identity], ['live', { role: 'user' }]);
});

test('without a token a server that wants one is heard at once', async () => {
  db = server.connect();
  server.open();
  assert.deepEqual(server.socket.sent.map(({ type }) => type), ['PING']);
  server.refuse(server.last('PING'), 'unauthenticated', { message: 'say who you are' });
  assert.deepEqual([db.state.name, db.state.reason], ['needs-auth', 'say who you are']);
  assert.equal(await code(db.fetch()), 'unauthenticated');
  mock.timers.tick(HOUR);
  assert.equal(server.sockets.length, 1);
});

for (const [what, refuse] of [
  ['an answer', (code) => server.refuse(server.last('AUTH'), code, { message: 'no' })],
  ['a close', (code) => server.cut({ unauthenticated: 4502, forbidden: 4503, token_expired: 4003 }[code], 'no')],
]) {
  for (const refusal of ['unauthenticated', 'forbidden', 'token_expired']) {
    test(`${what} with ${refusal} needs another token, and what waits goes on with it`, async () => {
      db = server.connect({ token: ADA });
      server.admit({ role: 'user' });
      const live = await query([row('a')]);
      server.cut();
      mock.timers.tick(1000);
      server.open();
      refuse(refusal);
      const writing = db.create({ _id: 'b' });
      assert.equal(db.state.name, 'needs-auth');
      assert.match(db.state.reason, /no$/);
      assert.deepEqual(ids(live), ['a', 'b']);
      assert.equal(db.pending, 1);
      mock.timers.tick(HOUR);
      assert.equal(server.sockets.length, 2);
      db.authenticate(ADA_AGAIN);
      assert.equal(db.state.name, 'connecting');
      server.admit({ role: 'user' });
      assert.deepEqual(shown(), [{ token: ADA_AGAIN }]);
      server.accept(server.last('CREATE'), 11, { _id: 'b' });
      assert.deepEqual(await writing, { _id: 'b' });
    });
  }
}

test('a server that lets nobody stay says why', () => {
  db = server.connect({ token: ADA });
  server.admit({ role: 'user' });
  server.say({ type: 'error', success: false, error: { code: 'unauthenticated', message: 'revoked', retryable: false } });
  assert.deepEqual([db.state.name, db.state.reason, server.socket.isClosed], ['needs-auth', 'revoked', true]);
});

test('a function is asked at each connection', async () => {
  const source = connectWith(ADA, ADA_AGAIN);
  await settled();
  server.admit({ role: 'user' });
  assert.deepEqual(shown(), [{ token: ADA }]);
  server.cut();
  await tick(1000);
  server.open();
  assert.deepEqual(shown(), [{ token: ADA_AGAIN }]);
  assert.equal(source.mock.callCount(), 2);
});

test('a function that throws is asked again, and the state says why', async () => {
  const source = connectWith(new Error('signed out'), ADA);
  await settled();
  assert.deepEqual([db.state.name, db.state.reason], ['needs-auth', 'signed out']);
  assert.equal(server.sockets.length, 0);
  await tick(250);
  server.admit({ role: 'user' });
  assert.deepEqual([db.state.name, source.mock.callCount()], ['live', 2]);
});

test('what a function gives that was refused is not shown again', async () => {
  const source = connectWith(ADA, ADA, ADA, ADA_AGAIN);
  await settled();
  server.open();
  server.refuse(server.last('AUTH'), 'unauthenticated');
  for (const wait of [250, 500]) {
    await tick(wait);
    assert.deepEqual([db.state.name, server.sockets.length], ['needs-auth', 1]);
  }
  await tick(1000);
  server.admit({ role: 'user' });
  assert.deepEqual([db.state.name, source.mock.callCount()], ['live', 4]);
});

test('a good token is shown again although the function failed in between', async () => {
  connectWith(ADA, new Error('for a moment'), ADA);
  await settled();
  server.admit({ role: 'user' });
  server.cut();
  await tick(250);
  assert.equal(db.state.name, 'needs-auth');
  await tick(500);
  server.admit({ role: 'user' });
  assert.equal(db.state.name, 'live');
});

test('for a token that has expired another is asked for at once, then less and less often', async () => {
  const source = connectWith(ADA, ADA_AGAIN, tokenOf('ada', 3), tokenOf('ada', 4));
  await settled();
  server.admit({ role: 'user' });
  const names = [];
  db.onState(({ name }) => names.push(name));
  await tick(10_000);
  server.cut(4003, 'token_expired');
  await tick(0);
  assert.deepEqual([source.mock.callCount(), server.sockets.length, names], [2, 2, ['connecting']]);
  server.open();
  server.refuse(server.last('AUTH'), 'token_expired');
  await tick(499);
  assert.equal(source.mock.callCount(), 2);
  await tick(1);
  assert.equal(source.mock.callCount(), 3);
});

test('a token is renewed before it expires, over the connection that is there', async () => {
  const source = connectWith(ADA, ADA_AGAIN);
  await settled();
  server.admit(inAnHour());
  await tick(0.74 * HOUR);
  assert.equal(source.mock.callCount(), 1);
  await tick(0.17 * HOUR);
  assert.deepEqual(shown(), [{ token: ADA }, { token: ADA_AGAIN }]);
  const told = [];
  db.onState(() => told.push(Date.parse(db.identity.expiresAt)));
  server.accept(server.last('AUTH'), undefined, inAnHour());
  assert.deepEqual(told, [Date.now() + HOUR]);
  await tick(0.5 * HOUR);
  assert.deepEqual([server.sockets.length, db.state.name, source.mock.callCount()], [1, 'live', 2]);
});

test('who AUTH has said stays when welcome says the role, and a short token is renewed before it expires', async () => {
  const source = connectWith(ADA, ADA_AGAIN, tokenOf('ada', 3));
  await settled();
  const lasting = (seconds) => new Date(Date.now() + seconds * 1000).toISOString();
  const ada = { role: 'user', iss: 'i', sub: 'ada', expiresAt: lasting(40) };
  server.admit(ada, { role: 'user', expiresAt: ada.expiresAt, access: 'x' });
  assert.deepEqual([db.state.name, db.identity], ['live', ada]);
  await tick(37_000);
  assert.deepEqual([source.mock.callCount(), shown()], [2, [{ token: ADA }, { token: ADA_AGAIN }]]);
  const again = { ...ada, expiresAt: lasting(40) };
  server.accept(server.last('AUTH'), undefined, again);
  server.say({ type: 'welcome', epoch: 'e1', seq: 10, role: 'user', expiresAt: again.expiresAt });
  assert.deepEqual(db.identity, again);
  await tick(37_000);
  assert.deepEqual([source.mock.callCount(), server.sockets.length, db.state.name], [3, 1, 'live']);
});

test('who shows a token by other means is told the role and until when', () => {
  db = server.connect();
  const expiresAt = new Date(HOUR).toISOString();
  server.say({ type: 'welcome', epoch: 'e1', seq: 10, role: 'user', expiresAt, access: 'x' });
  assert.deepEqual([db.state.name, db.identity], ['live', { role: 'user', expiresAt }]);
});

test('clients do not renew their tokens all at once', async () => {
  const asked = [];
  for (const random of [0, 0.999]) {
    mock.method(Math, 'random', () => random);
    const start = Date.now();
    const source = connectWith(ADA, ADA_AGAIN);
    await settled();
    server.admit(inAnHour());
    while (source.mock.callCount() < 2) await tick(HOUR / 200);
    asked.push((Date.now() - start) / HOUR);
    db.close();
  }
  assert.deepEqual(asked, [0.75, 0.9]);
});

test('a token that cannot be renewed yet is renewed later, and one that lasts for years is let be', async () => {
  const source = connectWith(ADA, new Error('away'), ADA, ADA_AGAIN);
  await settled();
  server.admit(inAnHour());
  await tick(HOUR);
  await tick(10_000);
  await tick(10_000);
  assert.equal(source.mock.callCount(), 4);
  assert.deepEqual(shown().at(-1), { token: ADA_AGAIN });
  const expiresAt = new Date(Date.now() + 20_000 * HOUR).toISOString();
  server.accept(server.last('AUTH'), undefined, { role: 'user', expiresAt });
  await tick(HOUR);
  assert.equal(source.mock.callCount(), 4);
});

test('however a clock goes, a token is not asked for all the time', async () => {
  const source = connectWith(ADA, ADA_AGAIN);
  await settled();
  server.admit({ role: 'user', expiresAt: new Date(Date.now() - HOUR).toISOString() });
  await tick(9_999);
  assert.equal(source.mock.callCount(), 1);
  await tick(1);
  assert.equal(source.mock.callCount(), 2);
});

test('a renewal that is refused is said to who comes in anew, and a retryable one is tried again', async () => {
  connectWith(ADA, ADA_AGAIN, tokenOf('ada', 3));
  await settled();
  server.admit(inAnHour());
  await tick(0.9 * HOUR);
  server.refuse(server.last('AUTH'), 'unavailable', { retryable: true });
  assert.equal(db.state.name, 'live');
  await tick(0.1 * HOUR);
  assert.equal(shown().length, 3);
  server.refuse(server.last('AUTH'), 'forbidden', { message: 'not yours' });
  assert.deepEqual([db.state.name, db.state.reason], ['connecting', 'not yours']);
});

test('an application renews a token by giving another of the same subject', () => {
  db = server.connect({ token: ADA });
  server.admit({ role: 'user' });
  db.authenticate(ADA_AGAIN);
  assert.deepEqual([server.sockets.length, shown()], [1, [{ token: ADA }, { token: ADA_AGAIN }]]);
  db.authenticate(ADA_AGAIN, { role: 'admin' });
  server.open();
  assert.deepEqual([server.sockets.length, shown()], [2, [{ token: ADA_AGAIN, role: 'admin' }]]);
});

test('rows of one are gone before another is there, and writes of one are never sent by another', async () => {
  db = server.connect({ token: ADA });
  server.admit({ role: 'user' });
  const live = await query([row('a')]);
  server.cut();
  const writing = db.create({ _id: 'draft' });
  assert.deepEqual(ids(live), ['a', 'draft']);
  db.authenticate(BOB);
  assert.deepEqual([ids(live), live.ready, db.pending, db.identity], [[], false, 0, undefined]);
  assert.equal(await code(writing), 'signed_out');
  server.admit({ role: 'user' });
  assert.deepEqual(server.sent('CREATE'), []);
  assert.deepEqual([server.last('SUBSCRIBE').payload.after, server.last('SUBSCRIBE').payload.snapshot], [undefined, true]);
  server.snapshot(12, [row('b')]);
  await settled();
  assert.deepEqual([ids(live), live.ready], [['b'], true]);
});

test('an API key is known by its id, whoever renewed it', () => {
  db = server.connect({ token: 'lk_ops_1_aa' });
  leave(db.create({ _id: 'draft' }));
  db.authenticate('lk_ops_1_bb');
  assert.equal(db.pending, 1);
  db.authenticate('lk_ops_2_bb');
  assert.equal(db.pending, 0);
  leave(db.create({ _id: 'draft' }));
  db.authenticate();
  assert.equal(db.pending, 0);
});

test('a function may say that nobody is there after it had failed', async () => {
  connectWith(new Error('for a moment'), undefined);
  await settled();
  await tick(250);
  server.welcome(10);
  assert.equal(db.state.name, 'live');
});

test('what the application makes of a conflict of one is not sent by another', async () => {
  let decide;
  db = server.connect({ token: ADA, onConflict: () => new Promise((resolve) => void (decide = resolve)) });
  server.admit({ role: 'user' });
  leave(db.update('a', { n: 1 }, { expectedVersion: 1 }));
  server.refuse(server.last('UPDATE'), 'version_conflict', { details: { current: {} } });
  await settled();
  db.authenticate(BOB);
  server.admit({ role: 'user' });
  decide({ id: 'a', updateData: { n: 2 } });
  await settled();
  assert.deepEqual([server.sent('UPDATE'), db.pending], [[], 0]);
});

test('who signs out is nobody, and sees nothing that was shown', async () => {
  db = server.connect({ token: ADA });
  server.admit({ role: 'user' });
  const live = await query([row('a')]);
  db.authenticate();
  assert.deepEqual(ids(live), []);
  server.open();
  assert.deepEqual(shown(), []);
});

test('a function that gives the token of somebody else brings them in anew', async () => {
  connectWith(ADA, BOB);
  await settled();
  server.admit(inAnHour());
  const live = await query([row('a')]);
  await tick(0.9 * HOUR);
  await tick(1000);
  assert.deepEqual(ids(live), []);
  server.open();
  assert.deepEqual([server.sockets.length, shown()], [2, [{ token: BOB }]]);
});

test('where something else may be seen than before, a snapshot takes the place of the rows at one stroke', async () => {
  db = server.connect({ token: ADA });
  server.admit({ role: 'user' }, { access: 'x' });
  const live = await query([row('a'), row('b')]);
  const changes = [];
  db.onChange({}, ({ kind, reason }) => changes.push([kind, reason]));
  server.accept(server.last('SUBSCRIBE'), 10);
  for (const [access, after] of [['x', 10], ['y', undefined]]) {
    server.cut();
    mock.timers.tick(1000);
    server.admit({ role: 'user' }, { access });
    const [subscribe] = server.sent('SUBSCRIBE');
    assert.equal(subscribe.payload.after, after);
  }
  assert.deepEqual(ids(live), ['a', 'b']);
  const { sub } = server.sent('SUBSCRIBE')[0].payload;
  server.say({ type: 'snapshot', sub, seq: 10, data: [row('b')] }, { type: 'live', sub, seq: 10 });
  await settled();
  assert.deepEqual([ids(live), changes], [['b'], [['reset', 'access_changed']]]);
});

test('that somebody else is there is one reset of changes, also where they see something else', async () => {
  db = server.connect({ token: ADA });
  server.admit({ role: 'user' }, { access: 'x' });
  const changes = [];
  db.onChange({}, ({ kind, reason }) => changes.push([kind, reason]));
  server.accept(server.last('SUBSCRIBE'), 10);
  db.authenticate(BOB);
  server.admit({ role: 'user' }, { access: 'y' });
  await settled();
  assert.deepEqual(changes, [['reset', 'access_changed']]);
});

test('a server that does not say what is seen is asked anew with each token, if it has roles', async () => {
  for (const [data, after] of [[{ role: 'user' }, undefined], [{}, 10]]) {
    connectWith(ADA, ADA_AGAIN);
    await settled();
    server.admit(data);
    await query([row('a')]);
    server.cut();
    await tick(1000);
    server.admit(data);
    assert.equal(server.last('SUBSCRIBE').payload.after, after);
    db.close();
  }
});

test('a reset because of other rights swaps in a new snapshot', async () => {
  db = server.connect({ token: ADA });
  server.admit({ role: 'user' });
  const live = await query([row('a')]);
  const { sub } = server.last('SUBSCRIBE').payload;
  server.say({ type: 'reset', sub, reason: 'access_changed', seq: 11, earliest: 1 });
  await settled();
  assert.deepEqual(ids(live), ['a']);
  server.say({ type: 'snapshot', sub, seq: 11, data: [row('b')] }, { type: 'live', sub, seq: 11 });
  await settled();
  assert.deepEqual(ids(live), ['b']);
});

test('who writes too much waits as long as the server says, also over another connection', async () => {
  db = server.connect();
  server.welcome(10);
  leave(db.update('a', { n: 1 }));
  leave(db.update('b', { n: 1 }));
  const limited = { retryable: true, retryAfterMs: 5000 };
  for (const write of server.sent('UPDATE')) server.refuse(write, 'rate_limited', limited);
  await tick(4000);
  assert.equal(server.sent('UPDATE').length, 2);
  server.cut();
  await tick(500);
  server.welcome(10);
  await tick(499);
  assert.equal(server.sent('UPDATE').length, 0);
  await tick(1);
  assert.deepEqual(server.sent('UPDATE').map(({ payload }) => payload.id), ['a', 'b']);
});

test('who comes in or subscribes too often waits as long as the server says', async () => {
  db = server.connect({ token: ADA });
  server.open();
  const limited = { retryable: true, retryAfterMs: 5000 };
  server.refuse(server.last('AUTH'), 'rate_limited', limited);
  await tick(4999);
  assert.deepEqual([server.sockets.length, db.state.name], [1, 'connecting']);
  await tick(1);
  server.admit({ role: 'user' });
  db.query();
  server.refuse(server.last('SUBSCRIBE'), 'rate_limited', limited);
  await tick(4999);
  assert.equal(server.sent('SUBSCRIBE').length, 1);
  await tick(1);
  assert.equal(server.sent('SUBSCRIBE').length, 2);
});

test('a limit that a read meets is told, with how long to wait', async () => {
  db = server.connect();
  server.welcome(10);
  const reading = db.fetch();
  await settled();
  server.refuse(server.last('FETCH'), 'rate_limited', { retryable: true, retryAfterMs: 700 });
  await assert.rejects(reading, { code: 'rate_limited', retryable: true, retryAfterMs: 700 });
});

test('histories are asked for with the token that the connection has, and with the role', async () => {
  const asked = [];
  const fetch = async (_, { headers }) => {
    asked.push(headers);
    return new Response('{"data":[],"seq":1}');
  };
  const source = mock.fn(async () => ADA);
  db = server.connect({ token: source, role: 'editor', fetch });
  await settled();
  server.admit({ role: 'editor' });
  await db.history('a');
  assert.deepEqual(asked, [{ authorization: `Bearer ${ADA}`, 'livelog-role': 'editor' }]);
  assert.equal(source.mock.callCount(), 1);
  db.authenticate();
  await db.history('a');
  assert.deepEqual(asked[1], {});
});

test('a woken page does not ask for a token while it waits for one', async () => {
  const page = new EventTarget();
  globalThis.addEventListener = page.addEventListener.bind(page);
  let give;
  const source = mock.fn(() => new Promise((resolve) => (give = resolve)));
  db = server.connect({ token: source });
  delete globalThis.addEventListener;
  page.dispatchEvent(new Event('pageshow'));
  page.dispatchEvent(new Event('online'));
  assert.equal(source.mock.callCount(), 1);
  give(ADA);
  await settled();
  server.admit({ role: 'user' });
  assert.equal(db.state.name, 'live');
});

test('no state of before is told once another token was given', () => {
  db = server.connect();
  server.open();
  server.refuse(server.last('PING'), 'unauthenticated');
  const told = [];
  db.onState(({ name }) => told.push(name));
  db.authenticate(ADA);
  assert.deepEqual([...new Set(told)], ['connecting']);
});

test('what is no token is said at once', async () => {
  assert.throws(() => (db = server.connect({ token: 7 })), { code: 'invalid_option', path: 'token' });
  db = server.connect();
  assert.throws(() => db.authenticate(7), { code: 'invalid_option', path: 'token' });
  assert.throws(() => db.authenticate(ADA, { rôle: 'x' }), { code: 'invalid_option', path: 'rôle' });
  db.close();
  connectWith(7);
  await settled();
  assert.deepEqual([db.state.name, db.state.reason], ['needs-auth', 'the token is no text']);
  for (const given of ['<!doctype html><title>401</title>', '{"error": "signed out"}', 'a\nb', '']) {
    db.close();
    server = new FakeServer();
    connectWith(given);
    await settled();
    assert.deepEqual([db.state.name, db.state.reason], ['needs-auth', 'what came as the token is none']);
    assert.deepEqual(server.sockets, []);
  }
});
