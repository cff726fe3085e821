import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { connect } from '../../../src/clients/js/livelog.js';
import { FakeServer, settled } from './fake_server.js';

let server;
let db;

beforeEach(() => {
  server = new FakeServer();
  db = server.connect();
  server.welcome();
});

afterEach(() => db.close());

const refused = (path, said = '') => (error) => {
  assert.equal(error.name, 'LivelogError', error.stack);
  assert.deepEqual([error.code, error.path, error.retryable], ['invalid_option', path, false]);
  assert.ok(error.message.includes(path) && error.message.includes(said), error.message);
  return true;
};

/** How each call is made with these options. Those of the first list throw, the others reject. */
const THROWING = {
  connect: (options) => server.connect(options),
  query: (options) => db.query(options),
  changes: (options) => db.changes(options),
  onChange: (options) => db.onChange(options, () => {}),
};
const REJECTING = {
  fetch: (options) => db.fetch(options),
  get: (options) => db.get('a', options),
  history: (options) => db.history('a', options),
  create: (options) => db.create({}, options),
  update: (options) => db.update('a', { n: 1 }, options),
  remove: (options) => db.remove('a', options),
  restore: (options) => db.restore('a', 1, options),
  batch: (options) => db.batch([{ type: 'DELETE', payload: { id: 'a' } }], options),
  write: (options) => db.write({ type: 'DELETE', payload: { id: 'a' } }, options),
  'command of write': (more) => db.write({ type: 'DELETE', payload: { id: 'a' }, ...more }),
  'batch.create': (options) => db.batch((batch) => batch.create({}, options)),
  'batch.update': (options) => db.batch((batch) => batch.update('a', { n: 1 }, options)),
  'batch.remove': (options) => db.batch((batch) => batch.remove('a', options)),
  'batch.restore': (options) => db.batch((batch) => batch.restore('a', 1, options)),
};

/** Nothing was opened, asked for, written or shown. */
async function nothingWasDone() {
  await settled();
  assert.equal(server.sockets.length, 1);
  assert.deepEqual(server.socket.sent, []);
  assert.equal(db.pending, 0);
}

for (const name of ['expectedVersoin', 'fliter', 'constructor', '__proto__x', 'persists']) {
  test(`no call takes ${name}`, async () => {
    for (const value of [3, undefined]) {
      for (const call of Object.values(THROWING)) assert.throws(() => call({ [name]: value }), refused(name));
      for (const call of Object.values(REJECTING)) await assert.rejects(call({ [name]: value }), refused(name));
    }
    await nothingWasDone();
  });
}

test('a refusal names what the call takes', async () => {
  await assert.rejects(db.update('a', {}, { expectedVersoin: 3 }), refused('expectedVersoin', 'expectedVersion'));
  assert.throws(() => db.query({ fliter: {} }), refused('fliter', 'filter'));
});

test('options are an object', async () => {
  for (const options of [null, 7, 'all', [], () => {}]) {
    for (const call of Object.values(THROWING)) {
      // `FakeServer` has options of its own.
      const run = call === THROWING.connect ? () => connect('http://fake', options) : () => call(options);
      assert.throws(run, refused('options'));
    }
    const { 'command of write': _, ...others } = REJECTING;
    for (const call of Object.values(others)) await assert.rejects(call(options), refused('options'));
  }
  await assert.rejects(db.write(undefined), { name: /Error/ });
  await nothingWasDone();
});

const ILL_TYPED = {
  filter: [null, 'a', 7, [], () => {}, { owner: undefined }, { $and: [{ n: { $gt: NaN } }] }, { a: () => {} }],
  sort: [null, 'n', ['n'], { n: 'desc' }, { n: 0 }, { n: undefined }, { n: '1' }, { n: true }],
  limit: [null, -1, 1.5, NaN, Infinity, '10'],
  fields: [null, 'title', [1], { title: 1 }],
  optimistic: [null, 0, 'false'],
  cursor: [null, 7],
  at: [null, NaN, -1, new Date()],
  minSeq: [null, '7', -1],
  after: [null, '7'],
  epoch: [null, 7],
  order: [null, 1, -1, 'newst'],
  commandId: [null, 7],
  expectedVersion: [null, '3', NaN],
  merge: [null, 'yes', 1],
  persist: [null, 'disk', true],
  name: [null, 7],
  token: [null, 7],
  WebSocket: [null, 'ws'],
  fetch: [null, {}],
  onConflict: [null, 'retry'],
  onLost: [null, true],
};

