/** What the views say of themselves is true, and in the address. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { sees, until, untilLive, world } from './world.js';

const here = world();

afterEach(() => here.door.refuse(false));

test('a change that is opened in the feed is in the address, and closed by the way back', async () => {
  await here.create({ _id: 'seen', title: 'a' });
  const { seq } = await here.update('seen', { title: 'b' });
  const tab = await here.open('#/feed');
  await tab.page.locator('.feed-row', { hasText: 'seen' }).filter({ hasText: 'update' }).click();
  await sees(tab, '.panel .differences', 'b');
  assert.equal(await tab.page.evaluate(() => location.hash), `#/feed?change=${seq}`);
  const other = await here.open(`#/feed?change=${seq}`);
  await sees(other, '.panel-title', 'seen');
  await sees(other, '.panel .differences', 'b');
  await other.page.keyboard.press('Escape');
  await other.page.waitForSelector('.panel', { state: 'hidden' });
  assert.equal(await other.page.evaluate(() => location.hash), '#/feed');
  await other.close();
  await tab.page.goBack();
  await tab.page.waitForSelector('.panel', { state: 'hidden' });
  await tab.page.goForward();
  await sees(tab, '.panel .differences', 'b');
  tab.expect(/status of 410/);
  await tab.page.evaluate(() => {
    location.hash = '#/feed?change=999999';
  });
  await sees(tab, '.panel', 'There is no change 999999');
  await tab.close();
});

test('a filter that the console refuses is not what is shown, and the header says so until it is mended', async () => {
  await here.create({ _id: 'shown', status: 'open' });
  for (const view of ['events', 'feed']) {
    const tab = await here.open(`#/${view}?filter=status%3Dopen`);
    await sees(tab, view === 'feed' ? '.feed-row' : '.table-row', 'shown');
    const box = tab.page.locator('.filter-input');
    await box.fill('status=open or status=paid');
    await sees(tab, '.field-error', '{"$or":[{"status":"open"},{"status":"paid"}]}');
    await sees(tab, '.view-note', 'what was shown before');
    await box.fill('status=open');
    await until(tab, () => !document.querySelector('.view-note').textContent.includes('before'));
    assert.equal(await tab.page.locator('.filter-box .field-error').textContent(), '');
    await tab.close();
  }
});

test('what is being typed into a filter outlives an event that is opened and a connection that is lost', async () => {
  const tab = await here.open('#/feed');
  await sees(tab, '.feed-row', 'shown');
  await tab.page.locator('.filter-input').fill('status=');
  await tab.page.locator('.feed-row', { hasText: 'shown' }).first().click();
  await sees(tab, '.panel-title', 'shown');
  tab.expectLostConnections();
  here.door.refuse(true);
  here.door.cut();
  await sees(tab, '.view-note', /· (connecting|offline)$/);
  here.door.refuse(false);
  await tab.page.waitForSelector('html[data-connection=live]');
  assert.equal(await tab.page.locator('.filter-input').inputValue(), 'status=');
  await tab.close();
});

test('a table without a connection does not call itself live', async () => {
  const tab = await here.open('#/events');
  await untilLive(tab);
  tab.expectLostConnections();
  here.door.refuse(true);
  here.door.cut();
  await sees(tab, '.view-note', /events? · (connecting|offline)$/);
  await tab.page.waitForSelector('html[data-connection=offline]');
  await sees(tab, '.view-note', /events? · offline$/);
  here.door.refuse(false);
  await sees(tab, '.view-note', /events? · live$/);
  await tab.close();
});

test('a feed that begins late says that it shows the newest', async () => {
  for (let n = 0; n < 210; n += 1) await here.create({ n });
  const tab = await here.open('#/feed');
  await sees(tab, '.view-note', /the newest 200 changes$/);
  await tab.close();
});

test('Ctrl and Enter send a broadcast', async () => {
  const tab = await here.open('#/node');
  await tab.page.getByRole('button', { name: 'Broadcasts' }).click();
  const box = tab.page.getByLabel('Message as JSON');
  await box.fill('hello');
  await box.press('Control+Enter');
  await sees(tab, 'dialog .field-error', 'not JSON yet');
  await box.fill('{"message":"by keys"}');
  await box.press('Control+Enter');
  await sees(tab, '.broadcast-list', 'by keys');
  await tab.close();
});

test('a name that stands twice is refused before it is sent', async () => {
  await here.create({ _id: 'twice', a: 1 });
  const tab = await here.open('#/events?id=twice&tab=edit');
  await tab.page.getByLabel('Fields of twice').fill('{"a":1,"a":2}');
  await sees(tab, '.editor-box .field-error', '"a" stands twice in one object');
  assert.ok(await tab.page.getByRole('button', { name: 'Save' }).isDisabled());
  await tab.close();
});
