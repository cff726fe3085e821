// A socket of an unmodified socket.io-client, with what it heard kept until it is asked for.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';

/** Longer than a busy machine needs for anything here; a test that passes never waits this long. */
export const DEADLINE_MS = 30_000;

/** @typedef {{ event: string, body: any }} Heard */

export class Client {
  /** @type {Heard[]} */
  #heard = [];
  /** @type {{ wanted: (heard: Heard) => boolean, resolve: (body: any) => void }[]} */
  #waiting = [];

  /**
   * @param {string} url
   * @param {object} options of socket.io-client
   */
  constructor(url, options) {
    // What is waited for here is a restart, which need not take longer than the server does.
    this.socket = io(url, { forceNew: true, reconnectionDelayMax: 500, ...options });
    this.socket.onAny((event, body) => this.#hear({ event, body }));
  }

  /** @param {Heard} heard */
  #hear(heard) {
    const index = this.#waiting.findIndex(({ wanted }) => wanted(heard));
    if (index < 0) return void this.#heard.push(heard);
    const [{ resolve }] = this.#waiting.splice(index, 1);
    resolve(heard.body);
  }

  /**
   * The first message that is wanted and was not given out before.
   *
   * @param {string} what named when it does not come
   * @param {(heard: Heard) => boolean} wanted
   * @returns {Promise<any>}
   */
  next(what, wanted, deadline = DEADLINE_MS) {
    const index = this.#heard.findIndex(wanted);
    if (index >= 0) return Promise.resolve(this.#heard.splice(index, 1)[0].body);
    return within(deadline, what, (resolve) => this.#waiting.push({ wanted, resolve }));
  }

  /** How many messages of this kind were heard and not asked for. */
  left(/** @type {string} */ event) {
    return this.#heard.filter((heard) => heard.event === event).length;
  }

  /** Waits for the connection, or for the next if it was lost. */
  async connected() {
    if (!this.socket.connected) {
      await within(DEADLINE_MS, 'a connection', (resolve) => this.socket.once('connect', resolve));
    }
  }

  async disconnected() {
    if (this.socket.connected) {
      await within(DEADLINE_MS, 'the connection’s end', (resolve) => this.socket.once('disconnect', resolve));
    }
  }

  /** The transport it uses now: `polling` or `websocket`. */
  get transport() {
    return this.socket.io.engine.transport.name;
  }

  /** Waits until it speaks WebSocket, which a client that began by polling changes to. */
  async upgraded() {
    const engine = this.socket.io.engine;
    while (this.transport !== 'websocket') {
      await within(DEADLINE_MS, 'an upgrade', (resolve) => engine.once('upgrade', resolve));
    }
  }

  /** The answer to a request, by its event alone. */
  async ask(/** @type {string} */ request, /** @type {unknown[]} */ ...message) {
    this.socket.emit(request, ...message);
    return this.answer(request);
  }

  /** The answer to a request by an acknowledgement, which has to be the same as the event. */
  async askWithAck(/** @type {string} */ request, /** @type {unknown[]} */ ...message) {
    const acknowledged = await this.socket.timeout(DEADLINE_MS).emitWithAck(request, ...message);
    assert.deepEqual(await this.answer(request), acknowledged);
    return acknowledged;
  }

  /** The next `response` or `error` for such a request, which has to be the one that its `success` says. */
  async answer(/** @type {string} */ request) {
    const isAnswer = ({ event, body }) => ['response', 'error'].includes(event) && body.request === request;
    let name = '';
    const body = await this.next(`an answer to ${request}`, (heard) => isAnswer(heard) && ((name = heard.event), true));
    assert.equal(body.success, name === 'response', `${name}: ${JSON.stringify(body)}`);
    return body;
  }

  change(/** @type {string} */ id, /** @type {string} */ kind) {
    return this.next(`a ${kind} of ${id}`, ({ event, body }) =>
      event === 'change' && body.eventId === id && body.kind === kind);
  }

  close() {
    this.socket.close();
  }
}

/**
 * @param {number} deadline in milliseconds
 * @param {string} what
 * @param {(resolve: (value: any) => void) => void} begin
 */
export function within(deadline, what, begin) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what} did not come within ${deadline} ms`)), deadline);
    begin((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}
