/** Waiting without sleeping for luck. */

/** Long enough for a busy machine; a test that passes never waits this long. */
const DEADLINE_MS = 30_000;

/** Waits until `check` gives something true, and returns it; fails after a while. */
export async function until(check, what = String(check), deadline = DEADLINE_MS) {
  const started = performance.now();
  for (;;) {
    const found = await check();
    if (found) return found;
    if (performance.now() - started > deadline) {
      throw new Error(`waited ${deadline} ms until ${typeof what === 'function' ? what() : what}`);
    }
    await new Promise((done) => setTimeout(done, 5));
  }
}