/** What each call takes, in the words of the manual. */
const TAKEN = {
  connect: ['token', 'persist', 'name', 'WebSocket', 'fetch', 'onConflict', 'onLost'],
  query: ['filter', 'sort', 'limit', 'fields', 'optimistic'],
  changes: ['filter', 'fields', 'after', 'epoch'],
  onChange: ['filter', 'fields', 'after', 'epoch'],
  fetch: ['filter', 'sort', 'limit', 'cursor', 'fields', 'at', 'minSeq'],
  get: ['at', 'fields', 'minSeq'],
  history: ['order', 'after', 'limit', 'fields', 'minSeq'],
  create: ['commandId', 'optimistic'],
  batch: ['commandId', 'optimistic'],
  update: ['commandId', 'expectedVersion', 'optimistic', 'merge'],
  remove: ['commandId', 'expectedVersion', 'optimistic'],
  restore: ['commandId', 'expectedVersion', 'optimistic'],
  write: ['commandId', 'expectedVersion', 'optimistic'],
  'command of write': [],
  'batch.create': [],
  'batch.update': ['expectedVersion', 'merge'],
  'batch.remove': ['expectedVersion'],
  'batch.restore': ['expectedVersion'],
};

for (const [call, names] of Object.entries(TAKEN)) {
  test(`${call} takes what the manual says, and of no other kind`, async () => {
    for (const [name, values] of Object.entries(ILL_TYPED)) {
      // With a name that the call takes it is the kind that is wrong, with any other the name.
      const said = names.includes(name) ? ' is ' : ' takes no ';
      for (const value of values) {
        if (THROWING[call]) assert.throws(() => THROWING[call]({ [name]: value }), refused(name, said), name);
        else await assert.rejects(REJECTING[call]({ [name]: value }), refused(name, said), name);
      }
    }
    await nothingWasDone();
  });
}

test('what is undefined counts as left out, and null may stand in a filter', async () => {
  for (const [call, names] of Object.entries(TAKEN)) {
    if (call === 'connect') continue;
    const options = Object.fromEntries(names.map((name) => [name, undefined]));
    const outcome = THROWING[call] ? THROWING[call](options) : REJECTING[call](options);
    outcome?.catch?.(() => {});
  }
  db.query({ filter: { owner: null, at: { $lt: new Date(0) }, list: [[1, { a: 'null' }]] } });
  assert.equal(server.sent('SUBSCRIBE').length, 4);
});

test('an id that is missing does not mean any event', async () => {
  for (const id of [undefined, null, 7, { $ne: 'x' }]) {
    await assert.rejects(db.get(id), refused('id'));
  }
  await nothingWasDone();
});

test('a condition is refused where it would be lost: in a new event', async () => {
  await assert.rejects(db.create({ _id: 'b' }, { expectedVersion: 3 }), refused('expectedVersion'));
  const command = { type: 'CREATE', payload: { _id: 'b' } };
  await assert.rejects(db.write(command, { expectedVersion: 3 }), refused('expectedVersion'));
  await nothingWasDone();
});

test('connect says what is wrong with an address', () => {
  const bad = ['127.0.0.1:3000', 'localhost:3000', '', '/', 'http://', 'ftp://a', 'http://a?b', 'http://a/#b', null, {}];
  bad.push('http:// a', 'http://%%');
  for (const url of bad) assert.throws(() => connect(url, { WebSocket: server.WebSocket }), refused('url', 'http://'));
  assert.throws(() => connect(), refused('url', 'http://'));
});

test('connect says that there is no IndexedDB, where there is none', async () => {
  assert.equal(globalThis.indexedDB, undefined);
  assert.throws(() => server.connect({ persist: 'indexeddb' }), refused('persist', 'IndexedDB'));
  await nothingWasDone();
});

test('connect says that there is no WebSocket, where there is none', (t) => {
  const { WebSocket } = globalThis;
  t.after(() => (globalThis.WebSocket = WebSocket));
  delete globalThis.WebSocket;
  assert.throws(() => connect('http://fake'), refused('WebSocket'));
});

class Todo {
  title = 'a';
}
const cyclic = {};
cyclic.list = [cyclic];

