/** The parts of the console that know nothing of a page. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import * as bounds from '../../../src/console/bounds.js';
import { differences, told, updateBetween, valueAt } from '../../../src/console/diff.js';
import { FeedLog } from '../../../src/console/feed_log.js';
import { EXAMPLES } from '../../../src/console/filter_help.js';
import { readFilter } from '../../../src/console/filter_text.js';
import { brief, briefFields } from '../../../src/console/format.js';
import { readJson } from '../../../src/console/json_text.js';
import { pointOf, quantile, readMetrics, total } from '../../../src/console/metrics.js';

test('a filter is JSON, or conditions between spaces', () => {
  const cases = [
    ['', {}],
    ['{"a":1}', { a: 1 }],
    ['status=open total>=10', { status: 'open', total: { $gte: 10 } }],
    ['name="Ada Okafor" zip="01"', { name: 'Ada Okafor', zip: '01' }],
    ['a!=null b=true', { a: { $ne: null }, b: true }],
    ['title~^dr', { title: { $regex: '^dr' } }],
    ['n>1 n<5', { $and: [{ n: { $gt: 1 } }, { n: { $lt: 5 } }] }],
    ['order-17', { _id: 'order-17' }],
    ['"my order"', { _id: 'my order' }],
    ['title = x', { title: 'x' }],
    ['title= x total >10', { title: 'x', total: { $gt: 10 } }],
    ['title ~ "^two words" a== 1', { title: { $regex: '^two words' }, a: 1 }],
    ['a="" b=1', { a: '', b: 1 }],
    ['"*"', { _id: '*' }],
    ['a != null', { a: { $ne: null } }],
    ['a~b=c', { a: { $regex: 'b=c' } }],
  ];
  for (const [text, filter] of cases) assert.deepEqual(readFilter(text), { filter }, text);
  assert.match(readFilter('{"a":').error, /not JSON yet/);
  assert.match(readFilter('nonsense a=1').error, /“nonsense” is no condition: write name=value/);
  assert.match(readFilter('name=Ada Okafor').error, /if it belongs to the value, write name="Ada Okafor"/);
});

test('a filter that is half typed finds nothing unsaid: it says what is missing', () => {
  const cases = [
    ['"Ada', /“"Ada” is to be one text between two quotes/],
    ['name="Ada Oka', /“"Ada” is to be one text between two quotes/],
    ['=5', /“=5” begins with a sign: write the name of a field/],
    ['total>=', /total>= has no value yet: for an empty text write total>=""/],
    ['a= b=1', /a= has no value yet/],
    ['*', /“\*” is no condition: .* or "\*" in quotes if it is an id/],
    ['status=open or status=paid', /write \{"\$or":\[\{"status":"open"\},\{"status":"paid"\}\]\}/],
    ['status=open and gift=true', /leave “and” out/],
    ['{"a":1,"a":2}', /"a" stands twice in one object/],
  ];
  for (const [text, said] of cases) assert.match(readFilter(text).error ?? 'nothing', said, text);
});

test('a name that stands twice in one object is told, wherever it is', () => {
  const told = (text) => readJson(text).error ?? 'nothing';
  assert.match(told('{"a":{"b":[{"c":1,"\\u0063":2}]}}'), /"c" stands twice/);
  assert.match(told('{"x":"{\\"a\\":1,\\"a\\":2}","y":[{"a":1},{"a":":"}],"a":{"a":1}}'), /^nothing$/);
  assert.match(told('{"a":'), /not JSON yet/);
});

test('every filter that the box and the manual show as an example is one', async () => {
  const page = await readFile(new URL('../../../src/manual/console.md', import.meta.url), 'utf8');
  const told = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, text]) => text);
  assert.ok(told.length > 8, String(told));
  for (const text of [...told, ...EXAMPLES.map(([text]) => text)]) assert.equal(readFilter(text).error, undefined, text);
  assert.deepEqual(readFilter('status = open'), readFilter('status=open'));
});

test('the update between two documents names what differs and nothing else', () => {
  const before = { _id: 'x', _version: 2, a: 1, keep: { deep: [1, 2] }, gone: true, n: { x: 1, y: 2 } };
  const after = { a: 2, keep: { deep: [1, 2] }, n: { x: 1, y: 3, z: { w: 1 } } };
  assert.deepEqual(updateBetween(before, after), { $set: { a: 2, 'n.y': 3, 'n.z': { w: 1 } }, $unset: { gone: 1 } });
  assert.equal(updateBetween(before, { ...after, a: 1, gone: true, n: { y: 2, x: 1 } }), undefined);
});

test('a list is one value, and a type is a difference', () => {
  const paths = (one, other) => differences(one, other).map(({ path }) => path);
  assert.deepEqual(paths({ a: [1] }, { a: [1, 2] }), ['a']);
  assert.deepEqual(paths({ a: {} }, { a: [] }), ['a']);
  assert.deepEqual(paths({ a: null }, { a: {} }), ['a']);
  assert.deepEqual(paths({ a: '1' }, { a: 1 }), ['a']);
  assert.deepEqual(paths({ a: {} }, {}), ['a']);
});

test('more differences than one update may name become whole fields', () => {
  const many = (value) => ({ big: Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`f${n}`, value])) });
  assert.deepEqual(Object.keys(updateBetween(many(1), many(2)).$set), ['big']);
});

test('a change tells what was there before, where that is known', () => {
  const change = { patch: { set: { 'a.b': 2, c: 3 }, unset: ['d'] } };
  assert.deepEqual(told(change, { a: { b: 1 }, d: 4 }), [
    { path: 'a.b', before: 1, after: 2 },
    { path: 'c', after: 3 },
    { path: 'd', before: 4 },
  ]);
  assert.deepEqual(told(change), [{ path: 'a.b', after: 2 }, { path: 'c', after: 3 }, { path: 'd' }]);
  assert.equal(valueAt({ a: [{ b: 1 }] }, 'a.0.b'), 1);
  assert.equal(valueAt({}, 'constructor'), undefined);
});

const change = (seq, id, data) => ({ seq, kind: 'update', eventId: id, data, patch: { set: data, unset: [] } });

test('the feed keeps the newest, bounded in number and in size, however long it runs', () => {
  const log = new FeedLog();
  for (let n = 1; n <= 50_000; n += 1) log.push(change(n, `e${n % 7000}`, { n }), true, n);
  assert.equal(log.length, 2000);
  assert.equal(log.total, 50_000);
  assert.equal(log.at(0).change.seq, 50_000);
  assert.equal(log.at(1999).change.seq, 48_001);
  assert.equal(log.copy().length, 2000);
  assert.ok(Math.abs(log.rate(50_000) - 1000) < 10, String(log.rate(50_000)));
  for (let n = 1; n <= 100; n += 1) log.push(change(n, `large${n}`, { text: 'x'.repeat(1024 * 1024) }));
  assert.ok(log.length <= 16, `${log.length} of a megabyte each`);
});

test('the feed remembers what an event was', () => {
  const log = new FeedLog();
  log.push(change(1, 'a', { n: 1 }));
  log.push(change(2, 'a', { n: 2 }));
  assert.deepEqual(log.at(0).differences, [{ path: 'n', before: 1, after: 2 }]);
});

const METRICS = (count, slow) => `# HELP x y
# TYPE livelog_requests_total counter
livelog_requests_total{verb="CREATE",outcome="done"} ${count}
livelog_requests_total{verb="CREATE",outcome="busy"} 7
livelog_requests_total{verb="FETCH",outcome="done"} 99
livelog_commit_duration_seconds_bucket{le="0.001"} ${count - slow}
livelog_commit_duration_seconds_bucket{le="0.002"} ${count}
livelog_commit_duration_seconds_bucket{le="+Inf"} ${count}
livelog_head_seq 12
livelog_node_seq 10
`;

test('two readings of the metrics tell rates, quantiles and lag', () => {
  const [before, now] = [readMetrics(METRICS(10, 0)), readMetrics(METRICS(110, 50))];
  const point = pointOf(before, now, 2);
  assert.equal(point.commands, 50);
  assert.equal(point.lag, 2);
  assert.equal(point.commitHalf, 0.001);
  assert.ok(Math.abs(point.commitMost - 0.00198) < 1e-9);
  assert.equal(quantile(now, now, 'livelog_commit_duration_seconds', 0.5), undefined);
  assert.equal(total(now, 'livelog_nothing'), 0);
});

test('the bounds that the console shows are the server’s', async () => {
  const folder = new URL('../../../src/limits/', import.meta.url);
  const limits = (await Promise.all(['node.rs', 'client.rs'].map((name) => readFile(new URL(name, folder), 'utf8')))).join();
  for (const [name, value] of Object.entries(bounds)) {
    const [, written] = new RegExp(`pub const ${name}: usize = ([\\d *_]+);`).exec(limits);
    assert.equal(
      written.split('*').reduce((product, factor) => product * Number(factor), 1),
      value,
      name,
    );
  }
});

test('a value in one line is cut without being walked to its end', () => {
  const endless = {
    get a() {
      return this;
    },
  };
  assert.ok(brief({ list: Array.from({ length: 1e6 }, (_, n) => n) }, 40).length <= 40);
  assert.ok(brief(endless, 30).length <= 30);
  assert.deepEqual(briefFields({ _id: 'x', a: 'text', b: { c: 1 } }), [
    ['a', 'text'],
    ['b', '{c: 1}'],
  ]);
  assert.match(brief(2 ** 60), /^≈/);
});

test('the page asks for every module at once, not one after the other', async () => {
  const folder = new URL('../../../src/console/', import.meta.url);
  const page = await readFile(new URL('index.html', folder), 'utf8');
  const scripts = (await readdir(folder)).filter((name) => name.endsWith('.js'));
  for (const name of scripts) assert.ok(page.includes(`"/console/${name}"`), name);
});
