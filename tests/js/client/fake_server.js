// A server that says only what a test has it say, to reach moments that a real one passes in a millisecond.

import { mock } from 'node:test';
import { connect } from '../../../src/clients/js/livelog.js';

/** Lets promises and microtasks run that wait for nothing else. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A server that has said welcome, and its client, on a clock that the test turns. To be `ended` after it. */
export function begun() {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  // Nothing takes time, or on a busy machine what is told would wait for a timer.
  mock.method(performance, 'now', () => 0);
  const server = new FakeServer();
  const db = server.connect();
  server.welcome(10);
  return { server, db };
}

/** Ends a client that was `begun`, and its clock. */
export function ended(db) {
  db.close();
  mock.timers.reset();
  mock.restoreAll();
}

export class FakeServer {
  sockets = [];
  epoch = 'e1';
  isAwake = true;

  WebSocket = ((server) =>
    class {
      constructor(url) {
        this.url = url;
        this.sent = [];
        server.sockets.push(this);
      }
      send(text) {
        const message = JSON.parse(text);
        this.sent.push(message);
        if (message.type === 'PING' && server.isAwake) this.onmessage({ data: '{"type":"pong","seq":0}' });
      }
      close() {
        this.isClosed = true;
      }
    })(this);

  /** The client's newest connection. */
  get socket() {
    return this.sockets.at(-1);
  }

  connect(options) {
    return connect('http://fake', { WebSocket: this.WebSocket, ...options });
  }

  say(...frames) {
    for (const frame of frames) this.socket.onmessage({ data: JSON.stringify(frame) });
  }

  welcome(seq = 0) {
    this.say({ type: 'welcome', epoch: this.epoch, seq, session: 's' });
  }

  /** The newest connection is open: the client says who it is. */
  open() {
    this.socket.onopen();
  }

  /** Opens it, answers its AUTH, and says welcome. */
  admit(data, welcome = {}) {
    this.open();
    this.accept(this.last('AUTH'), undefined, data);
    this.say({ type: 'welcome', epoch: this.epoch, seq: 10, session: 's', ...welcome });
  }

  cut(code = 1006, reason = '') {
    this.socket.onclose({ code, reason });
  }

  /** What the newest connection was sent of a type. */
  sent(type) {
    return this.socket.sent.filter((message) => message.type === type);
  }

  /** The last of them. */
  last(type) {
    return this.sent(type).at(-1);
  }

  accept({ id, type }, seq, data, more = {}) {
    this.say({ type: 'response', id, request: type, success: true, seq, data, ...more });
  }

  refuse({ id, type }, code, more = {}) {
    const error = { code, message: code, retryable: false, ...more };
    this.say({ type: 'error', id, request: type, success: false, error });
  }

  /** Answers the last SUBSCRIBE with these rows. */
  snapshot(seq, rows) {
    const subscribe = this.last('SUBSCRIBE');
    const { sub } = subscribe.payload;
    this.accept(subscribe, seq, { sub });
    this.say({ type: 'snapshot', sub, seq, data: rows, more: false }, { type: 'live', sub, seq });
  }

  change(seq, kind, data, more = {}) {
    const { sub } = this.last('SUBSCRIBE').payload;
    this.say({ type: 'change', sub, seq, kind, eventId: data._id, version: 1, at: '', data, ...more });
  }
}

/** What looks like a token of this subject to who does not verify it. */
export function tokenOf(sub, jti = 1) {
  const claims = JSON.stringify({ iss: 'https://id.example', sub, jti, name: 'Zoë??>' });
  return `e30.${Buffer.from(claims).toString('base64url')}.c2lnbmVk`;
}
