// The socket: opened again whenever it ends, watched for silence, shared by requests and subscriptions.

import { REFUSALS, openCredentials } from './credentials.js';
import { endOf, failure } from './errors.js';
import { enter, tell } from './listeners.js';
import { isTooLarge } from './options.js';

/** @typedef {'connecting' | 'live' | 'behind' | 'offline' | 'needs-auth' | 'closed'} StateName */

/**
 * How the connection is. `behind`: connected, but a subscription that was live has not caught up again. `lag`: the seqs
 * that it still has to take in. `needs-auth`: the server asks for a token, or for another.
 * @typedef {{ readonly name: StateName, readonly reason: string, readonly since: number, readonly lag: number }} State
 */

/** @typedef {Record<string, any>} Frame one message, from or to the server */
/** @typedef {(answer: Frame | undefined) => void} Answered called once; with nothing if the connection ended first */

/**
 * What the connection tells who opened it.
 * @typedef {object} Events
 * @property {() => void} up the server has said welcome; subscriptions begin again after this
 * @property {(payload: any) => void} broadcast
 * @property {() => void} leave somebody else is there
 * @property {() => void} end it does not come back
 */

/**
 * A subscription, as the connection knows it.
 * @typedef {object} Subscriber
 * @property {number} seq
 * @property {boolean} isLagging
 * @property {() => void} begin there is a connection
 * @property {() => void} interrupt it has ended
 * @property {() => void} catchUp the head of the log was heard
 * @property {(isOther: boolean) => void} forget something else may be seen, perhaps by somebody else
 * @property {(error: import('./errors.js').LivelogError) => void} fail it does not come back
 */

/** @typedef {ReturnType<typeof openConnection>} Connection */

/** The server reads nothing more of a session with twice as many unanswered, so not even a PING. */
const IN_FLIGHT_MAX = 32;
const IN_FLIGHT_BYTES_MAX = 512 * 1024;

const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 30_000;
/** A connection that has lasted so long was a good one: the next delays begin small again. */
const STABLE_MS = 10_000;
/** No attempt takes longer, and without a connection for so long the client calls itself offline. */
const WELCOME_MS = 10_000;
const FAILURES_UNTIL_OFFLINE = 3;

/** Frames that say a position. */
const NUMBERED = /^(welcome|change|live|reset)$/;

/** Silence is counted in beats and not by the clock, so that a page that was frozen hears what came meanwhile first. */
const BEAT_MS = 2400;
/** Beats in silence, the first of which sends a PING, before a connection is given up: within 10 s. */
const SILENT_BEATS = 2;
const SILENT_BEATS_MAX = 25;

/**
 * Full jitter: any delay up to one that doubles.
 * @param {number} attempts
 */
export const backoff = (attempts) => Math.random() * Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** attempts);

/**
 * @param {string} url of the WebSocket
 * @param {typeof globalThis.WebSocket} WebSocket
 * @param {{ token?: import('./credentials.js').Token, role?: string }} options
 * @param {Events} events
 */
