/**
 * The laboratory: real servers, each behind a proxy that fails on command, for tests in any runtime.
 *
 * Tests ask it over HTTP (`POST /rpc` with `[site, method, …arguments]`, see `suite/world.js`), from pages too: it
 * serves this folder. `node lab.js` runs it alone; `startLab()` runs it in this process.
 */
import { readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tokenOf, writeAccess } from './lab/access.js';
import { ChaosProxy, isLike } from './lab/proxy.js';
import { fill, LivelogServer, scratch } from './lab/server.js';

const ROOT = fileURLToPath(new URL('.', import.meta.url));
const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
};

/** A server and the proxy before it: what tests call by name. Several may have one server, each with its own proxy. */
class Site {
  constructor(id, server, isOwner) {
    this.id = id;
    this.server = server;
    this.isOwner = isOwner;
    this.proxy = new ChaosProxy(() => server.port);
  }

  async open() {
    await this.proxy.listen();
    return { id: this.id, url: `http://127.0.0.1:${this.proxy.port}` };
  }

  async start() {
    await this.server.start();
    return this.direct();
  }

  /** The server's own address, past the proxy. */
  direct() {
    return `http://127.0.0.1:${this.server.port}`;
  }

  /** `kill -9`: what was not answered may be there or not. */
  async kill() {
    await this.server.kill();
  }

  async stop() {
    await this.server.kill('SIGTERM');
  }

  /** Killed, and started with an empty folder: another log. */
  async refound() {
    await this.kill();
    await this.server.wipe();
    await this.start();
  }

  /** Killed, and started with a log that ends at an earlier seq and has another epoch. */
  async rewind(seq) {
    await this.kill();
    await this.server.rewind(seq);
    await this.start();
  }

  /** From now on this is the access file; the server sees it within some seconds. */
  async permit(file) {
    await writeAccess(this.server.folder, file);
  }

  /** A token that its access file trusts. */
  token(sub, claims) {
    return tokenOf(sub, claims);
  }

  cut() {
    this.proxy.cut();
  }

  stall(direction) {
    this.proxy.stall(direction);
  }

  flow() {
    this.proxy.flow();
  }

  refuse(is) {
    this.proxy.refuse(is);
  }

  delay(milliseconds) {
    this.proxy.delay(milliseconds);
  }

  rule(rule) {
    this.proxy.rule(rule);
  }

  forget() {
    this.proxy.forget();
  }

  close(code, reason) {
    this.proxy.close(code, reason);
  }

  say(message) {
    this.proxy.say(message);
  }

  /** Nothing is wrong any more. */
  calm() {
    this.proxy.delay(0);
    this.proxy.refuse(false);
    this.proxy.forget();
    this.proxy.flow();
  }

  /** What clients sent that is like `pattern`, oldest first. */
  sent(pattern = {}) {
    return this.proxy.sent.filter((message) => isLike(message, pattern));
  }

  /** What was passed on twice. */
  doubled() {
    return this.proxy.doubled;
  }

  connections() {
    return { open: this.proxy.open, accepted: this.proxy.accepted };
  }

  log() {
    return this.server.log;
  }

  async end() {
    this.proxy.end();
    if (!this.isOwner) return;
    await this.server.kill();
    await rm(this.server.folder, { recursive: true, force: true });
  }
}

const METHODS = new Set(
  Object.getOwnPropertyNames(Site.prototype).filter((name) => !['constructor', 'open'].includes(name)),
);

class Lab {
  #sites = new Map();
  #next = 1;
  // By default a connection that is idle for a while is closed, on a busy machine also one with a request on its way.
  #http = http.createServer({ keepAliveTimeout: 0 }, (request, response) => this.#answer(request, response));

  async listen() {
    await new Promise((done) => this.#http.listen(0, '127.0.0.1', done));
    this.url = `http://127.0.0.1:${this.#http.address().port}`;
  }

  /** A new site: `{ rows }` begins with so many events, `{ args }` are the server's own, `{ access }` its access file. */
  async site({ args = [], rows = 0, access } = {}) {
    const folder = await scratch();
    const guarding = access ? ['--access', await writeAccess(folder, access)] : [];
    const server = new LivelogServer(folder, ['--allow-origin', this.url, ...guarding, ...args]);
    const site = this.#add(server, true);
    if (rows > 0) await fill(server.data, rows);
    await server.start();
    return site.open();
  }

  /** Another proxy before the server of this site. */
  async door(id) {
    return this.#add(this.#sites.get(id).server, false).open();
  }

  #add(server, isOwner) {
    const site = new Site(`s${this.#next++}`, server, isOwner);
    this.#sites.set(site.id, site);
    return site;
  }

  async call([id, method, ...args]) {
    if (id === null && ['site', 'door'].includes(method)) return this[method](...args);
    const site = this.#sites.get(id);
    if (!site || !METHODS.has(method)) throw new Error(`there is no ${id}.${method}`);
    if (method === 'end') this.#sites.delete(id);
    return site[method](...args);
  }

  async close() {
    this.#http.close();
    this.#http.closeAllConnections();
    await Promise.all([...this.#sites.values()].map((site) => site.end()));
  }

  async #answer(request, response) {
    response.setHeader('access-control-allow-origin', '*');
    try {
      if (request.method === 'POST') return response.end(JSON.stringify((await this.#rpc(request)) ?? null));
      await serveFile(request.url, response);
    } catch (error) {
      response.writeHead(500).end(JSON.stringify({ failed: String(error.stack ?? error) }));
    }
  }

  async #rpc(request) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    return this.call(JSON.parse(Buffer.concat(chunks)));
  }
}

async function serveFile(url, response) {
  const path = normalize(decodeURIComponent(new URL(url, 'http://lab').pathname));
  const body = await readFile(join(ROOT, path)).catch(() => undefined);
  if (!body) return response.writeHead(404).end();
  response.setHeader('content-type', `${TYPES[extname(path)] ?? 'application/octet-stream'}; charset=utf-8`);
  response.end(body);
}

/** Runs a laboratory in this process; it ends with `close()`. */
export async function startLab() {
  const lab = new Lab();
  await lab.listen();
  return lab;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lab = await startLab();
  console.log(`the laboratory is at ${lab.url}`);
  process.once('SIGTERM', () => lab.close());
  process.once('SIGINT', () => lab.close());
}
