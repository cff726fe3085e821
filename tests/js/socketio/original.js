// A test of the server that livelog replaces (fixtures/peers), by an unmodified socket.io-client:
//
//   node tests/js/socketio/original.js URL [--restart]
//
// It looks only at what that server says, so any server that says the same, and perhaps more, passes. It prints what
// it heard, a line of JSON for each step, with ids by the order in which they came up and without times: two servers
// that do the same print the same. With `--restart` it says `restart` at the end of each round, and whoever runs it
// then restarts the server at the same address.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Client } from './client.js';

const [url, ...flags] = process.argv.slice(2);
assert.ok(url, 'usage: node original.js URL [--restart]');

const TRANSPORTS = {
  default: {},
  websocket: { transports: ['websocket'] },
  polling: { transports: ['polling'] },
};

/** An id that neither server has given out, in the form of the original's. */
const NOBODY = 'ffffffffffffffffffffffff';

/** What each of the two servers keeps of its own in an event. */
const OWN = new Set(['createdAt', 'updatedAt', '__v', '_createdAt', '_updatedAt', '_version', '_seq']);

/** How a client may ask: by `{type, payload}` or the payload alone, without or with an acknowledgement. */
const MANNERS = [
  { form: 'wrapped', ack: false },
  { form: 'wrapped', ack: true },
  { form: 'bare', ack: false },
  { form: 'bare', ack: true },
];

/** One round of the test: all of it over one kind of transport. */
class Round {
  /** @type {Map<string, string>} */
  #names = new Map();

  constructor(/** @type {keyof typeof TRANSPORTS} */ transport) {
    this.transport = transport;
    // Events of this round alone, whatever else is stored.
    this.run = randomUUID();
  }

  open() {
    return new Client(url, TRANSPORTS[this.transport]);
  }

  say(/** @type {string} */ step, /** @type {unknown} */ result) {
    console.log(JSON.stringify({ transport: this.transport, step, result }));
  }

  /** An event as either server has it. */
  event(/** @type {Record<string, any> | undefined} */ event) {
    if (!event) return event;
    assert.ok(isTime(event.createdAt ?? event._createdAt), JSON.stringify(event));
    assert.ok(isTime(event.updatedAt ?? event._updatedAt), JSON.stringify(event));
    const own = Object.entries(event).filter(([name]) => !OWN.has(name) && name !== 'run');
    const plain = Object.fromEntries(own.sort(([a], [b]) => (a < b ? -1 : 1)));
    return { ...plain, _id: this.name(event._id) };
  }