test('what is no plain object is no event, no data, no command and no options', async () => {
  for (const doc of [undefined, null, 'abc', 7, [1, 2], new Date(), new Map([['a', 1]]), new Set(), new Todo(), () => {}]) {
    await assert.rejects(db.create(doc), refused('payload'));
    await assert.rejects(db.batch((batch) => batch.create(doc)), refused('payload'));
    await assert.rejects(db.write({ type: 'CREATE', payload: doc }), refused('payload'));
  }
  for (const data of [7n, new Map(), new Todo(), Symbol('a'), /a/]) {
    await assert.rejects(db.update('a', data), refused('payload'));
    await assert.rejects(db.update('a', data, { merge: true }), refused('payload'));
  }
  for (const command of [undefined, null, {}, [], new Map(), 'CREATE', { type: 'PING', payload: {} }, { payload: {} }]) {
    await assert.rejects(db.write(command), { name: 'LivelogError', code: 'invalid_option' });
    await assert.rejects(db.batch([command]), { name: 'LivelogError', code: 'invalid_option' });
  }
  for (const list of [undefined, null, {}, 'a', async (batch) => void batch.create({})]) {
    await assert.rejects(db.batch(list), refused('commands'));
  }
  const { connect: _, ...throwing } = THROWING;
  const { 'command of write': __, ...rejecting } = REJECTING;
  for (const options of [new Map([['limit', 1]]), new Todo(), Object.create({ filter: {} })]) {
    for (const call of Object.values(throwing)) assert.throws(() => call(options), refused('options'));
    for (const call of Object.values(rejecting)) await assert.rejects(call(options), refused('options'));
  }
  await nothingWasDone();
});

test('what JSON would lose or change is refused, and the message says where it stands', async () => {
  const bad = [NaN, -Infinity, 1n, Symbol('a'), () => {}, new Map(), new Set(), /a/, Object(7), new Date(NaN), new Todo()];
  for (const value of [...bad, [undefined], cyclic, { toJSON() {} }]) {
    const calls = [
      db.create({ _id: 'a', deep: { value } }),
      db.update('a', { $set: { value } }),
      db.batch([{ type: 'CREATE', payload: { value } }]),
      db.broadcast({ value }),
      db.fetch({ filter: { value } }),
    ];
    const paths = ['payload', 'payload', 'payload', 'payload', 'filter'];
    for (const [at, call] of calls.entries()) await assert.rejects(call, refused(paths[at], 'value'));
    assert.throws(() => db.query({ filter: { value } }), refused('filter', 'filter.value'));
  }
  for (const payload of [undefined, NaN, new Map()]) await assert.rejects(db.broadcast(payload), refused('payload'));
  await nothingWasDone();
});

test('what JSON writes in its own way is written so: dates, toJSON, members that are undefined', () => {
  const doc = { _id: 'a', at: new Date(0), url: new URL('http://a/'), left: undefined, ['__proto__']: 1, null: null };
  db.create(doc).catch(() => {});
  const { payload } = server.last('CREATE');
  assert.equal(JSON.stringify(payload), JSON.stringify(doc));
});

test('a condition of an earlier write stays out of the data that its caller holds', () => {
  const payload = { id: 'a', updateData: { n: 1 } };
  db.write({ type: 'UPDATE', payload }, { expectedVersion: 3 }).catch(() => {});
  assert.equal(server.last('UPDATE').payload.expectedVersion, 3);
  assert.deepEqual(payload, { id: 'a', updateData: { n: 1 } });
});

test('what a caller changes in its options after the call changes nothing', async () => {
  const options = { filter: { n: 1 }, fields: ['n'], sort: { n: 1 } };
  const { filter, fields } = options;
  db.query(options);
  db.changes({ filter, fields });
  Object.assign(filter, { n: 2 });
  fields.push('m');
  options.sort.n = -1;
  server.cut();
  await new Promise((resolve) => setTimeout(resolve, 300));
  server.welcome();
  const asked = server.sent('SUBSCRIBE').map(({ payload }) => [payload.filter, payload.fields]);
  assert.deepEqual(asked, [
    [{ n: 1 }, ['n']],
    [{ n: 1 }, ['n']],
  ]);
});

test('a listener is a function', async () => {
  const query = db.query();
  const { length } = server.socket.sent;
  for (const listener of [undefined, null, {}, 'f']) {
    for (const listen of [db.onState, db.onBroadcast, query.subscribe, query.onBatch, (f) => db.onChange({}, f)]) {
      assert.throws(() => listen(listener), refused('listener'));
    }
  }
  assert.equal(server.socket.sent.length, length);
});
