/** What only a browser can show: real tabs that share a database, are reloaded in the middle, sleep and wake. */
import { launch } from './browser.js';
import { equal, ok, run as runTests, test } from './suite/harness.js';
import { until } from './suite/until.js';

let browser;
let lab;

/** A page with a client of this site; its functions are in `suite/tab.js`. */
async function openTab(context, site, options = {}) {
  const query = new URLSearchParams({ url: site.url, options: JSON.stringify(options) });
  const tab = await context.open(`${lab.url}/suite/tab.html?${query}`);
  tab.expectLostConnections();
  await tab.page.waitForFunction(() => globalThis.db !== undefined);
  return tab;
}

async function fresh() {
  const site = await lab.site();
  const call = (...call) => lab.call([site.id, ...call]);
  const get = async (path) => await (await fetch(`${await call('direct')}${path}`)).json();
  const context = await browser.context();
  return { site, call, get, context };
}

const state = (tab) => tab.page.evaluate(() => globalThis.db.state.name);
const liveTab = (tab) => until(async () => (await state(tab)) === 'live', 'the tab is live', 40_000);
const changes = async (get) => (await get('/api/changes?limit=1000')).data;

/** Writes in the page without waiting for the answers. */
function count(tab, times) {
  return tab.page.evaluate((times) => {
    for (let time = 0; time < times; time++) globalThis.db.update('a', { $inc: { n: 1 } }).catch(() => {});
  }, times);
}

const persisted = (name) => ({ persist: 'indexeddb', name });
const left = (tab) => tab.page.evaluate(() => globalThis.left());

test('a page that is reloaded in the middle of its writes does each of them once', async () => {
  const { site, call, get, context } = await fresh();
  const tab = await openTab(context, site, persisted('reload'));
  await tab.page.evaluate(() => globalThis.db.create({ _id: 'a', n: 0 }));
  for (let round = 0; round < 5; round++) {
    await liveTab(tab);
    // Some answers come, some are lost with the page.
    await call('rule', { direction: 'down', match: { type: 'response', request: 'UPDATE' }, act: 'drop', times: 3 });
    await count(tab, 10);
    await until(async () => (await left(tab)) >= 3, 'they are kept');
    // Only a connection that ends loses answers: that of the next page shall have its own.
    await call('forget');
    await tab.page.reload();
    await tab.page.waitForFunction(() => globalThis.db !== undefined);
  }
  await until(async () => (await get('/api/events/a')).data.n === 50, 'all are done');
  await until(async () => (await left(tab)) === 0, 'nothing is kept');
  equal((await changes(get)).length, 51);
  await tab.close();
});

test('what was written offline survives a reload and shows again', async () => {
  const { site, call, get, context } = await fresh();
  const tab = await openTab(context, site, persisted('offline'));
  await liveTab(tab);
  await call('refuse', true);
  await call('cut');
  await until(async () => (await state(tab)) !== 'live', 'it has noticed');
  await tab.page.evaluate(() => void globalThis.db.create({ _id: 'a', title: 'kept' }).catch(() => {}));
  await until(async () => (await left(tab)) === 1, 'it is kept');
  await tab.page.reload();
  await tab.page.waitForFunction(() => globalThis.db !== undefined);
  await until(() => tab.page.evaluate(() => globalThis.db.pending === 1), 'it is pending again');
  await call('refuse', false);
  await until(async () => (await get('/api/events/a')).data?.title === 'kept', 'it is done', 40_000);
  equal((await changes(get)).length, 1);
  await tab.close();
});

test('tabs that are closed leave their writes to those that stay, and none is done twice', async () => {
  const { site, call, get, context } = await fresh();
  const options = persisted('tabs');
  const tabs = [];
  for (let at = 0; at < 3; at++) tabs.push(await openTab(context, site, options));
  await tabs[0].page.evaluate(() => globalThis.db.create({ _id: 'a', n: 0 }));
  await Promise.all(tabs.map(liveTab));
  await call('refuse', true);
  await call('cut');
  await Promise.all(tabs.map((tab) => until(async () => (await state(tab)) !== 'live', 'it has noticed')));
  for (const tab of tabs) await count(tab, 10);
  await until(async () => (await left(tabs[2])) === 30, 'all are kept');
  await tabs[0].close();
  await tabs[1].close();
  await call('refuse', false);
  await until(async () => (await get('/api/events/a')).data.n === 30, 'the one that stays has done all', 40_000);
  await until(async () => (await left(tabs[2])) === 0, 'nothing is kept');
  equal((await changes(get)).length, 31);
  await tabs[2].close();
});

test('what one tab writes the other shows', async () => {
  const { site, context } = await fresh();
  const [one, other] = [await openTab(context, site), await openTab(context, site)];
  await one.page.evaluate(() => globalThis.db.create({ _id: 'a', title: 'x' }));
  await other.page.waitForFunction(() => globalThis.rows().some(({ title }) => title === 'x'));
  await Promise.all([one, other].map((tab) => tab.close()));
});

/**
 * In the page: says that it woke, again if an attempt was under way just then; how long until there was another
 * attempt.
 */
async function wake(event) {
  const target = event === 'visibilitychange' ? document : globalThis;
  const [before, started] = [globalThis.attempts, performance.now()];
  while (globalThis.attempts === before) {
    target.dispatchEvent(new Event(event, { bubbles: true }));
    await new Promise((done) => setTimeout(done, 50));
  }
  return performance.now() - started;
}

for (const event of ['online', 'pageshow', 'visibilitychange']) {
  test(`a page that waits to connect again does so at once at ${event}`, async () => {
    const { site, call, context } = await fresh();
    const tab = await openTab(context, site);
    await liveTab(tab);
    await call('refuse', true);
    await call('cut');
    // By now its pauses are of seconds.
    await until(
      async () => (await tab.page.evaluate(() => globalThis.attempts)) >= 6,
      'it has tried a few times',
      40_000,
    );
    await call('refuse', false);
    const took = await tab.page.evaluate(wake, event);
    ok(took < 500, `it tried after ${took} ms`);
    await liveTab(tab);
    await tab.close();
  });
}

test('a page that says that it is offline is offline, and comes back', async () => {
  const { site, call, context } = await fresh();
  const tab = await openTab(context, site);
  await liveTab(tab);
  await context.offline(true);
  await call('cut');
  await until(async () => (await state(tab)) === 'offline', 'it is offline');
  await context.offline(false);
  await liveTab(tab);
  await tab.close();
});

/** Runs all whose name contains the filter, and says whether they passed. */
export async function run(laboratory, filter) {
  lab = laboratory;
  browser = await launch();
  const failed = await runTests(filter).finally(() => browser.close());
  return failed === 0;
}
