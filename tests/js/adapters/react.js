/** The hooks in a real Chromium, with the real React, in StrictMode. */
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { useConnection, useQuery } from 'livelog/react';
import { equal, ok } from '../suite/harness.js';
import { live, until } from '../suite/world.js';
import { fact } from './fact.js';
import { pages } from './pages.js';

/** A server with `a` and `b`, another client, and a page that shows nothing yet. */
async function stage(world) {
  const { browser, origin } = await pages();
  const site = await world.site({ args: ['--allow-origin', origin] });
  const other = world.connect(await world.door(site));
  await live(other);
  await other.batch((b) => ['a', 'b'].forEach((_id) => b.create({ _id, title: _id })));
  const tab = await browser.open(`${origin}/react/?server=${site.url}`);
  world.after(() => tab.close());
  await tab.page.locator('#state', { hasText: 'live' }).waitFor();
  return { site, other, tab };
}

const show = (tab, lists) => tab.page.evaluate((lists) => globalThis.page.show(lists), lists);
const renders = (tab) => tab.page.evaluate(() => ({ ...globalThis.page.renders }));
const asked = async (site, type = 'SUBSCRIBE') => (await site.sent({ type })).length;

/** Waits until the list shows these rows, `null` if there is no such list. */
function shows(tab, name, titles) {
  const read = () => tab.page.evaluate((name) => {
    const list = document.getElementById(name);
    return list && [...list.children].map((row) => row.textContent);
  }, name);
  return until(async () => JSON.stringify(await read()) === JSON.stringify(titles), `${name} shows ${JSON.stringify(titles)}`);
}

fact('a mounted list subscribes once, although StrictMode mounts it twice, and unsubscribes when it is gone', async (world) => {
  const { site, tab } = await stage(world);
  await show(tab, { list: {} });
  await shows(tab, 'list', ['a', 'b']);
  equal(await tab.page.getAttribute('#list', 'data-ready'), 'true');
  equal([await asked(site), await asked(site, 'UNSUBSCRIBE')], [1, 0]);
  await show(tab, {});
  await until(async () => (await asked(site, 'UNSUBSCRIBE')) === 1);
});

fact('what is written elsewhere appears, and no row that did not change is rendered again', async (world) => {
  const { other, tab } = await stage(world);
  await show(tab, { list: {} });
  await shows(tab, 'list', ['a', 'b']);
  const before = await renders(tab);
  await other.update('b', { title: 'B' });
  await shows(tab, 'list', ['a', 'B']);
  await other.create({ _id: 'c', title: 'c' });
  await shows(tab, 'list', ['a', 'B', 'c']);
  const after = await renders(tab);
  equal(after.a, before.a);
  ok(after.b > before.b);
});

fact('options are compared by their value, and the result is the same object until something changes', async (world) => {
  const { site, tab } = await stage(world);
  await show(tab, { list: { filter: { title: 'a' } } });
  await shows(tab, 'list', ['a']);
  const results = await tab.page.evaluate(() => {
    const { results, show } = globalThis.page;
    results.length = 0;
    for (let n = 0; n < 5; n++) show({ list: { filter: { title: 'a' } } });
    return [results.length, new Set(results).size];
  });
  ok(results[0] >= 5, 'it was rendered each time');
  equal(results[1], 1);
  equal([await asked(site), await asked(site, 'UNSUBSCRIBE')], [1, 0]);
});

fact('other options are another result, and the one before is given up', async (world) => {
  const { site, tab } = await stage(world);
  await show(tab, { list: { filter: { title: 'a' } } });
  await shows(tab, 'list', ['a']);
  await show(tab, { list: { filter: { title: 'b' } } });
  await shows(tab, 'list', ['b']);
  await until(async () => (await asked(site, 'UNSUBSCRIBE')) === 1);
  equal(await asked(site), 2);
});

