/** A test whose world also ends what the test has made itself. */
import { test } from '../suite/harness.js';

/**
 * A fact, as `test` has it; its world has `after(end)` besides, and what is to end is ended last first.
 *
 * @param {string} name
 * @param {(world: any) => Promise<void>} check
 */
export function fact(name, check) {
  test(name, async (world) => {
    const ends = [];
    world.after = (end) => void ends.push(end);
    try {
      await check(world);
    } finally {
      for (const end of ends.reverse()) await end();
    }
  });
}
