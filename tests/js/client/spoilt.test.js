import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { begun, ended, settled } from './fake_server.js';

let server;
let db;

beforeEach(() => void ({ server, db } = begun()));

afterEach(() => ended(db));

const wait = () => mock.timers.tick(60_000);
const row = (_id, fields) => ({ _id, _version: 1, ...fields });
const ids = (query) => query.get().map(({ _id }) => _id);

/** What a server, or something between, may make of the frames of a subscription with one row. */
const SPOILT = {
  'a snapshot without rows': (sub) => [{ type: 'snapshot', sub, seq: 10 }],
  'a snapshot of something else': (sub) => [{ type: 'snapshot', sub, seq: 10, data: [null] }],
  'a row without an id': (sub) => [{ type: 'snapshot', sub, seq: 10, data: [row('b'), {}] }],
  'a mark without a seq': (sub) => [{ type: 'live', sub }],
  'a seq that is none': (sub) => [{ type: 'live', sub, seq: '10' }],
  'a seq beyond all counting': () => [{ type: 'pong', seq: 1e300 }],
  'an error without a code': (sub) => [{ type: 'error', sub, error: 'boom' }],
  'a change without its row': (sub) => [
    { type: 'live', sub, seq: 10 },
    { type: 'change', sub, seq: 11, kind: 'create', eventId: 'b' },
  ],
  'a change with another row': (sub) => [
    { type: 'live', sub, seq: 10 },
    { type: 'change', sub, seq: 11, kind: 'update', eventId: 'b', data: row('c') },
  ],
};

for (const [name, frames] of Object.entries(SPOILT)) {
  test(`${name} costs the connection, and the next one makes it good`, async () => {
    const query = db.query();
    const subscribe = server.last('SUBSCRIBE');
    server.accept(subscribe, 10);
    server.say(...frames(subscribe.payload.sub));
    await settled();
    assert.match(db.state.reason, /^no livelog answers there/);
    assert.deepEqual(ids(query), []);
    wait();
    server.welcome(11);
    const { after } = server.last('SUBSCRIBE').payload;
    if (after === undefined) server.snapshot(11, [row('b')]);
    else server.change(after + 1, 'create', row('b'));
    await settled();
    assert.deepEqual([after ?? 10, query.error, ids(query)], [10, undefined, ['b']]);
  });
}
