/** The laboratory as tests see it, in every runtime: see `lab.js`. */
import { connect } from 'livelog';
import { until } from './until.js';

export { until };

const LAB = globalThis.location?.origin?.startsWith('http') ? globalThis.location.origin : globalThis.process.env.LAB;

async function rpc(...call) {
  const response = await fetch(`${LAB}/rpc`, { method: 'POST', body: JSON.stringify(call) });
  const answer = await response.json();
  if (response.status !== 200) throw new Error(`the laboratory: ${answer.failed}`);
  return answer;
}

const METHODS = [
  'start',
  'direct',
  'kill',
  'stop',
  'refound',
  'rewind',
  'permit',
  'token',
  'cut',
  'stall',
  'flow',
  'refuse',
  'delay',
  'rule',
  'forget',
  'close',
  'say',
  'calm',
  'sent',
  'doubled',
  'connections',
  'log',
  'end',
];

/** A server behind its proxy. Each method of `Site` in `lab.js` is one here, and returns a promise. */
export class Site {
  constructor({ id, url }) {
    this.id = id;
    this.url = url;
    for (const method of METHODS) this[method] = (...args) => rpc(id, method, ...args);
  }

  /** The JSON of this path, past the proxy. */
  async get(path, parameters = {}) {
    const texts = Object.entries(parameters).map(([key, value]) => [
      key,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]);
    const url = `${await this.direct()}${path}?${new URLSearchParams(texts)}`;
    // A server that has too much to do is asked again.
    const response = await until(async () => {
      const response = await fetch(url);
      return ![429, 503].includes(response.status) && response;
    }, `${path} is answered`);
    return response.json();
  }

  /** The whole log, or what a filter sees of it after a position. */
  async changes(filter, from = 0) {
    const all = [];
    for (let after = from; ;) {
      const { data, next } = await this.get('/api/changes', {
        after: String(after),
        limit: '1000',
        ...(filter && { filter }),
      });
      all.push(...data);
      if (next === undefined || next === null || next === after) return all;
      after = next;
    }
  }

  /** The event as the server has it; nothing if there is none. */
  async event(id) {
    return (await this.get(`/api/events/${encodeURIComponent(id)}`)).data;
  }
}

/** What a test has to itself; all of it ends with the test. */
export class World {
  #ends = [];

  constructor(name) {
    this.name = name;
  }

  /** A server of its own. */
  async site(options = {}) {
    const site = new Site(await rpc(null, 'site', options));
    this.#ends.push(() => site.end());
    return site;
  }

  /** Another proxy before the same server. */
  async door(site) {
    const door = new Site(await rpc(null, 'door', site.id));
    this.#ends.push(() => door.end());
    return door;
  }

  /** A client of that server. */
  connect(site, options) {
    const db = connect(site.url, options);
    this.#ends.push(() => db.close());
    return db;
  }

  /** A server and one client that is live. */
  async pair(options) {
    const site = await this.site();
    const db = this.connect(site, options);
    await live(db);
    return { site, db };
  }

  async end() {
    for (const end of this.#ends.reverse()) await end();
  }
}

/** Waits until the client is connected. */
export function live(db) {
  return until(
    () => db.state.name === 'live',
    () => `it is live, and not ${JSON.stringify(db.state)}`,
  );
}
