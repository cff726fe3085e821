// What an unmodified socket.io-client finds at livelog: `node facts.js FACT URL TRANSPORT`, where TRANSPORT is `default`
// (polling first, then a WebSocket), `websocket` or `polling`. A fact that does not hold ends with a stack and status 1.

import assert from 'node:assert/strict';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';

const DEADLINE_MS = 30_000;

const [fact, url, transport] = process.argv.slice(2);
const OPTIONS = transport === 'default' ? {} : { transports: [transport] };

/** A socket that keeps what it heard, in order. */
function open(/** @type {object} */ options = {}, at = url) {
  const socket = io(at, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...OPTIONS, ...options });
  /** @type {{ name: string, body: any }[]} */
  const heard = [];
  socket.onAny((name, body) => heard.push({ name, body }));
  return Object.assign(socket, { heard });
}

/** @typedef {ReturnType<typeof open>} Tab */

/** Waits until this is true of what was heard, or is known. */
async function until(/** @type {string} */ what, /** @type {() => any} */ check, deadline = DEADLINE_MS) {
  const end = Date.now() + deadline;
  for (;;) {
    const found = check();
    if (found) return found;
    assert.ok(Date.now() < end, `${what} did not come within ${deadline} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function bodies(/** @type {Tab} */ tab, /** @type {string} */ name) {
  return tab.heard.filter((one) => one.name === name).map(({ body }) => body);
}

function ask(/** @type {Tab} */ tab, /** @type {string} */ name, /** @type {any[]} */ ...message) {
  return tab.timeout(DEADLINE_MS).emitWithAck(name, ...message);
}

async function connected(/** @type {Tab[]} */ ...tabs) {
  await until('a connection', () => tabs.every((tab) => tab.connected));
  if (transport !== 'default') return;
  await until('the upgrade', () => tabs.every((tab) => tab.io.engine.transport.name === 'websocket'));
}

/** Seqs that follow each other from the first to the last. */
function assertNoGap(/** @type {any[]} */ changes, /** @type {number} */ first, /** @type {number} */ last) {
  const seqs = changes.map(({ seq }) => seq);
  assert.deepEqual(seqs, Array.from({ length: last - first + 1 }, (_, n) => first + n));
}

const facts = {
  /** Every request, as a message and as its payload alone; answered by an event, and by the acknowledgement if there is one. */
  async answers() {
    const tab = open();
    await connected(tab);
    const answers = () => tab.heard.filter(({ name }) => ['response', 'error'].includes(name)).map(({ body }) => body);
    const step = async (/** @type {string} */ name, /** @type {any} */ message) => {
      const answer = await ask(tab, name, message);
      assert.deepEqual(answers().at(-1), answer, name);
      assert.equal(answer.request, name);
      return answer;
    };
    const { data: created } = await step('CREATE', { field1: 'a' });
    assert.equal(created.field1, 'a');
    const id = created._id;
    const { data: updated } = await step('UPDATE', { type: 'UPDATE', payload: { id, updateData: { field1: 'b' } } });
    assert.equal(updated._version, 2);
    const { data: restored } = await step('RESTORE', { id, version: 1 });
    assert.equal(restored.field1, 'a');
    const commands = [{ type: 'CREATE', payload: { n: 1 } }, { type: 'CREATE', payload: { n: 2 } }];
    const { data: batch } = await step('BATCH', { type: 'BATCH', commandId: 'batch', payload: { commands } });
    assert.equal(batch.length, 2);
    const again = await step('BATCH', { type: 'BATCH', commandId: 'batch', payload: { commands } });
    assert.equal(again.duplicate, true);
    assert.deepEqual(again.data, batch);
    const { data: found } = await step('FETCH', { filter: { n: { $gt: 1 } } });
    assert.equal(found.length, 1);
    assert.deepEqual((await step('BROADCAST', { message: 'hi' })).data, { message: 'hi' });
    await until('the broadcast', () => bodies(tab, 'broadcast').length === 1);
    assert.deepEqual(bodies(tab, 'broadcast'), [{ message: 'hi' }]);
    const { data: deleted } = await step('DELETE', { id });
    assert.equal(deleted._id, id);
    const refused = await step('DELETE', { id });
    assert.equal(refused.success, false);
    assert.equal(refused.error.code, 'not_found');
    assert.equal(refused.message, refused.error.message);
    // Without acknowledgements, all at once: answered in the order of the requests.
    const before = answers().length;
    for (let n = 0; n < 200; n += 1) tab.emit('CREATE', { type: 'CREATE', id: n, payload: { many: n } });
    await until('200 answers', () => answers().length === before + 200);
    assert.deepEqual(bodies(tab, 'response').slice(-200).map(({ id }) => id), Array.from({ length: 200 }, (_, n) => n));
    const { data: all } = await step('FETCH', { filter: { many: { $exists: true } }, limit: 1000 });
    assert.equal(all.length, 200);
    tab.close();
  },

  /** What livelog does not have is refused by name, and the connection goes on. */
  async refusals() {
    const tab = open();
    await connected(tab);
    const code = async (/** @type {any[]} */ ...message) => (await ask(tab, ...message)).error.code;
    assert.equal(await code('join', 'a room'), 'unknown_type');
    assert.equal(await code('PING'), 'unknown_type');
    assert.equal(await code('CREATE', { file: Buffer.from('binary') }), 'binary_frame');
    assert.equal(await code('BROADCAST', [Buffer.from('a'), Buffer.from('b')]), 'binary_frame');
    assert.equal(await code('CREATE', { type: 'CREATE', field1: 'not in the payload' }), 'bad_request');
    assert.equal(await code('CREATE', []), 'bad_request');
    assert.equal((await ask(tab, 'CREATE', { fine: true })).success, true);
    // As many answers as questions: the attachments were not taken for messages of their own.
    assert.equal(bodies(tab, 'error').length, 6);
    const admin = tab.io.socket('/admin');
    admin.connect();
    const error = await new Promise((resolve) => admin.once('connect_error', resolve));
    assert.equal(error.data.code, 'not_found');
    const wrong = open({ auth: { after: 'yesterday' } });
    const refused = await new Promise((resolve) => wrong.once('connect_error', resolve));
    assert.equal(refused.data.path, 'auth.after');
    assert.equal((await ask(tab, 'FETCH')).success, true);
    tab.close();
    wrong.close();
  },

  /** Several tabs, all of which write: each hears every change, in order, and its own answers alone. */
  async tabs() {
    const tabs = Array.from({ length: 5 }, () => open());
    await connected(...tabs);
    const first = 1 + Math.max(...tabs.map((tab) => bodies(tab, 'welcome')[0].seq));
    await Promise.all(tabs.flatMap((tab, number) => Array.from({ length: 40 }, async (_, n) => {
      const { data } = await ask(tab, 'CREATE', { number, n });
      assert.deepEqual([data.number, data.n], [number, n]);
    })));
    for (const tab of tabs) {
      await until('every change', () => bodies(tab, 'change').length === 200);
      assertNoGap(bodies(tab, 'change'), first, first + 199);
      assert.equal(bodies(tab, 'response').length, 40);
    }
    await ask(tabs[0], 'BROADCAST', { message: 'Hello everyone!' });
    for (const tab of tabs) await until('the broadcast', () => bodies(tab, 'broadcast').length === 1);
    // One that leaves and comes back is a new session.
    tabs[0].disconnect();
    tabs[0].connect();
    await connected(tabs[0]);
    assert.equal((await ask(tabs[0], 'FETCH')).data.length, 100);
    tabs.forEach((tab) => tab.close());
  },

  /** `auth` says from where changes are heard, or that none are wanted. */
  async positions() {
    const writer = open({ auth: { changes: 'none' } });
    await connected(writer);
    const { epoch, seq } = bodies(writer, 'welcome')[0];
    for (let n = 0; n < 3; n += 1) await ask(writer, 'CREATE', { n });
    const resumed = open({ auth: { after: seq, epoch } });
    await until('what was missed', () => bodies(resumed, 'change').length === 3);
    assertNoGap(bodies(resumed, 'change'), seq + 1, seq + 3);
    const foreign = open({ auth: { after: seq, epoch: '00000000-0000-4000-8000-000000000000' } });
    await until('the reset', () => bodies(foreign, 'reset').length === 1);
    await ask(foreign, 'BROADCAST', 'after everything');
    await until('the broadcast', () => bodies(writer, 'broadcast').length === 1);
    assert.deepEqual(bodies(writer, 'change'), []);
    const { seq: at } = await ask(resumed, 'SUBSCRIBE', { sub: 's', filter: { n: 1 }, snapshot: true });
    await until('the subscription', () => bodies(resumed, 'live').some(({ sub }) => sub === 's'));
    assert.equal(bodies(resumed, 'snapshot')[0].data.length, 1);
    assert.ok(at >= seq + 3);
    for (const tab of [writer, resumed, foreign]) tab.close();
  },

  /** A large answer comes whole, and a message that is too large is refused without harm to the next. */
  async sizes() {
    const tab = open();
    await connected(tab);
    const text = 'x'.repeat(200_000);
    for (let n = 0; n < 20; n += 1) await ask(tab, 'CREATE', { text, n });
    const { data } = await ask(tab, 'FETCH', { filter: { text } });
    assert.equal(data.length, 20);
    assert.ok(data.every((event) => event.text === text));
    const lost = new Promise((resolve) => tab.once('disconnect', resolve));
    const large = ask(tab, 'CREATE', { text: 'x'.repeat(300_000) });
    if (tab.io.engine.transport.name === 'websocket') {
      assert.equal((await large).error.code, 'message_too_large');
      tab.emit('CREATE', { text: 'x'.repeat(600_000) });
    } else {
      large.catch(() => {});
    }
    await lost;
    await connected(tab);
    assert.equal((await ask(tab, 'FETCH', { limit: 1000 })).data.length, 20);
    tab.close();
  },

  /** The server is killed under its clients again and again: who names its position misses nothing. */
  async kills() {
    let port = new URL(url).port;
    const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
    // A fixed address before a server that comes back elsewhere.
    const proxy = net.createServer((client) => {
      const server = net.connect(Number(port), '127.0.0.1');
      for (const [from, to] of [[client, server], [server, client]]) {
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
        from.pipe(to);
      }
    });
    await new Promise((resolve) => proxy.listen(0, '127.0.0.1', () => resolve(undefined)));
    const at = `http://127.0.0.1:${/** @type {any} */ (proxy.address()).port}`;
    /** @type {{ after?: number, epoch?: string }} */
    const position = {};
    const reader = open({ auth: (/** @type {any} */ give) => give(position) }, at);
    reader.on('welcome', ({ epoch, seq }) => {
      position.epoch = epoch;
      position.after ??= seq;
    });
    reader.on('change', ({ seq }) => (position.after = seq));
    const writer = open({ auth: { changes: 'none' } }, at);
    await connected(reader, writer);
    let wrote = 0;
    const write = async () => {
      const message = { type: 'CREATE', commandId: `write-${wrote}`, payload: { n: wrote } };
      wrote += 1;
      for (;;) {
        const answer = await writer.timeout(1000).emitWithAck('CREATE', message).catch(() => undefined);
        if (answer?.success) return;
      }
    };
    for (let round = 0; round < 3; round += 1) {
      for (let n = 0; n < 10; n += 1) await write();
      const writing = Array.from({ length: 20 }, write);
      console.log('kill');
      port = (await lines.next()).value;
      await Promise.all(writing);
    }
    await until('every change', () => bodies(reader, 'change').length >= wrote);
    assertNoGap(bodies(reader, 'change'), 1, wrote);
    assert.equal(bodies(reader, 'reset').length, 0);
    reader.close();
    writer.close();
    proxy.close();
    process.exit(0);
  },

  /** The server stops in good order: what it has taken is answered, and its clients know that it is gone. */
  async stop() {
    const tab = open();
    await connected(tab);
    const asked = Array.from({ length: 20 }, (_, n) => ask(tab, 'CREATE', { n }));
    await Promise.all(asked);
    const lost = new Promise((resolve) => tab.once('disconnect', resolve));
    console.log('stop');
    await lost;
    tab.close();
  },
};

await facts[/** @type {keyof typeof facts} */ (fact)]();
