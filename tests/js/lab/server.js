/** Real livelog servers, each a process in a folder of its own. */
import { execFile, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { promisify } from 'node:util';

/** Until a server listens; a fifth of a second on an idle machine. */
const START_MS = 30_000;

/**
 * Starts the program through a shell that leaves a watchdog behind: when the pipe to it closes without a word, because
 * this process is gone however it went, the program is killed. `$$` is the program: `exec` keeps the process.
 */
const GUARDED =
  'exec 3<&0; { read -r word <&3; [ -n "$word" ] || kill -9 $$; } >/dev/null 2>&1 & exec "$@" </dev/null 3<&-';

/** A child process that never outlives this one. `stdio` is `[stdout, stderr]`. */
export function guarded(program, args, { stdio, ...options }) {
  const child = spawn('sh', ['-c', GUARDED, 'guarded', program, ...args], { ...options, stdio: ['pipe', ...stdio] });
  child.stdin.on('error', () => {});
  // Its number may soon name another process, which the watchdog must not kill.
  child.on('exit', () => child.stdin.end('gone\n'));
  return child;
}

function binary() {
  const path = process.env.LIVELOG_BINARY;
  if (!path) throw new Error('LIVELOG_BINARY names no livelog to test');
  return path;
}

/** Where data goes; removed at the end. */
export async function scratch() {
  const parent = process.env.LAB_FOLDER ?? tmpdir();
  await mkdir(parent, { recursive: true });
  return mkdtemp(join(parent, 'lab-'));
}

export class LivelogServer {
  #process = undefined;
  #log = [];

  constructor(folder, args) {
    this.folder = folder;
    this.args = args;
  }

  get data() {
    return join(this.folder, 'data');
  }

  async start() {
    const args = ['serve', '--listen', '127.0.0.1:0', '--data', this.data, ...this.args];
    const child = guarded(binary(), args, { stdio: ['pipe', 'pipe'] });
    this.#process = child;
    createInterface({ input: child.stderr }).on('line', (line) => this.#remember(line));
    const line = await this.#firstLine(child);
    const port = /^listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (!port) throw new Error(`livelog did not start: ${line}\n${this.#log.join('\n')}`);
    this.port = Number(port);
  }

  async #firstLine(child) {
    const lines = createInterface({ input: child.stdout });
    const signal = AbortSignal.timeout(START_MS);
    const ended = once(child, 'close', { signal }).then(([code]) => `it ended with ${code}`);
    return Promise.race([once(lines, 'line', { signal }).then(([line]) => line), ended]);
  }

  #remember(line) {
    this.#log.push(line);
    if (this.#log.length > 50) this.#log.shift();
  }

  /** The last lines that it logged. */
  get log() {
    return this.#log;
  }

  /** `kill -9`, or another signal, and waits for its end. */
  async kill(signal = 'SIGKILL') {
    const child = this.#process;
    if (!child) return;
    this.#process = undefined;
    this.port = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  /** Its log is gone: the next that starts founds another, with another epoch. */
  async wipe() {
    await rm(this.data, { recursive: true, force: true });
  }

  /** Its log is again what it was at that seq, under another epoch: a copy of its beginning takes its place. */
  async rewind(seq) {
    const copy = join(this.folder, 'copy');
    await promisify(execFile)(binary(), ['replay', '--data', this.data, '--until', String(seq), '--into', copy]);
    await this.wipe();
    await rename(copy, this.data);
  }
}

/** Fills an empty folder with a log of this many small events, `{ _id: 'r000001', n: 1 }`. It is made once and kept. */
export async function fill(data, rows) {
  const parent = process.env.LAB_KEPT ?? tmpdir();
  const kept = join(parent, `rows-${rows}`);
  if (!(await stat(kept).catch(() => undefined))) await makeRows(kept, rows);
  await cp(kept, data, { recursive: true });
}

async function makeRows(kept, rows) {
  const folder = await mkdtemp(`${kept}-`);
  const server = new LivelogServer(folder, []);
  await server.start();
  await create(server.port, rows);
  await server.kill('SIGTERM');
  // Moved into its place when it is whole; another process may have been quicker.
  await rename(server.data, kept).catch(() => {});
  await rm(folder, { recursive: true, force: true });
}

/** Many commands at once: the server commits what waits together. */
async function create(port, rows) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws?changes=none`);
  await once(socket, 'open');
  const all = Promise.withResolvers();
  let answered = 0;
  socket.onmessage = ({ data }) => {
    const { type } = JSON.parse(data);
    if (type === 'error') all.reject(new Error(data));
    if (type === 'response') answered += BATCH;
    if (answered >= rows) all.resolve();
  };
  socket.onclose = ({ code }) => all.reject(new Error(`closed with ${code}`));
  for (let first = 1; first <= rows; first += BATCH) socket.send(batchFrom(first));
  await all.promise;
  socket.close();
}

const BATCH = 100;

function batchFrom(first) {
  const commands = Array.from({ length: BATCH }, (_, at) => {
    const n = first + at;
    return { type: 'CREATE', payload: { _id: `r${String(n).padStart(6, '0')}`, n } };
  });
  return JSON.stringify({ type: 'BATCH', payload: { commands } });
}
