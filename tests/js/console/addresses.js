/** Whatever an address says, little is made of it, and there is a way on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sees, untilLive, world } from './world.js';

const here = world({ orders: 6 });

const headers = (tab) => tab.page.locator('[role=columnheader] .sort-name').allTextContents();

test('columns are shown once each, those that can be fields, and no more than one may ask for', async () => {
  const tab = await here.open(`#/events?columns=${'status,'.repeat(2000)}$x,a..b,_id`);
  await untilLive(tab);
  assert.deepEqual(await headers(tab), ['status', '_id']);
  await tab.close();
  const many = Array.from({ length: 2000 }, (_, n) => `c${n}`).join();
  const other = await here.open(`#/events?columns=${many}`);
  await untilLive(other);
  assert.equal((await headers(other)).length, 62);
  const elements = await other.page.evaluate(() => document.querySelectorAll('*').length);
  assert.ok(elements < 4000, `${elements} elements`);
  await other.close();
});

test('names of no column are as if there were none', async () => {
  const tab = await here.open('#/events?columns=,,,');
  await untilLive(tab);
  assert.ok((await headers(tab)).includes('customer'));
  await tab.close();
});

test('an order that is refused leaves a way on', async () => {
  const tab = await here.open('#/events?sort=%24x');
  await sees(tab, '.field-error', 'cannot be the name of a field');
  await tab.page.getByRole('button', { name: 'Show all events' }).click();
  await untilLive(tab);
  await sees(tab, '.table-row', 'order-2');
  await tab.close();
});

test('a tab that there is not is the document', async () => {
  const tab = await here.open('#/events?id=order-1&tab=__proto__');
  await sees(tab, '.panel .tree:visible', 'Jonas Weber');
  await tab.close();
});

test('a filter of the feed that cannot be read is said, and nothing is shown as if it fitted', async () => {
  const tab = await here.open('#/feed?filter=%7B%22a%22%3A');
  await sees(tab, '.field-error', 'not JSON yet');
  assert.equal(await tab.page.locator('.feed-row:visible').count(), 0);
  await tab.page.getByLabel('Filter the feed').fill('status=open');
  await sees(tab, '.feed-row', 'order-1');
  assert.equal(await tab.page.locator('.filter-box .field-error').textContent(), '');
  await tab.close();
});

test('an id is shown and filtered by, whatever signs it has', async () => {
  for (const id of ['a/b%2F%"\'<>?#&=', '%', '%zz', '...', ' lead ', 'é?x=1']) {
    await here.create({ _id: id, mine: 'yes' });
    const tab = await here.open('#/events');
    await untilLive(tab);
    await tab.page.getByLabel('Filter the events').fill(JSON.stringify({ _id: id }));
    await tab.page.keyboard.press('Enter');
    await sees(tab, '.view-note', /^1 event · live$/);
    await tab.page.locator('.table-row:visible').first().click();
    await sees(tab, '.panel .tree', 'yes');
    await tab.page.reload();
    await sees(tab, '.panel .tree', 'yes');
    await tab.page.getByRole('tab', { name: 'History' }).click();
    await tab.page.locator('.history-item a').first().click();
    await sees(tab, '.panel .callout', 'As it was at seq');
    await tab.close();
  }
});

test('a question mark within a filter belongs to it', async () => {
  await here.create({ _id: 'asked', title: 'why?' });
  const tab = await here.open('#/events?filter=title=why?');
  await sees(tab, '.table-row', 'asked');
  await tab.close();
});
