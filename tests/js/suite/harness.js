/** A test runner that is the same in every runtime, and what tests claim with. */
import { World } from './world.js';

const tests = [];
const TEST_MS = 120_000;
/** Tests wait most of the time; this many at once keep two cores busy. */
const AT_ONCE = 6;

/** A fact: its name, and a function that fails if it is none. It is handed a world of its own. */
export function test(name, check) {
  tests.push({ name, check });
}

/** Runs all, or those whose name contains `filter`; says a line for each, and at the end how many passed and failed. */
export async function run(filter = '', say = console.log) {
  const chosen = tests.filter(({ name }) => name.includes(filter));
  const failed = [];
  const waiting = [...chosen];
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const failure = await outcome(next);
      say(failure ? `FAILED ${next.name}\n${failure}` : `ok ${next.name} (${Math.round(next.took)} ms)`);
      if (failure) failed.push(next.name);
    }
  };
  watchForStrays((reason) => {
    // A test that failed left promises behind, which end with its client.
    if (reason?.isOnPurpose || (failed.length > 0 && reason?.code === 'closed')) return;
    say(`FAILED by what nobody waited for\n${text(reason)}`);
    failed.push('nobody waited for it');
  });
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  say(`${chosen.length - failed.length} passed, ${failed.length} failed`);
  return failed.length;
}

async function outcome(test) {
  const world = new World(test.name);
  const started = performance.now();
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`not done after ${TEST_MS} ms`)), TEST_MS);
  });
  try {
    await Promise.race([test.check(world), late]);
    return undefined;
  } catch (error) {
    return text(error);
  } finally {
    clearTimeout(timer);
    test.took = performance.now() - started;
    await world.end();
  }
}

/** A rejection that nobody handles is a failure of whichever test it belongs to. */
function watchForStrays(report) {
  if (globalThis.process?.on) return globalThis.process.on('unhandledRejection', report);
  globalThis.addEventListener('unhandledrejection', (event) => {
    event.preventDefault();
    report(event.reason);
  });
}

function text(error) {
  const shown = error?.stack?.includes(error.message)
    ? error.stack
    : `${error?.name}: ${error?.message}\n${error?.stack}`;
  return error instanceof Error ? shown : String(error);
}

/** Equal in all their depth, whatever their prototypes. */
export function isEqual(a, b) {
  if (Object.is(a, b)) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key], b[key]));
}

export function equal(actual, expected, what = '') {
  if (!isEqual(actual, expected))
    throw new Error(`${what}\n  is       ${shown(actual)}\n  and not  ${shown(expected)}`);
}

export function same(actual, expected, what = 'they are two things') {
  if (!Object.is(actual, expected)) throw new Error(`${what}: ${shown(actual)} and ${shown(expected)}`);
}

export function ok(value, what) {
  if (!value) throw new Error(what ?? `it is ${shown(value)}`);
}

/** That the promise rejects with this code; the error, for more. */
export async function rejects(promise, code) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    if (error.code !== code) throw new Error(`it was refused as ${error.code}, not ${code}: ${text(error)}`);
    return error;
  }
  throw new Error(`it was not refused as ${code}, but gave ${shown(value)}`);
}

/** The promise's outcome, `['done', value]` or `['refused', error]`, and `undefined` while there is none. */
export function watched(promise) {
  const watch = { outcome: undefined };
  promise.then(
    (value) => (watch.outcome = ['done', value]),
    (error) => (watch.outcome = ['refused', error]),
  );
  return watch;
}

function shown(value) {
  const json = JSON.stringify(value, (_, part) => (part === undefined ? '(undefined)' : part)) ?? String(value);
  return json.length > 1500 ? `${json.slice(0, 1500)}… (${json.length} characters)` : json;
}
