/** The browser of these tests, and the pages that it opens: those of this folder, bundled, and the examples. */
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { launch } from '../browser.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
export const EXAMPLES = join(HERE, '../../../fixtures/examples');
const PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><title>test</title><div id="root"></div><script type="module" src="app.js"></script>';

let opened;

/** The browser and `{ origin }` of the pages; both are started once. */
export function pages() {
  return (opened ??= open());
}

/** Ends what was started. */
export async function close() {
  const started = await opened;
  await started?.browser.close();
  started?.server.close();
  started?.server.closeAllConnections();
}

async function open() {
  const [browser, server] = await Promise.all([launch({ screenshots: 'examples' }), serve()]);
  return { browser, server, origin: `http://127.0.0.1:${server.address().port}` };
}

async function serve() {
  const app = await bundled('react_page.jsx');
  const server = http.createServer(async ({ url }, response) => {
    const { pathname } = new URL(url, 'http://page');
    if (pathname === '/react/') return send(response, 'text/html', PAGE);
    if (pathname === '/react/app.js') return send(response, 'text/javascript', app);
    const example = await readFile(join(EXAMPLES, basename(pathname))).catch(() => undefined);
    if (example) return send(response, 'text/html', example);
    response.writeHead(pathname === '/favicon.ico' ? 204 : 404).end();
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return server;
}

function send(response, type, body) {
  response.setHeader('content-type', `${type}; charset=utf-8`);
  response.end(body);
}

/** React as in development: only there StrictMode mounts everything twice. */
async function bundled(file) {
  const { outputFiles } = await build({
    entryPoints: [join(HERE, file)],
    bundle: true,
    write: false,
    format: 'esm',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"development"' },
  });
  return outputFiles[0].text;
}
