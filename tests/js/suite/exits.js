/**
 * A program that has closed its client ends by itself: no timer, socket or listener keeps it. `run.js` waits for that. So
 * does the one in the package's README.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'livelog';
import { equal, ok } from './harness.js';
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

const readme = readFileSync(new URL('../node_modules/livelog/README.md', import.meta.url), 'utf8');
const [program] = readme.match(/(?<=```js\n)[^]*?(?=```)/);
const imports = "import { connect } from 'livelog';\n";
ok(program.startsWith(imports) && program.includes("'http://127.0.0.1:3000'"), program);
const Program = (async () => {}).constructor;
const run = new Program('connect', program.slice(imports.length).replace('http://127.0.0.1:3000', url));
await run(connect);
const { data } = await (await fetch(`${url}/api/events?filter={"done":true}`)).json();
equal(data.map(({ title, _version }) => [title, _version]), [['first', 2]]);
console.log('ok the program in the README does what it says');
