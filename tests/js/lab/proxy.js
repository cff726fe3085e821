/**
 * A proxy for TCP between clients and one server, that fails on command as networks and servers do: it cuts, stalls,
 * delays, refuses, sends a message twice, swallows an answer, answers itself.
 */
import net from 'node:net';
import { closeFrame, HeadReader, MessageReader, textFrame } from './frames.js';

/** What clients sent is remembered for tests to ask about, this many messages of it. */
const SENT_MAX = 5000;

export class ChaosProxy {
  #server = net.createServer((client) => this.#accept(client));
  #links = new Set();
  #rules = [];
  refusing = false;
  stalled = { up: false, down: false };
  delayMs = 0;
  /** Messages of all clients, parsed. */
  sent = [];
  /** Those that a rule has passed on twice. */
  doubled = [];
  /** Connections ever accepted. */
  accepted = 0;

  /** `port()` says where the server listens now; nothing while it is down. */
  constructor(port) {
    this.target = port;
  }

  async listen() {
    await new Promise((done) => this.#server.listen(0, '127.0.0.1', done));
    this.port = this.#server.address().port;
  }

  /** Ends all connections, as a cable does that is cut. */
  cut() {
    for (const link of this.#links) link.cut();
  }

  /** From now on every connection is accepted and nothing passes: `up` (to the server), `down`, or both. */
  stall(direction = 'both') {
    this.stalled = { up: direction !== 'down', down: direction !== 'up' };
  }

  /** What was held back passes, and the rest too. */
  flow() {
    this.stalled = { up: false, down: false };
    for (const link of this.#links) link.flush();
  }

  /** Connections are closed at once from now on, or not any more. Those that stand go on. */
  refuse(is) {
    this.refusing = is;
  }

  delay(milliseconds) {
    this.delayMs = milliseconds;
  }

  /**
   * What to do with the next message that is like `match`: `{ direction: 'up' | 'down', match, act, times = 1, code }`.
   * `act`: `twice`, `drop`, `cut` (instead of passing it), `cutAfter` (as soon as it has passed), `fail` (the client
   * gets the error `code` instead: up, the server never sees the request; down, the answer is replaced), `late` (after
   * `milliseconds`, when others have overtaken it).
   */
  rule(rule) {
    this.#rules.push({ times: 1, ...rule });
  }

  forget() {
    this.#rules = [];
  }

  /** Closes every WebSocket as a server would. */
  close(code, reason = '') {
    for (const link of this.#links) link.close(code, reason);
  }

  /** Says something to every client that no server said. */
  say(message) {
    for (const link of this.#links) link.say(message);
  }

  /** How many connections stand, of WebSockets alone. */
  get open() {
    return [...this.#links].filter((link) => link.isWebSocket).length;
  }

  end() {
    this.#server.close();
    this.cut();
  }

  #accept(client) {
    if (this.refusing || (this.target() === undefined && !this.stalled.up)) return client.resetAndDestroy();
    this.accepted += 1;
    const link = new Link(this, client);
    this.#links.add(link);
    link.onEnd = () => this.#links.delete(link);
  }

  /** The rule that this message meets, used up by it. */
  meet(direction, message) {
    const rule = this.#rules.find((rule) => rule.direction === direction && isLike(message, rule.match));
    if (rule && --rule.times === 0) this.#rules.splice(this.#rules.indexOf(rule), 1);
    return rule;
  }

  remember(message) {
    this.sent.push(message);
    if (this.sent.length > SENT_MAX) this.sent.shift();
  }
}

/** Whether all that `pattern` names is so in `value`. */
export function isLike(value, pattern) {
  if (pattern === null || typeof pattern !== 'object') return value === pattern;
  return (
    value !== null && typeof value === 'object' && Object.keys(pattern).every((key) => isLike(value[key], pattern[key]))
  );
}

/** One client's connection, and the one to the server that stands for it. */
class Link {
  isWebSocket = false;
  onEnd = () => {};

  constructor(proxy, client) {
    this.proxy = proxy;
    this.client = client;
    // While everything upwards is stalled there may be no server at all: that must look the same.
    this.server = net.connect(proxy.target() ?? 1, '127.0.0.1');
    this.up = new Pipe(this, 'up', client, this.server);
    this.down = new Pipe(this, 'down', this.server, client);
    for (const socket of [client, this.server]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
    }
    client.on('close', () => this.ended());
    this.server.on('close', () => this.lost());
  }

  /** The server ended it; a stalled network does not tell. */
  lost() {
    this.serverIsGone = true;
    if (this.proxy.stalled.down && !this.wasCut) return;
    this.down.finish(() => this.client.destroySoon());
  }

  ended() {
    this.server.destroy();
    this.onEnd();
  }

  cut() {
    this.wasCut = true;
    for (const socket of [this.client, this.server]) socket.resetAndDestroy();
  }

  flush() {
    this.up.flush();
    this.down.flush();
    if (this.serverIsGone) this.lost();
  }

  close(code, reason) {
    if (!this.isWebSocket) return;
    this.client.write(closeFrame(code, reason));
    this.server.destroy();
  }

  say(message) {
    if (this.isWebSocket) this.client.write(textFrame(JSON.stringify(message)));
  }
}

/** One direction of a link. */
class Pipe {
  #queue = [];
  #head = new HeadReader();
  #messages = undefined;
  #isRaw = false;
  #timer = undefined;

  constructor(link, direction, from, to) {
    Object.assign(this, { link, direction, from, to });
    from.on('data', (chunk) => this.#take(chunk));
    to.on('drain', () => from.resume());
  }

  #take(chunk) {
    if (this.#isRaw) return this.#pass(chunk);
    if (this.#messages) return this.#read(chunk);
    const found = this.#head.push(chunk);
    if (!found) return;
    this.#pass(found.head);
    this.#begin(found.head.toString('latin1'));
    if (found.rest.length > 0) this.#take(found.rest);
  }

  /** After the first head it is clear whether frames follow or more of HTTP. */
  #begin(head) {
    const isUpgrade = this.direction === 'up' ? /^upgrade: *websocket/im.test(head) : head.startsWith('HTTP/1.1 101');
    if (!isUpgrade) return void (this.#isRaw = true);
    this.#messages = new MessageReader();
    if (this.direction === 'down') this.link.isWebSocket = true;
  }

  #read(chunk) {
    for (const whole of this.#messages.push(chunk)) this.#message(whole);
  }

  #message({ bytes, text }) {
    const message = text === undefined ? undefined : parsed(text);
    if (message && this.direction === 'up') this.link.proxy.remember(message);
    const rule = message && this.link.proxy.meet(this.direction, message);
    if (!rule) return this.#pass(bytes);
    this.#carryOut(rule, bytes, message);
  }

  #carryOut(rule, bytes, message) {
    if (rule.act === 'drop') return;
    if (rule.act === 'cut') return this.link.cut();
    if (rule.act === 'late') return void setTimeout(() => this.#pass(bytes), rule.milliseconds);
    if (rule.act === 'fail') return this.link.down.#pass(textFrame(JSON.stringify(failure(message, rule.code))));
    this.#pass(bytes);
    if (rule.act === 'twice') this.#double(bytes, message);
    if (rule.act === 'cutAfter') this.finish(() => this.link.cut());
  }

  #double(bytes, message) {
    this.link.proxy.doubled.push(message);
    this.#pass(bytes);
  }

  #pass(bytes) {
    this.#queue.push({ bytes, due: Date.now() + this.link.proxy.delayMs });
    this.flush();
  }

  /** Calls `then` when all that is on its way has passed. */
  finish(then) {
    this.#queue.push({ then, due: 0 });
    this.flush();
  }

  flush() {
    clearTimeout(this.#timer);
    while (this.#queue.length > 0 && !this.link.proxy.stalled[this.direction]) {
      const wait = this.#queue[0].due - Date.now();
      if (wait > 0) return void (this.#timer = setTimeout(() => this.flush(), wait));
      this.#write(this.#queue.shift());
    }
    if (this.#queue.length > 0) this.from.pause();
    else if (!this.to.writableNeedDrain) this.from.resume();
  }

  #write({ bytes, then }) {
    if (then) return then();
    if (!this.to.destroyed && !this.to.write(bytes)) this.from.pause();
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a server says that refuses, or does not know what became of it. */
function failure({ id, type, request }, code) {
  const error = { code, message: `${code}, says the laboratory`, retryable: RETRYABLE.has(code) };
  return { type: 'error', id, request: request ?? type, success: false, error };
}

const RETRYABLE = new Set([
  'busy',
  'unavailable',
  'storage_failed',
  'shutting_down',
  'outcome_unknown',
  'seq_not_reached',
]);