  name(/** @type {string} */ id) {
    assert.equal(typeof id, 'string');
    if (!this.#names.has(id)) this.#names.set(id, `#${this.#names.size + 1}`);
    return this.#names.get(id);
  }

  /** An answer as either server gives it. */
  answer({ request, success, data, message }) {
    if (!success) {
      assert.ok(typeof message === 'string' && message.length > 0, `a refusal of ${request} says why`);
      return { request, success };
    }
    if (!Array.isArray(data)) return { request, success, data: this.event(data) };
    const ours = data.filter((event) => event.run === this.run);
    return { request, success, data: ours.map((event) => this.event(event)) };
  }

  change({ kind, eventId, data }) {
    return { kind, eventId: this.name(eventId), data: this.event(data) };
  }
}

function isTime(/** @type {unknown} */ text) {
  return typeof text === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/.test(text);
}

/** Asks in a manner: `ask('CREATE', payload)`. */
function asker(/** @type {Client} */ client, /** @type {typeof MANNERS[number]} */ { form, ack }) {
  return (/** @type {string} */ type, /** @type {unknown} */ payload) => {
    const bare = payload === undefined ? [] : [payload];
    const message = form === 'wrapped' ? [{ type, payload }] : bare;
    return ack ? client.askWithAck(type, ...message) : client.ask(type, ...message);
  };
}

/** Writes until a change comes back: a server that has just started may not hear its database yet. */
async function untilChangesCome(/** @type {Client[]} */ ...clients) {
  const ask = asker(clients[0], MANNERS[0]);
  const deadline = Date.now() + 30_000;
  for (;;) {
    const { data } = await ask('CREATE', { field1: 'warm' });
    const isOurs = ({ event, body }) => event === 'change' && body.eventId === data._id;
    const heard = clients.map((client) => client.next('a change', isOurs, 500));
    const outcomes = await Promise.allSettled(heard);
    if (outcomes.every(({ status }) => status === 'fulfilled')) return;
    assert.ok(Date.now() < deadline, 'no change comes back');
  }
}

/** What is stored is found, changed and removed, in every manner of asking. */
async function anEventsLife(/** @type {Round} */ round, /** @type {Client} */ client) {
  for (const manner of MANNERS) {
    const ask = asker(client, manner);
    const step = async (/** @type {string} */ type, /** @type {unknown} */ payload) => {
      const answer = await ask(type, payload);
      assert.ok(answer.success, JSON.stringify(answer));
      round.say(`${manner.form}${manner.ack ? ', ack' : ''}`, round.answer(answer));
      return answer;
    };
    const { run } = round;
    const first = { run, field1: 'a', field2: 'b', n: 1, nested: { list: [1, 'x', null] } };
    const { data: { _id: id } } = await step('CREATE', first);
    await step('CREATE', { run, field1: 'c', n: 5, half: 0.5, yes: true });
    await step('UPDATE', { id, updateData: { field1: 'z', 'nested.deep': 7 } });
    await step('UPDATE', { id, updateData: { $inc: { n: 2 }, $push: { 'nested.list': 'y' }, $unset: { field2: 1 } } });
    await step('FETCH');
    await step('FETCH', { filter: { run, n: { $gt: 3 } } });
    await step('FETCH', { filter: { run }, sort: { n: -1 }, limit: 1 });
    for (const { _id } of (await ask('FETCH', { filter: { run } })).data) await step('DELETE', { id: _id });
    await step('FETCH', { filter: { run } });
  }
}

/** What cannot be done is an `error` that says why, and the socket goes on. */
async function refusals(/** @type {Round} */ round, /** @type {Client} */ client) {
  for (const manner of MANNERS) {
    const ask = asker(client, manner);
    const refused = [
      ['UPDATE', { id: NOBODY, updateData: { field1: 'x' } }],
      ['DELETE', { id: NOBODY }],
      ['UPDATE', { updateData: { field1: 'x' } }],
      ['UPDATE', { id: NOBODY }],
      ['DELETE', {}],
      ['FETCH', { filter: { n: { $nonsense: 1 } } }],
    ];
    for (const [type, payload] of refused) {
      const answer = await ask(type, payload);
      assert.equal(answer.success, false, JSON.stringify(answer));
      round.say('refused', round.answer(answer));
    }
  }
}

/** Both hear what either broadcasts, as it was sent; only the sender is answered. */
async function broadcasts(/** @type {Round} */ round, /** @type {Client} */ one, /** @type {Client} */ other) {
  const nested = { nested: { list: [1, 2.5, null, 'ü'] } };
  const payloads = [{ message: 'Hello everyone!' }, nested, { type: 'note', payload: 1 }];
  for (const manner of MANNERS) {
    const ask = asker(one, manner);
    for (const payload of payloads) {
      const { success, data } = await ask('BROADCAST', payload);
      round.say('broadcast', { success, data });
      for (const client of [one, other]) {
        const heard = await client.next('a broadcast', ({ event }) => event === 'broadcast');
        assert.deepEqual(heard, payload);
      }
    }
  }
  for (const event of ['response', 'error', 'broadcast']) assert.equal(other.left(event), 0, event);
}

/** Both hear of each write, whoever wrote; only the writer is answered. */
async function changes(/** @type {Round} */ round, /** @type {Client} */ one, /** @type {Client} */ other) {
  for (const [writer, step] of /** @type {const} */ ([[one, 'own change'], [other, 'other’s change']])) {
    const ask = asker(writer, MANNERS[0]);
    const both = async (/** @type {string} */ id, /** @type {string} */ kind) => {
      const [first, second] = await Promise.all([one.change(id, kind), other.change(id, kind)]);
      assert.deepEqual(first, second);
      round.say(step, round.change(first));
    };
    const { data: { _id: id } } = await ask('CREATE', { run: round.run, field1: 'shared' });
    await both(id, 'create');
    await ask('UPDATE', { id, updateData: { field2: 'more' } });
    await both(id, 'update');
    await ask('DELETE', { id });
    await both(id, 'delete');
  }
  for (const client of [one, other]) assert.equal(client.left('response'), 0);
}

/** All of a burst is answered and told, whoever asked. */
async function bursts(/** @type {Round} */ round, /** @type {Client} */ one, /** @type {Client} */ other) {
  const asked = [one, other].flatMap((client) => Array.from({ length: 10 }, (_, n) =>
    client.socket.timeout(30_000).emitWithAck('CREATE', { run: round.run, burst: n })));
  const ids = (await Promise.all(asked)).map(({ data }) => data._id);
  for (const client of [one, other]) {
    for (const id of ids) await client.change(id, 'create');
    for (let n = 0; n < 10; n += 1) await client.answer('CREATE');
  }
  for (const id of ids) await one.ask('DELETE', { id });
  round.say('burst', new Set(ids).size);
}

/** The list that needs no socket. */
async function overHttp(/** @type {Round} */ round, /** @type {Client} */ client) {
  const { data: { _id: id } } = await client.ask('CREATE', { run: round.run, field1: 'http' });
  const response = await fetch(`${url}/api/events`);
  assert.equal(response.status, 200);
  const { success, data } = await response.json();
  round.say('GET /api/events', round.answer({ request: 'GET', success, data }));
  await client.ask('DELETE', { id });
}

/** Both come back after a restart by themselves; what was asked meanwhile is answered then; what is stored is there. */
async function aRestart(/** @type {Round} */ round, /** @type {Client} */ one, /** @type {Client} */ other) {
  const { data: { _id: id } } = await one.ask('CREATE', { run: round.run, field1: 'kept' });
  const away = [one.disconnected(), other.disconnected()];
  console.log('restart');
  await Promise.all(away);
  const asked = one.ask('CREATE', { run: round.run, field1: 'asked meanwhile' });
  await Promise.all([one.connected(), other.connected()]);
  round.say('restart', round.answer(await asked));
  round.say('restart', round.answer(await other.ask('FETCH', { filter: { run: round.run }, sort: { field1: 1 } })));
  await untilChangesCome(one, other);
  await one.ask('UPDATE', { id, updateData: { field1: 'after' } });
  for (const client of [one, other]) round.say('restart', round.change(await client.change(id, 'update')));
}

async function run(/** @type {keyof typeof TRANSPORTS} */ transport) {
  const round = new Round(transport);
  const [one, other] = [round.open(), round.open()];
  await Promise.all([one.connected(), other.connected()]);
  if (transport === 'default') await Promise.all([one.upgraded(), other.upgraded()]);
  round.say('connected', [one.transport, other.transport]);
  await untilChangesCome(one, other);
  await anEventsLife(round, one);
  await refusals(round, one);
  await broadcasts(round, one, other);
  await changes(round, one, other);
  await bursts(round, one, other);
  await overHttp(round, other);
  if (flags.includes('--restart')) await aRestart(round, one, other);
  one.close();
  other.close();
}

for (const transport of Object.keys(TRANSPORTS)) await run(transport);
