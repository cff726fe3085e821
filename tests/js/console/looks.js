/** Every view, in both schemes, wide and narrow, is accessible and within the window; and a picture of it is kept. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NARROW, sees, WIDE, world } from './world.js';

const here = world({ orders: 30 });

const VIEWS = {
  feed: ['#/feed', '.feed-row'],
  events: ['#/events', '.view[data-live=true]'],
  'one event': ['#/events?id=order-2', '.panel .tree'],
  'the editor': ['#/events?id=order-2&tab=edit', '.panel textarea'],
  'a history': ['#/events?id=order-2&tab=history', '.panel .history-item'],
  'a new event': ['#/events?new=1', '.panel textarea'],
  'a refused filter': ['#/events?filter=%7B%22a%22%3A%7B%22%24b%22%3A1%7D%7D', '.field-error:not(:empty)'],
  'the past': ['#/events?at=20', '.timeline-change .badge'],
  node: ['#/node', '.light'],
  start: ['#/start', '.snippet'],
  'the manual': ['#/manual/subscriptions', '.manual-text table'],
};

for (const colorScheme of ['light', 'dark']) {
  for (const [width, viewport] of [
    ['wide', WIDE],
    ['narrow', NARROW],
  ]) {
    for (const [name, [hash, whole]] of Object.entries(VIEWS)) {
      test(`${name}, ${colorScheme} and ${width}, is accessible and within the window`, async () => {
        const tab = await here.open(hash, { colorScheme, viewport, reducedMotion: 'reduce' });
        await tab.page.waitForSelector(whole);
        await tab.screenshot(`${name.replaceAll(' ', '-')}-${colorScheme}-${width}`, { fullPage: false });
        const beyond = await tab.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(beyond <= 0, `${beyond} pixels beyond the window`);
        assert.deepEqual(await tab.axe(), []);
        await tab.close();
      });
    }
  }
}

test('what opens over a view is accessible too', async () => {
  const tab = await here.open('#/events');
  for (const name of ['How to filter', 'Columns', 'Go to a time', 'Connection: Live', 'Broadcasts']) {
    await tab.page.getByRole('button', { name }).first().click();
    await tab.page.waitForSelector(':popover-open, dialog[open]');
    assert.deepEqual(await tab.axe(), [], name);
    await tab.page.keyboard.press('Escape');
  }
  await tab.close();
});

test('a change in the feed opens with what it was before, from the log if the page has not heard it', async () => {
  const tab = await here.open('#/feed');
  await tab.page.locator('.feed-row', { hasText: 'order-30' }).filter({ hasText: 'update' }).click();
  await sees(tab, '.panel .differences', 'open');
  await sees(tab, '.panel .differences', 'paid');
  assert.deepEqual(await tab.axe(), []);
  await tab.close();
});

test('the scheme that one chooses is kept over a reload', async () => {
  const tab = await here.open('#/feed', { colorScheme: 'light' });
  const scheme = () => tab.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await scheme();
  const button = tab.page.getByRole('button', { name: 'System colours' });
  await button.click();
  await tab.page.getByRole('button', { name: 'Light' }).click();
  const dark = await scheme();
  assert.notEqual(dark, light);
  await tab.page.reload();
  assert.equal(await scheme(), dark);
  await tab.close();
});

test('every page of the manual is read, and its links lead on', async () => {
  const tab = await here.open('#/manual');
  const links = tab.page.locator('.manual-nav a');
  const count = await links.count();
  assert.ok(count > 10);
  for (let n = 0; n < count; n += 1) {
    await links.nth(n).click();
    await tab.page.waitForSelector(`.manual-nav li:nth-child(${n + 1}) a[aria-current=page]`);
    await tab.page.waitForSelector('.manual-text p');
    const prose = tab.page.locator('.manual-text').locator(':scope > :not(pre)');
    const text = (await prose.allInnerTexts()).join('\n');
    assert.doesNotMatch(text, /There is no page|\]\(|\*\*|^#|^\|/m);
    const targets = await tab.page
      .locator('.manual-text a[href^="#/"]')
      .evaluateAll((found) => found.map(({ hash }) => hash));
    for (const target of targets) assert.match(target, /^#\/manual\/[a-z]+(\/[\w-]+)?$/);
  }
  await tab.page.evaluate(() => {
    location.hash = '#/manual/filters/what-filters-may-cost';
  });
  await tab.page.waitForFunction(() => document.activeElement?.id === 'what-filters-may-cost');
  await tab.close();
});
