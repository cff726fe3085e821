/**
 * Random schedules of two clients: `SCHEDULES` of them (200 unless named), the first with the seed `SCHEDULE_SEED`.
 * Many run at once over one server; those that kill theirs, or make its log anew, have one to
 * themselves.
 */
import 'fake-indexeddb/auto';
import { World } from '../suite/world.js';
import { hasOwnServer, Schedule } from './schedule.js';

const COUNT = Number(process.env.SCHEDULES || 200);
const FIRST = Number(process.env.SCHEDULE_SEED || Date.now() % 1_000_000_000);
/** They wait most of the time. */
const AT_ONCE = Number(process.env.SCHEDULES_AT_ONCE || 32);
/** What failed is told in full, this often of each sort. */
const TOLD_MAX = 5;

const shared = new World('shared');
const server = await shared.site();
const failed = [];
let strays = 0;
let next = FIRST;
let writes = 0;

async function worker() {
  while (next < FIRST + COUNT) await play(next++);
}

async function play(seed) {
  const world = new World(`schedule ${seed}`);
  const schedule = new Schedule(seed, hasOwnServer(seed) ? await world.site() : server, world);
  try {
    await schedule.play();
    for (const tab of schedule.tabs) writes += tab.writes.length;
  } catch (error) {
    failed.push(seed);
    if (failed.length <= TOLD_MAX) tell(schedule, error);
  } finally {
    schedule.end();
    await world.end();
  }
}

function tell({ seed, story }, error) {
  console.log(
    `FAILED: seed ${seed} (again: SCHEDULE_SEED=${seed} SCHEDULES=1)\n  ${error.stack}\n  ${story.join(', ')}`,
  );
}

process.on('unhandledRejection', (reason) => {
  if (++strays <= TOLD_MAX) console.log(`FAILED by what nobody waited for: ${reason?.stack ?? reason}`);
});

const started = performance.now();
console.log(`${COUNT} schedules from seed ${FIRST}`);
await Promise.all(Array.from({ length: AT_ONCE }, worker));
await shared.end();
const seconds = ((performance.now() - started) / 1000).toFixed(1);
console.log(`${COUNT} schedules with ${writes} writes in ${seconds} s; nobody waited for: ${strays}`);
if (failed.length > 0) console.log(`seeds that failed: ${failed.slice(0, 50).join(' ')}`);
console.log(`${COUNT - failed.length} passed, ${failed.length + strays} failed`);
process.exit(failed.length + strays === 0 ? 0 : 1);