export function openConnection(url, WebSocket, { token, role }, events) {
  /** @type {WebSocket | undefined} */
  let socket;
  let isUp = false;
  let isClosed = false;
  let upSince = 0;
  let downSince = Date.now();
  /** Since the last connection, and since the last that was stable. */
  let failures = 0;
  let attempts = 0;
  /** The welcome, until the server knows who is there. @type {Frame | undefined} */
  let greeting;
  /** A token has expired, and another is asked for. */
  let isRenewing = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} until the next attempt, or until this one has taken too long */
  let timer;
  /** @type {ReturnType<typeof setInterval> | undefined} while connected */
  let beat;
  let silentBeats = 0;
  let patience = SILENT_BEATS;

  let epoch = '';
  let head = 0;
  let lastId = 0;
  let bytesInFlight = 0;
  /** @type {{ id: number, text: string, answered: Answered }[]} */
  const waiting = [];
  /** @type {Map<number, { text: string, answered: Answered }>} */
  const inFlight = new Map();
  /** @type {Set<Subscriber>} */
  const subscriptions = new Set();
  /** @type {Map<string, (frame: Frame) => void>} */
  const receivers = new Map();

  /** @type {Set<(state: State) => void>} */
  const watchers = new Set();
  /** @type {State} */
  let state = Object.freeze({ name: 'connecting', reason: '', since: Date.now(), lag: 0 });
  /** What is the matter while connected. */
  let warning = '';

  /** @param {boolean} isLagging @returns {StateName} */
  function nameOf(isLagging) {
    if (isClosed) return 'closed';
    if (isUp) return isLagging ? 'behind' : 'live';
    const isCut = globalThis.navigator?.onLine === false;
    if (credentials.refusal && !isRenewing && !isCut) return 'needs-auth';
    const isOffline = isCut || failures >= FAILURES_UNTIL_OFFLINE;
    return isOffline || Date.now() - downSince >= WELCOME_MS ? 'offline' : 'connecting';
  }

  function refresh(reason = state.reason) {
    const lags = [...subscriptions].flatMap(({ isLagging, seq }) => (isLagging ? head - seq : []));
    const name = nameOf(lags.length > 0);
    const lag = Math.max(0, ...lags);
    if (name === state.name && reason === state.reason && lag === state.lag) return;
    state = Object.freeze({ name, reason, lag, since: name === state.name ? state.since : Date.now() });
    notify();
  }

  const notify = () => tell(watchers, state);

  const open = () => credentials.take(dial, ({ message }) => lose(message));

  function dial() {
    const mine = new WebSocket(url);
    socket = mine;
    timer = setTimeout(() => lose('no welcome'), WELCOME_MS);
    mine.onopen = () => mine === socket && mine.send(credentials.hello());
    mine.onmessage = ({ data }) => {
      if (mine === socket) read(data);
    };
    mine.onclose = ({ code, reason }) => {
      if (mine !== socket) return;
      const why = endOf(code, reason, isUp);
      const refused = REFUSALS[code];
      if (refused) credentials.refuse({ code: refused, message: why });
      if (!refused && code >= 4500 && code < 5000) connection.close(why);
      else lose(why);
    };
    mine.onerror = () => {};
  }

  /** Lets go of the socket without waiting for its end, which may take a minute if the network is gone. */
  function drop() {
    const old = socket;
    socket = greeting = undefined;
    isUp = false;
    credentials.rest();
    clearTimeout(timer);
    clearInterval(beat);
    old?.close();
    const orphans = [...inFlight.values(), ...waiting.splice(0)];
    inFlight.clear();
    receivers.clear();
    bytesInFlight = 0;
    for (const { answered } of orphans) answered(undefined);
    for (const subscription of subscriptions) subscription.interrupt();
  }

  /**
   * @param {string} reason
   * @param {number} [leastMs] until the next attempt
   */
  function lose(reason, leastMs = 0) {
    if (isClosed) return;
    const now = Date.now();
    if (isUp) {
      downSince = now;
      failures = 0;
      if (now - upSince >= STABLE_MS) attempts = 0;
    }
    drop();
    failures += 1;
    isRenewing = credentials.isExpired && !attempts;
    const delay = Math.max(backoff(attempts++), leastMs);
    timer = setTimeout(open, isRenewing ? 0 : delay);
    refresh(reason);
  }

  /**
   * What is no message of livelog's comes from something else at that address, or something between has spoilt it: what
   * it would have said is asked for again.
   * @param {any} data
   */
  function read(data) {
    try {
      const frame = JSON.parse(data);
      const { type, error, seq = NUMBERED.test(type) ? NaN : 0 } = frame;
      if (!type || !Number.isSafeInteger(seq) || (error && !error.code)) throw new TypeError('no message of livelog');
      receive(frame);
    } catch (error) {
      lose(`no livelog answers there: ${/** @type {Error} */ (error).message}`);
    }
  }

  /** @param {Frame} frame */
  function receive(frame) {
    silentBeats = 0;
    if (!isUp || /^(unauth|token_)/.test(frame.error?.code)) return greet(frame);
    if (frame.seq > head) head = frame.seq;
    if (frame.sub !== undefined && frame.id === undefined) receivers.get(frame.sub)?.(frame);
    else if (frame.type === 'broadcast') events.broadcast(frame.payload);
    else if (frame.type === 'pong') pong();
    else answer(frame);
  }

  /** Welcome and the answer to AUTH, in either order; or what was good is good no longer. @param {Frame} frame */
  function greet(frame) {
    if (frame.error) {
      credentials.refuse(frame.error);
      return lose(frame.error.message, frame.error.retryAfterMs);
    }
    if (frame.type === 'welcome') {
      greeting = frame;
      credentials.greet(frame);
    }
    if (frame.request === 'AUTH') credentials.admit(frame.data);
    if (greeting && credentials.isShown) welcome(greeting);
  }

  /** @param {Frame} frame */
  function welcome(frame) {
    clearTimeout(timer);
    beat = setInterval(onBeat, BEAT_MS);
    upSince = Date.now();
    isUp = true;
    if (epoch !== frame.epoch) head = connection.acknowledged = 0;
    epoch = frame.epoch;
    head = Math.max(head, frame.seq);
    if (!credentials.seeTheSame(frame.access)) forget(false);
    // Writes go first: their answers come before the changes that tell of them, and snapshots contain them.
    events.up();
    for (const subscription of subscriptions) subscription.begin();
    refresh(warning);
  }

  /** @param {Frame} frame */
  function answer(frame) {
    const asked = inFlight.get(frame.id);
    if (!asked) return;
    inFlight.delete(frame.id);
    bytesInFlight -= asked.text.length;
    asked.answered(frame);
    flush();
  }

  function flush() {
    while (isUp && inFlight.size < IN_FLIGHT_MAX && bytesInFlight < IN_FLIGHT_BYTES_MAX) {
      const next = waiting.shift();
      if (!next) return;
      inFlight.set(next.id, next);
      bytesInFlight += next.text.length;
      socket?.send(next.text);
    }
  }

  function onBeat() {
    silentBeats += 1;
    if (silentBeats === 1) ping();
    if (silentBeats <= patience) return;
    // On a line so slow that one message takes longer than this, every attempt waits longer than the one before.
    patience = Math.min(patience * 2, SILENT_BEATS_MAX);
    lose('no answer to a ping');
  }

  const ping = () => socket?.send('{"type":"PING"}');

  function pong() {
    patience = SILENT_BEATS;
    for (const subscription of subscriptions) subscription.catchUp();
    refresh();
  }

  const forget = (/** @type {boolean} */ isOther) =>
    subscriptions.forEach((subscription) => subscription.forget(isOther));

  function wake() {
    refresh();
    if (isUp) {
      silentBeats = 1;
      return ping();
    }
    // An attempt under way may have begun in vain: if it fails, the next one comes soon.
    attempts = 0;
    if (socket) return;
    clearTimeout(timer);
    open();
  }

  const wakings = ['online', 'offline', 'pageshow', 'visibilitychange'];
  for (const name of wakings) globalThis.addEventListener?.(name, wake);

  const credentials = openCredentials(token, role, {
    request: (message, answered) => connection.request(message, answered),
    changed: notify,
    lose,
    leave() {
      events.leave();
      forget(true);
    },
  });

  const connection = {
    credentials,
    /** The greatest seq of a write of this client that was answered: its reads name it. */
    acknowledged: 0,
    receivers,
    subscriptions,
    watchers,
    refresh,
    /** Tells those who watch that something beside the state has changed. */
    notify,

    get isUp() {
      return isUp;
    },
    get state() {
      return state;
    },
    get epoch() {
      return epoch;
    },
    get head() {
      return head;
    },

    /** Resolves while connected; rejects while there is little hope of it. @returns {Promise<void>} */
    whenUp: () =>
      new Promise((resolve, reject) => {
        const leave = enter(watchers, settle);
        function settle() {
          if (state.name === 'connecting') return;
          leave();
          if (isUp) resolve();
          else reject((!isClosed && credentials.refusal) || failure(isClosed ? 'closed' : 'unavailable'));
        }
        settle();
      }),

    /**
     * @param {Frame} message
     * @param {Answered} answered
     */
    request(message, answered) {
      const id = ++lastId;
      const text = JSON.stringify({ ...message, id });
      if (!isUp) return answered(undefined);
      if (isTooLarge(text)) return queueMicrotask(() => answered({ error: failure('too_large') }));
      waiting.push({ id, text, answered });
      flush();
    },

    /** Is the reason of the state from now on, also while all is well otherwise. @param {string} text */
    warn(text) {
      warning = text;
      if (!isClosed) refresh(text);
    },

    /**
     * Goes on with these.
     * @param {import('./credentials.js').Token | undefined} next
     * @param {string | undefined} as
     */
    authenticate(next, as) {
      if (isClosed) return;
      if (credentials.replace(next, as) && isUp) return credentials.show(/** @type {string} */ (next));
      drop();
      failures = attempts = 0;
      downSince = Date.now();
      refresh('');
      open();
    },

    /** @param {string} reason */
    close(reason) {
      if (isClosed) return;
      isClosed = true;
      for (const name of wakings) globalThis.removeEventListener?.(name, wake);
      drop();
      refresh(reason);
      events.end();
      for (const subscription of subscriptions) subscription.fail(failure('closed'));
    },
  };
  open();
  return connection;
}
