/**
 * A program that has closed its client ends by itself: no timer, socket or listener keeps it. `run.js` waits for that.
 */
import { connect } from 'livelog';
import { live, until } from './world.js';

const [url] = process.argv.slice(2);
const idle = connect(url);
await live(idle);
const db = connect(url);
const query = db.query();
await query.whenReady();
await db.create({ _id: 'a' });
await until(() => query.get().length === 1);
const waiting = query.seen(1000).catch(({ code }) => console.log(`ok what waited is refused as ${code}`));
for (const client of [idle, db]) client.close();
await waiting;