fact('lists that ask the same share a subscription, until the last of them is gone', async (world) => {
  const { site, other, tab } = await stage(world);
  await show(tab, { one: {}, two: {} });
  await shows(tab, 'one', ['a', 'b']);
  await shows(tab, 'two', ['a', 'b']);
  await show(tab, { two: {} });
  await other.create({ _id: 'c', title: 'c' });
  await shows(tab, 'two', ['a', 'b', 'c']);
  equal([await asked(site), await asked(site, 'UNSUBSCRIBE')], [1, 0]);
  await show(tab, { three: {} });
  // It is there at once: the page has not left it.
  equal(await tab.page.locator('#three li').count(), 3);
  await show(tab, {});
  await until(async () => (await asked(site, 'UNSUBSCRIBE')) === 1);
  await show(tab, { again: {} });
  await shows(tab, 'again', ['a', 'b', 'c']);
});

fact('an edit of one\'s own shows at once, as pending until it is confirmed', async (world) => {
  const { site, tab } = await stage(world);
  await show(tab, { list: {} });
  await shows(tab, 'list', ['a', 'b']);
  await site.stall('up');
  await tab.page.evaluate(() => void globalThis.page.db.create({ _id: 'c', title: 'mine' }));
  await shows(tab, 'list', ['a', 'b', 'mine']);
  equal(await tab.page.getAttribute('[data-id=c]', 'data-pending'), 'true');
  await site.flow();
  await tab.page.locator('[data-id=c][data-pending=false]').waitFor();
  await shows(tab, 'list', ['a', 'b', 'mine']);
});

fact('while the server is away the rows stay and the state says so, and then nothing is missing', async (world) => {
  const { site, tab } = await stage(world);
  tab.expectLostConnections();
  await show(tab, { list: {} });
  await shows(tab, 'list', ['a', 'b']);
  await site.kill();
  await tab.page.waitForFunction(() => document.getElementById('state').textContent !== 'live');
  await shows(tab, 'list', ['a', 'b']);
  await site.start();
  const other = world.connect(await world.door(site));
  await other.create({ _id: 'c', title: 'c' });
  await tab.page.locator('#state', { hasText: 'live' }).waitFor();
  await shows(tab, 'list', ['a', 'b', 'c']);
});

fact('a filter that is none is an error of its list, and of no other', async (world) => {
  const { tab } = await stage(world);
  await show(tab, { bad: { filter: { a: { $where: '1' } } }, good: {} });
  await tab.page.locator('#bad[data-error=invalid_filter]').waitFor({ state: 'attached' });
  await shows(tab, 'good', ['a', 'b']);
});

fact('what JSON would leave out of a filter is an error of its list, and does not ask for everything', async (world) => {
  const { tab } = await stage(world);
  for (const value of [undefined, NaN, 1n, /a/]) {
    await show(tab, { bad: { filter: { title: value } }, good: { limit: undefined } });
    await tab.page.locator('#bad[data-error=invalid_filter]').waitFor({ state: 'attached' });
    await shows(tab, 'good', ['a', 'b']);
    await shows(tab, 'bad', []);
  }
});

fact('an option that is misspelt is thrown, and asks for nothing', async (world) => {
  const { site, tab } = await stage(world);
  tab.expect(/query takes no fliter/);
  await show(tab, { bad: { fliter: { title: 'a' } } });
  await until(() => tab.page.evaluate(() => document.getElementById('root').children.length === 0), 'nothing is left');
  equal(await asked(site), 0);
});

fact('without options nothing is asked for', async (world) => {
  const { site, tab } = await stage(world);
  await show(tab, { none: null, no: false });
  await shows(tab, 'none', []);
  await shows(tab, 'no', []);
  await show(tab, { none: {} });
  await shows(tab, 'none', ['a', 'b']);
  equal(await asked(site), 1);
});

fact('on a server a list is empty, and asks for nothing', async (world) => {
  const { site, db } = await world.pair();
  const List = () => {
    const { rows, ready } = useQuery(db, {});
    return `${rows.length} ${ready} ${useConnection(db).name}`;
  };
  equal(renderToString(createElement(List)), '0 false connecting');
  equal(await asked(site), 0);
});

fact('without a client a list is empty, and the state is connecting', async () => {
  for (const db of [null, undefined]) {
    const List = () => `${useQuery(db).rows.length} ${useConnection(db).name}`;
    equal(renderToString(createElement(List)), '0 connecting');
  }
});

