/** What pages hear of each other, and of a server that goes and comes back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sees, until, untilLive, world } from './world.js';

const here = world();

test('an empty log begins with how to start, and a press writes the first event', async () => {
  const tab = await here.open('');
  await sees(tab, 'h1', 'Start');
  await sees(tab, 'pre', `curl -s ${here.url}/api/events`);
  await tab.page.getByRole('button', { name: 'Write a first event' }).click();
  await tab.page.locator('.buttons a[href*="id="]').click();
  await sees(tab, '.panel .tree', '"first"');
  await tab.close();
});

test('a write in one page appears in the other', async () => {
  const one = await here.open('#/events');
  const other = await here.open('#/events');
  const feed = await here.open('#/feed');
  await untilLive(other);
  await one.page.getByRole('button', { name: 'New event' }).click();
  await one.page.getByLabel('Fields of the new event').fill('{ "_id": "from-one", "title": "written in one" }');
  await one.page.getByRole('button', { name: 'Create' }).click();
  await sees(other, '.table-row', 'from-one');
  await sees(feed, '.feed-row', 'from-one');
  await here.update('from-one', { title: 'written over' });
  await sees(one, '.panel .tree', 'written over');
  await sees(feed, '.feed-row del', 'written in one');
  await sees(feed, '.feed-row ins', 'written over');
  for (const tab of [one, other, feed]) await tab.close();
});

test('a feed that is paused stands still, counts what waits, and goes on with all of it', async () => {
  const tab = await here.open('#/feed');
  await here.create({ _id: 'before-pause' });
  await sees(tab, '.feed-row', 'before-pause');
  await tab.page.getByRole('button', { name: 'Pause' }).click();
  for (let n = 0; n < 7; n += 1) await here.create({ _id: `while-paused-${n}` });
  await sees(tab, '.pause', '7 waiting');
  assert.equal(await tab.page.locator('.feed-row', { hasText: 'while-paused' }).count(), 0);
  await tab.page.getByRole('button', { name: 'Go on' }).click();
  await sees(tab, '.feed-row', 'while-paused-6');
  assert.equal(await tab.page.locator('.feed-row', { hasText: 'while-paused' }).count(), 7);
  await tab.close();
});

test('a filter is told what is wrong with it, and where; then it filters live', async () => {
  const tab = await here.open('#/events');
  const box = tab.page.getByLabel('Filter the events');
  await box.fill('{"total":{"$foo":1}}');
  await sees(tab, '.field-error', 'filter.total.$foo');
  assert.equal(await box.getAttribute('aria-invalid'), 'true');
  await box.fill('{"total":');
  await sees(tab, '.field-error', 'not JSON yet');
  await box.fill('colour=red total>5');
  await sees(tab, '.empty', 'No event matches');
  await here.create({ _id: 'red-6', colour: 'red', total: 6 });
  await here.create({ _id: 'red-5', colour: 'red', total: 5 });
  await sees(tab, '.table-row', 'red-6');
  assert.equal(await tab.page.locator('.table-row', { hasText: 'red-5' }).count(), 0);
  await here.update('red-6', { total: 1 });
  await sees(tab, '.empty', 'No event matches');
  await tab.close();
});

test('a broadcast is sent to all, and counted where one has not looked', async () => {
  const one = await here.open('#/feed');
  const other = await here.open('#/node');
  await one.page.getByRole('button', { name: 'Broadcasts' }).click();
  await one.page.getByLabel('Message as JSON').fill('{"message":"lunch"}');
  await one.page.getByRole('button', { name: 'Send to every session' }).click();
  await sees(one, '.broadcast-list', 'lunch');
  await sees(other, '.count', '1');
  await other.page.getByRole('button', { name: /Broadcasts/ }).click();
  await sees(other, '.broadcast-list', 'lunch');
  await one.close();
  await other.close();
});

test('a view that is opened without a connection is filled when there is one', async () => {
  await here.create({ _id: 'before-the-cut', title: 'x' });
  const tab = await here.open('#/start');
  tab.expectLostConnections();
  here.door.refuse(true);
  here.door.cut();
  await tab.page.waitForSelector('html:not([data-connection=live])');
  await tab.page.getByRole('link', { name: 'Events' }).click();
  await tab.page.getByRole('link', { name: 'Feed' }).click();
  await sees(tab, 'h1', 'Feed');
  await tab.page.waitForSelector('html[data-connection=offline]');
  here.door.refuse(false);
  await sees(tab, '.feed-row', 'before-the-cut');
  assert.equal(await tab.page.locator('.filter-box .field-error').textContent(), '');
  here.door.refuse(true);
  here.door.cut();
  await tab.page.waitForSelector('html:not([data-connection=live])');
  await tab.page.getByRole('link', { name: 'Events' }).click();
  here.door.refuse(false);
  await sees(tab, '.table-row', 'before-the-cut');
  assert.equal(await tab.page.locator('.filter-box .field-error').textContent(), '');
  await tab.close();
});

test('after a restart nothing is missing, and the page says what the connection was', async () => {
  const feed = await here.open('#/feed');
  const table = await here.open('#/events');
  await untilLive(table);
  for (const tab of [feed, table]) tab.expectLostConnections();
  await here.create({ _id: 'before-restart' });
  await sees(feed, '.feed-row', 'before-restart');
  here.door.refuse(true);
  here.door.cut();
  await feed.page.waitForSelector('html:not([data-connection=live])');
  await here.server.kill();
  await here.server.start();
  for (let n = 0; n < 20; n += 1) await here.create({ _id: `while-away-${String(n).padStart(2, '0')}` });
  here.door.refuse(false);
  await feed.page.waitForSelector('html[data-connection=live]');
  await here.create({ _id: 'after-restart' });
  await sees(feed, '.feed-row', 'after-restart');
  await sees(table, '.table-row', 'after-restart');
  await feed.page.waitForFunction(() => {
    const seqs = [...document.querySelectorAll('.feed-row:not([hidden]) .feed-seq')]
      .map((cell) => Number(cell.textContent))
      .sort((a, b) => b - a);
    return seqs.length > 15 && seqs.every((seq, index) => index === 0 || seqs[index - 1] === seq + 1);
  });
  const { data } = await here.ask('GET', '/api/events');
  await until(
    table,
    (count) => document.querySelector('.view-note').textContent.startsWith(`${count} events`),
    data.length,
  );
  await feed.close();
  await table.close();
});
