/** What only a browser can show: real tabs that share a database, are reloaded in the middle, sleep and wake. */
import { launch } from './browser.js';
import { equal, ok, run as runTests, test } from './suite/harness.js';
import { until } from './suite/until.js';

let browser;
let lab;

/** A name that is this machine, and no secure context: pages there have no Web Locks. */
const WITHOUT_TLS = 'laboratory.test';

/** The laboratory under another name. */
const named = (name) => lab.url.replace('127.0.0.1', name);

/** A page with a client of this site; its functions are in `suite/tab.js`. */
async function openTab(context, site, options = {}, origin = lab.url) {
  const query = new URLSearchParams({ url: site.url, options: JSON.stringify(options) });
  const tab = await context.open(`${origin}/suite/tab.html?${query}`);
  tab.expectLostConnections();
  await tab.page.waitForFunction(() => globalThis.db !== undefined);
  return tab;
}

async function fresh(options) {
  const site = await lab.site(options);
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

/** The renderer of this tab dies, without a word to anybody. */
async function crash(tab) {
  tab.expect(/the page crashed/);
  const crashed = new Promise((done) => tab.page.once('crash', done));
  const session = await tab.page.context().newCDPSession(tab.page);
  // It is never answered.
  session.send('Page.crash').catch(() => {});
  await crashed;
}

/** Three tabs, the first of which has a write that is done, but not answered, and nine behind it. */
async function family({ site, call, get, context }, origin) {
  const options = persisted('family');
  const tabs = [];
  for (let at = 0; at < 3; at++) tabs.push(await openTab(context, site, options, origin));
  await tabs[0].page.evaluate(() => globalThis.db.create({ _id: 'a', n: 0 }));
  await Promise.all(tabs.map(liveTab));
  await call('rule', { direction: 'down', match: { type: 'response', request: 'UPDATE' }, act: 'drop' });
  await count(tabs[0], 10);
  await until(async () => (await left(tabs[2])) === 10, 'all are kept');
  await until(async () => (await get('/api/events/a')).data.n === 1, 'the first is done');
  return tabs;
}

/** Waits until all ten are done, and none of them twice. */
async function inherited(get, staying, milliseconds) {
  await until(async () => (await get('/api/events/a')).data.n === 10, 'those that stay have done all', milliseconds);
  await until(async () => (await left(staying)) === 0, 'nothing is kept');
  equal((await changes(get)).length, 11);
  await until(() => staying.page.evaluate(() => globalThis.db.pending === 0), 'nothing is pending');
}

/** That what the first leaves behind is done in time by those that stay. */
async function isInherited(scene, origin, promised) {
  const tabs = await family(scene, origin);
  await crash(tabs[0]);
  const started = performance.now();
  await inherited(scene.get, tabs[2], promised + 20_000);
  const took = Math.round(performance.now() - started);
  console.log(`${origin}: taken over after ${took} ms`);
  ok(took < promised, `they were taken over after ${took} ms`);
  for (const tab of tabs) await tab.close();
}

test('the writes of a tab that crashes are taken over by another within 5 s, and done once', async () => {
  await isInherited(await fresh(), lab.url, 5_000);
});

test('where there are no Web Locks, they are taken over within 20 s', async () => {
  const scene = await fresh({ args: ['--allow-origin', named(WITHOUT_TLS)] });
  const probe = await openTab(scene.context, scene.site, {}, named(WITHOUT_TLS));
  equal(await probe.page.evaluate(() => [isSecureContext, 'locks' in navigator]), [false, false]);
  await probe.close();
  await isInherited(scene, named(WITHOUT_TLS), 20_000);
});

test('a tab that crashes with what it has taken over leaves that to the next', async () => {
  const scene = await fresh();
  const tabs = await family(scene, lab.url);
  await scene.call('stall', 'up');
  await crash(tabs[0]);
  const pending = (tab) => tab.page.evaluate(() => globalThis.db.pending);
  await until(async () => (await pending(tabs[1])) + (await pending(tabs[2])) === 10, 'one has taken over');
  const heir = (await pending(tabs[1])) === 10 ? tabs[1] : tabs[2];
  await crash(heir);
  await scene.call('flow');
  await inherited(scene.get, heir === tabs[1] ? tabs[2] : tabs[1], 40_000);
  for (const tab of tabs) await tab.close();
});

test('where there are no Web Locks, pages that are gone leave no lease for ever', async () => {
  const scene = await fresh({ args: ['--allow-origin', named(WITHOUT_TLS)] });
  const tab = await openTab(scene.context, scene.site, persisted('leases'), named(WITHOUT_TLS));
  const leases = () => tab.page.evaluate(() => globalThis.leases());
  await until(async () => (await leases()) === 1, 'its own');
  // As if it had been renewed an hour ago, by another.
  await tab.page.evaluate(() => globalThis.lease('gone', Date.now() - 3_600_000));
  equal(await leases(), 2);
  await tab.page.evaluate(() => globalThis.db.close());
  await until(async () => (await leases()) === 1, 'it gives up its own');
  await tab.page.reload();
  await tab.page.waitForFunction(() => globalThis.db !== undefined);
  await liveTab(tab);
  await until(async () => (await leases()) === 1, 'only that of the page that is there');
  await tab.close();
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
  browser = await launch({ args: [`--host-resolver-rules=MAP ${WITHOUT_TLS} 127.0.0.1`] });
  const failed = await runTests(filter).finally(() => browser.close());
  return failed === 0;
}
