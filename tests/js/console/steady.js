/** What one looks at stays where it is, whole, and is not hidden by something else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NARROW, sees, until, untilLive, WIDE, world } from './world.js';

const here = world({ orders: 12 });

const headers = (tab) => tab.page.locator('[role=columnheader] .sort-name').allTextContents();

/** How far the table, or a name over a column, goes beyond the table's right edge. */
function beyondEdge(tab) {
  return tab.page.evaluate(() => {
    const table = document.querySelector('.table');
    const edge = table.getBoundingClientRect().right;
    const names = [...table.querySelectorAll('[role=columnheader]')].map((name) => name.getBoundingClientRect().right);
    return Math.max(table.scrollWidth - table.clientWidth, ...names.map((right) => right - edge));
  });
}

test('beside an open event no column is cut, and the rest come back with the room', async () => {
  const tab = await here.open('#/events', { viewport: { ...WIDE, width: 1100 } });
  await untilLive(tab);
  const all = await headers(tab);
  assert.ok((await beyondEdge(tab)) <= 0);
  await tab.page.locator('.table-row', { hasText: 'order-2' }).first().click();
  await tab.page.waitForSelector('.panel .tree');
  await until(tab, (count) => document.querySelectorAll('[role=columnheader]').length < count, all.length);
  const some = await headers(tab);
  assert.deepEqual(some, all.slice(0, some.length));
  assert.ok((await beyondEdge(tab)) <= 0, `${await beyondEdge(tab)} pixels`);
  await tab.page.keyboard.press('Escape');
  await until(tab, (count) => document.querySelectorAll('[role=columnheader]').length === count, all.length);
  await tab.close();
});

test('columns that the reader chose are all there, and the edge says that there is more', async () => {
  const paths = '_id,status,customer,total,gift,lines,_version,_seq,_createdAt,_updatedAt';
  const tab = await here.open(`#/events?columns=${paths}&id=order-2`, { viewport: { ...WIDE, width: 1100 } });
  await untilLive(tab);
  assert.equal((await headers(tab)).length, 10);
  await tab.page.waitForSelector('.table[data-more=true]');
  await tab.page.locator('.table').evaluate((table) => (table.scrollLeft = table.scrollWidth));
  await tab.page.waitForSelector('.table[data-more=false]');
  await tab.close();
});

test('a column that is shown stays, whatever is filtered, sorted or written', async () => {
  const tab = await here.open('#/events');
  await untilLive(tab);
  const before = await headers(tab);
  const left = () => tab.page.locator('[data-path=customer]').evaluate((name) => name.getBoundingClientRect().left);
  const place = await left();
  await here.create({ _id: 'parcel-1', weight: 3, sender: 'Lisbon' });
  await sees(tab, '.table-row', 'parcel-1');
  assert.deepEqual(await headers(tab), before);
  await tab.page.locator('[data-path=total] button').click();
  await tab.page.waitForSelector('[data-path=total][aria-sort=ascending]');
  await untilLive(tab);
  assert.deepEqual(await headers(tab), before);
  assert.equal(await left(), place);
  await tab.page.getByLabel('Filter the events').fill('weight=3');
  await tab.page.waitForSelector('[data-path=weight]');
  const after = await headers(tab);
  assert.deepEqual(
    after.filter((name) => before.includes(name)),
    before,
  );
  assert.ok(after.includes('sender'));
  await tab.page.getByLabel('Filter the events').fill('weight=4');
  await sees(tab, '.empty', 'No event matches');
  assert.deepEqual(await headers(tab), after);
  await tab.page.getByRole('button', { name: 'Show all events' }).click();
  await sees(tab, '.table-row', 'order-12');
  assert.deepEqual(await headers(tab), after);
  await tab.page.getByRole('button', { name: 'Columns' }).click();
  await tab.page.getByRole('button', { name: 'As the data has it' }).click();
  await until(tab, (count) => document.querySelectorAll('[role=columnheader]').length < count, after.length);
  await here.remove('parcel-1');
  await tab.close();
});

test('a narrow screen sorts by a list of names', async () => {
  const tab = await here.open('#/events', { viewport: NARROW });
  await untilLive(tab);
  const first = () => tab.page.locator('.table-row[aria-rowindex="2"] .cell').first().textContent();
  assert.equal(await first(), 'order-12');
  await tab.page.getByLabel('Sort by').selectOption('total');
  await until(tab, () => document.querySelector('.table-row[aria-rowindex="2"] .cell')?.textContent === 'order-12');
  await tab.page.getByRole('button', { name: 'Descending' }).click();
  await until(tab, () => document.querySelector('.table-row[aria-rowindex="2"] .cell')?.textContent === 'order-1');
  await tab.page.waitForSelector('button[aria-label=Ascending]');
  assert.match(await tab.page.evaluate(() => location.hash), /sort=total/);
  await tab.close();
});

