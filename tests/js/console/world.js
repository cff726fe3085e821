/**
 * What the console's tests stand on: a server behind a door that keeps its address while the server is away, a browser,
 * and a plain way to write that is not the console's own.
 */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { launch } from '../browser.js';
import { keyOf, tokenOf, writeAccess } from '../lab/access.js';
import { ChaosProxy } from '../lab/proxy.js';
import { fill, LivelogServer, scratch } from '../lab/server.js';

export { tokenOf };

export const WIDE = { width: 1280, height: 800 };
export const NARROW = { width: 360, height: 740 };
const WAIT_MS = 30_000;

/**
 * Makes a world before the tests of a file, and ends it after them. `rows`: events that are there at the beginning;
 * `orders`: those of a plausible shop, so that every view has something of each kind to show. `roles`: of an access file, whose
 * tokens come from `tokenOf`; then `token` is who writes what is there at the beginning, and `events` are that.
 */
export function world({ rows = 0, orders = 0, roles, token, events = [] } = {}) {
  const made = new World(token);
  before(() => made.begin(rows, orders, roles, events));
  after(() => made.end());
  return made;
}

class World {
  constructor(token) {
    this.token = token;
  }

  async begin(rows, orders, roles, events) {
    this.server = new LivelogServer(await scratch(), []);
    if (roles) await this.permit({ roles });
    if (rows > 0) await fill(this.server.data, rows);
    await this.server.start();
    await this.#furnish(orders);
    for (const event of events) await this.create(event);
    this.door = new ChaosProxy(() => this.server.port);
    await this.door.listen();
    this.url = `http://127.0.0.1:${this.door.port}`;
    this.browser = await launch({ screenshots: 'console' });
  }

  async end() {
    await this.browser?.close();
    this.door?.end();
    await this.server?.kill();
    if (this.server) await rm(this.server.folder, { recursive: true, force: true });
  }

  /** From the start on, or once this resolves, the server goes by this access file. */
  async permit(file) {
    // Who shows a key that only this file has is let in when the server has taken it.
    const { key, entry } = keyOf(Object.keys(file.roles)[0]);
    this.server.args = ['--access', await writeAccess(this.server.folder, { ...file, keys: [entry] })];
    if (this.server.port) await this.#untilTaken(key);
  }

  async #untilTaken(key) {
    const signal = AbortSignal.timeout(WAIT_MS);
    const headers = { authorization: `Bearer ${key}` };
    const ask = () => fetch(`http://127.0.0.1:${this.server.port}/api/events?limit=1`, { headers, signal });
    while ((await ask()).status === 401) await setTimeout(100, undefined, { signal });
  }

  /**
   * A page at this view, connected; a profile of its own unless a `context` is given. `before(page)` comes before it
   * loads.
   */
  async open(hash, options) {
    const tab = await this.enter(hash, options);
    await tab.page.waitForSelector('html[data-connection=live]');
    return tab;
  }

  /** The same, connected or not. */
  async enter(hash, { context, before, ...options } = {}) {
    const profile = context ?? (await this.browser.context({ viewport: WIDE, ...options }));
    const tab = await profile.open(`${this.url}/${hash}`, before);
    tab.page.setDefaultTimeout(WAIT_MS);
    return tab;
  }

  async ask(method, path, body) {
    const options = {
      method,
      headers: { 'content-type': 'application/json', ...(this.token && { authorization: `Bearer ${this.token}` }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    };
    const response = await fetch(`http://127.0.0.1:${this.server.port}${path}`, options);
    const answer = await response.json();
    assert.ok(answer.success, `${method} ${path}: ${JSON.stringify(answer.error)}`);
    return answer;
  }

  create(document) {
    return this.ask('POST', '/api/events', document);
  }

  update(id, fields) {
    return this.ask('PATCH', `/api/events/${encodeURIComponent(id)}`, fields);
  }

  remove(id) {
    return this.ask('DELETE', `/api/events/${encodeURIComponent(id)}`);
  }

  async event(id) {
    return (await this.ask('GET', `/api/events/${encodeURIComponent(id)}`)).data;
  }

  async #furnish(orders) {
    for (let n = 1; n <= orders; n += 1) {
      await this.create({
        _id: `order-${n}`,
        status: 'open',
        customer: CUSTOMERS[n % CUSTOMERS.length],
        total: n * 12.5,
        gift: n % 3 === 0,
        lines: [{ item: 'Lamp', quantity: n }],
      });
      if (n % 2 === 0) await this.update(`order-${n}`, { status: 'paid', 'lines.0.quantity': n + 1 });
      if (n % 10 === 0) await this.remove(`order-${n - 1}`);
    }
  }
}

const CUSTOMERS = ['Ada Okafor', 'Jonas Weber', 'Mei Tanaka', 'Lucía Fernández'];

/** Waits until the page says this somewhere in what `selector` finds. */
export async function sees(tab, selector, text) {
  await tab.page.locator(selector).filter({ hasText: text }).first().waitFor();
}

/** Waits until `ask(argument)`, in the page, is true. */
export function until(tab, ask, argument) {
  return tab.page.waitForFunction(ask, argument, { timeout: WAIT_MS });
}

/** The table is live, and whole. */
export function untilLive(tab) {
  return tab.page.waitForSelector('.view[data-live=true]');
}

/** Rows that are elements. */
export function rowCount(tab) {
  return tab.page.locator('.rows-body .row:visible').count();
}