fact('a component that connects by itself shows what there is, although StrictMode closes its first client', async (world) => {
  const { tab } = await stage(world);
  await show(tab, { any: 'late' });
  await tab.page.locator('#late', { hasText: 'live a,b well' }).waitFor();
});

fact('what a server has rendered becomes live without a complaint', async (world) => {
  const { tab } = await stage(world);
  await show(tab, { list: {} });
  await shows(tab, 'list', ['a', 'b']);
  // The result is there already, and what is hydrated is not.
  await tab.page.evaluate(() => globalThis.page.hydrate('<ul id="hydrated" data-ready="false"></ul>', {}));
  await shows(tab, 'hydrated', ['a', 'b']);
});

fact('a list that is gone before there is a connection asks for nothing, and one that stays for what it needs', async (world) => {
  const { site, tab } = await stage(world);
  tab.expectLostConnections();
  await site.refuse(true);
  await site.cut();
  await tab.page.waitForFunction(() => document.getElementById('state').textContent !== 'live');
  await show(tab, { gone: { filter: { title: 'a' } }, stays: { filter: { title: 'b' } } });
  await shows(tab, 'gone', []);
  await show(tab, { stays: { filter: { title: 'b' } } });
  await site.refuse(false);
  await shows(tab, 'stays', ['b']);
  equal((await site.sent({ type: 'SUBSCRIBE' })).map(({ payload }) => payload.filter), [{ title: 'b' }]);
});

fact('a result that has failed is asked for again by the next that is mounted, and all who use it see that', async (world) => {
  const { site, tab } = await stage(world);
  await site.rule({ direction: 'up', match: { type: 'SUBSCRIBE' }, act: 'fail', code: 'too_many_subscriptions' });
  await show(tab, { first: {} });
  await tab.page.locator('#first[data-error=too_many_subscriptions]').waitFor({ state: 'attached' });
  await show(tab, { first: {}, second: {} });
  await shows(tab, 'second', ['a', 'b']);
  await shows(tab, 'first', ['a', 'b']);
  equal(await tab.page.getAttribute('#first', 'data-error'), null);
  await site.rule({ direction: 'up', match: { type: 'SUBSCRIBE' }, act: 'fail', code: 'too_many_subscriptions' });
  await show(tab, { third: { filter: { title: 'a' } } });
  await tab.page.locator('#third[data-error]').waitFor({ state: 'attached' });
  // Another takes its place at once, as with a key that counts the attempts.
  await show(tab, { fourth: { filter: { title: 'a' } } });
  await shows(tab, 'fourth', ['a']);
});

fact('when its client is closed a list keeps its rows and says so', async (world) => {
  const { tab } = await stage(world);
  await show(tab, { list: {} });
  await shows(tab, 'list', ['a', 'b']);
  await tab.page.evaluate(() => globalThis.page.db.close());
  await tab.page.locator('#list[data-error=closed]').waitFor();
  await tab.page.locator('#state', { hasText: 'closed' }).waitFor();
  await shows(tab, 'list', ['a', 'b']);
});

for (const collection of ['eager', 'on-demand']) {
  fact(`a live query of TanStack DB shows what there is, in StrictMode too: ${collection}`, async (world) => {
    const { site, other, tab } = await stage(world);
    tab.expectLostConnections();
    await show(tab, { list: { collection } });
    await shows(tab, 'list', ['a', 'b']);
    await other.update('b', { title: 'B' });
    await shows(tab, 'list', ['a', 'B']);
    await show(tab, { list: { collection, title: 'a' } });
    await shows(tab, 'list', ['a']);
    await show(tab, {});
    const isLeft = async () => (await asked(site)) === (await asked(site, 'UNSUBSCRIBE'));
    await until(isLeft, 'nothing is subscribed to any more');
    await site.refuse(true);
    await site.cut();
    await show(tab, { list: { collection, title: 'a' } });
    await show(tab, {});
    await show(tab, { again: { collection, title: 'B' } });
    await site.refuse(false);
    await shows(tab, 'again', ['B']);
    await show(tab, {});
    await until(isLeft, 'nothing is subscribed to any more');
  });
}