test('a title that the focus comes to by the address is not underlined', async () => {
  const tab = await here.open('#/events?id=order-2');
  await until(tab, () => document.activeElement.matches('.panel-title'));
  const style = await tab.page.evaluate(() => {
    const { boxShadow, outlineStyle, textDecorationLine } = getComputedStyle(document.activeElement);
    return [boxShadow, outlineStyle, textDecorationLine];
  });
  assert.deepEqual(style, ['none', 'none', 'none']);
  await tab.close();
});

test('what is said of one event is said once, and beside the panel', async () => {
  const tab = await here.open('#/events?id=order-4&tab=history');
  const restore = tab.page.locator('.history-item').getByRole('button', { name: 'Restore' });
  for (const version of [3, 4, 5]) {
    await restore.last().click();
    await sees(tab, '.notice', `version ${version} is as version 1 was`);
  }
  assert.equal(await tab.page.locator('.notice').count(), 1);
  const notice = await tab.page.locator('.notice').boundingBox();
  const panel = await tab.page.locator('.panel').boundingBox();
  assert.ok(notice.x + notice.width <= panel.x, 'it hides nothing of the panel');
  await tab.close();
});

test('a filter of the address that cannot be read leaves a way on', async () => {
  const tab = await here.open('#/events?filter=status+open');
  await sees(tab, '.field-error', 'no condition');
  assert.equal(await tab.page.locator('.sort-box select').inputValue(), '_createdAt');
  await tab.page.getByRole('button', { name: 'Show all events' }).click();
  await sees(tab, '.table-row', 'order-12');
  await tab.close();
});

test('examples of filters are a key away, and one press puts one into the box', async () => {
  const tab = await here.open('#/events');
  await untilLive(tab);
  const box = tab.page.getByLabel('Filter the events');
  await box.focus();
  await tab.page.keyboard.press('Tab');
  await tab.page.keyboard.press('Enter');
  await tab.page.waitForSelector('.popover:popover-open .example:focus');
  assert.deepEqual(await tab.axe(), []);
  await tab.page.keyboard.press('Tab');
  await tab.page.keyboard.press('Enter');
  await until(tab, () => document.activeElement.value === 'status = open');
  assert.equal(await tab.page.locator('.popover:popover-open').count(), 0);
  await tab.page.keyboard.press('Enter');
  await sees(tab, '.view-note', /^\d events · live$/);
  await tab.close();
});

test('the first rows are there before it is known whether there are few enough to be live', async () => {
  const context = await here.browser.context({ viewport: WIDE });
  await context.playwright.routeWebSocket('**/ws*', (page) => {
    const server = page.connectToServer();
    page.onMessage((message) => server.send(message));
    server.onMessage((message) => page.send(ofLongLog(message)));
  });
  const tab = await here.open('#/node', { context });
  const counted = Promise.withResolvers();
  const asked = Promise.withResolvers();
  await tab.page.route(/\/api\/events\?.*limit=100001/, async (route) => {
    asked.resolve();
    await counted.promise;
    await route.continue();
  });
  await tab.page.evaluate(() => {
    location.hash = '#/events';
  });
  await asked.promise;
  await sees(tab, '.table-row', 'order-12');
  assert.equal(await tab.page.locator('.view').getAttribute('data-live'), 'false');
  counted.resolve();
  await untilLive(tab);
  await tab.close();
});

/** An answer as of a log so long that its events have to be counted. */
function ofLongLog(text) {
  const message = JSON.parse(text);
  if (message.type !== 'response' || message.request !== 'FETCH') return text;
  return JSON.stringify({ ...message, seq: message.seq + 200_000 });
}

test('the room for an arrow cuts no name over a column that has none', async () => {
  await here.create({ _id: 'numbers', customers: 3, customer: 4 });
  const tab = await here.open('#/events?columns=_id,customers,customer&filter=_id%3Dnumbers');
  await untilLive(tab);
  const cut = (path) =>
    tab.page.locator(`[data-path=${path}] .sort-name`).evaluate((name) => name.scrollWidth - name.clientWidth);
  assert.equal(await cut('customers'), 0);
  await tab.page.locator('[data-path=customer] button').click();
  await tab.page.waitForSelector('[data-path=customer][aria-sort=ascending]');
  assert.equal(await cut('customer'), 0);
  await here.remove('numbers');
  await tab.close();
});
