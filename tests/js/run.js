/**
 * Runs tests of the client in a laboratory: `node run.js suite node|bun|deno|chromium [part of a test's name]`, `node
 * run.js tabs`, `node run.js schedules`. `LIVELOG_BINARY` names the server. Ends with 1 if anything failed.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { launch } from './browser.js';
import { startLab } from './lab.js';
import { guarded } from './lab/server.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const SUMMARY = /^\d+ passed, (\d+) failed$/;

/** Until a program that has nothing more to do has ended, with its start. */
const EXIT_MS = 20_000;

const RUNTIMES = {
  node: [process.execPath],
  bun: [`${HERE}node_modules/.bin/bun`, 'run'],
  // Packages as npm has installed them; no look at a registry.
  deno: [
    `${HERE}node_modules/.bin/deno`,
    'run',
    '--allow-all',
    '--node-modules-dir=manual',
    '--cached-only',
    '--no-config',
  ],
};

function start(runtime, script, args, lab) {
  const [program, ...words] = RUNTIMES[runtime];
  const env = { ...process.env, LAB: lab.url, NO_COLOR: '1' };
  return guarded(program, [...words, script, ...args], { cwd: HERE, env, stdio: ['pipe', 'inherit'] });
}

/** Runs a script to its end; resolves with whether it was good: it said that nothing failed. */
async function inRuntime(runtime, script, args, lab) {
  const child = start(runtime, script, args, lab);
  let isGood = false;
  createInterface({ input: child.stdout }).on('line', (line) => {
    console.log(line);
    isGood ||= line.match(SUMMARY)?.[1] === '0';
  });
  const [code] = await once(child, 'close');
  if (code !== 0) console.log(`${runtime} ended with ${code}`);
  return isGood && code === 0;
}

/** Whether a program that closes its clients ends by itself. */
async function endsByItself(runtime, lab) {
  const { url } = await lab.site();
  const child = start(runtime, 'suite/exits.js', [url], lab);
  child.stdout.on('data', (said) => process.stdout.write(said));
  const timer = setTimeout(() => child.kill('SIGKILL'), EXIT_MS);
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  console.log(
    code === 0
      ? 'ok a program that has closed its clients ends by itself'
      : `FAILED a program that has closed its clients ended with ${code}`,
  );
  return code === 0;
}

async function inChromium(filter, lab) {
  const browser = await launch();
  try {
    const done = Promise.withResolvers();
    const context = await browser.context();
    await context.open(`${lab.url}/suite/page.html?${encodeURIComponent(filter)}`, (page) => {
      page.on('console', (message) => {
        const said = message.text();
        // Lost connections are what most tests are about.
        if (!/^(WebSocket connection to|Failed to load resource)/.test(said)) console.log(said);
        if (SUMMARY.test(said)) done.resolve(said.match(SUMMARY)[1] === '0');
      });
      page.on('pageerror', (error) => console.log(`uncaught: ${error.stack ?? error}`));
      page.on('crash', () => done.reject(new Error('the page crashed')));
    });
    return await done.promise;
  } finally {
    await browser.close();
  }
}

async function run([what, ...args], lab) {
  if (what === 'suite' && args[0] === 'chromium') return inChromium(args[1] ?? '', lab);
  if (what === 'suite' && RUNTIMES[args[0]])
    return (await endsByItself(args[0], lab)) && inRuntime(args[0], 'suite/main.js', args.slice(1), lab);
  if (what === 'schedules') return inRuntime('node', 'schedules/main.js', args, lab);
  if (what === 'tabs') return (await import('./tabs.js')).run(lab, args[0] ?? '');
  throw new Error('say `suite RUNTIME`, `tabs` or `schedules`');
}

const lab = await startLab();
const isGood = await run(process.argv.slice(2), lab).catch((error) => {
  console.log(error.stack ?? error);
  return false;
});
await lab.close();
process.exit(isGood ? 0 : 1);
