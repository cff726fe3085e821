/** The time slider. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sees, until, untilLive, world } from './world.js';

const here = world();

async function tell() {
  const first = await here.create({ _id: 'lamp', price: 10 });
  await here.update('lamp', { price: 20 });
  await here.create({ _id: 'desk', price: 300 });
  await here.remove('lamp');
  return first.seq;
}

test('the slider shows the events as they were, and says that it is the past', async () => {
  const first = await tell();
  const tab = await here.open('#/events');
  await sees(tab, '.table-row', 'desk');
  assert.equal(await tab.page.locator('.table-row', { hasText: 'lamp' }).count(), 0);
  const slider = tab.page.getByLabel('Position in the log');
  await slider.fill(String(first + 1));
  await sees(tab, '.table-row', 'lamp');
  await sees(tab, '.table-row', '20');
  assert.equal(await tab.page.locator('.table-row', { hasText: 'desk' }).count(), 0);
  await sees(tab, '.timeline-change', 'The past');
  await sees(tab, '.timeline-change', 'price → 20');
  assert.equal(await tab.page.getByRole('button', { name: 'New event' }).count(), 0, 'nothing is written in the past');
  await slider.fill(String(first));
  await sees(tab, '.table-row', '10');
  await tab.page.getByRole('button', { name: 'Back to now' }).click();
  await sees(tab, '.table-row', 'desk');
  await untilLive(tab);
  await tab.close();
});

test('the past does not move while others write, and the address keeps it', async () => {
  const first = await here.create({ _id: 'still', state: 'early' });
  const tab = await here.open(`#/events?at=${first.seq}&filter=_id%3Dstill&id=still`);
  await sees(tab, '.panel .tree', 'early');
  await here.update('still', { state: 'late' });
  const other = await here.open('#/events?filter=_id%3Dstill');
  await sees(other, '.table-row', 'late');
  assert.equal(await tab.page.locator('.table-row', { hasText: 'late' }).count(), 0);
  await tab.page.getByRole('button', { name: 'Restore version 1' }).click();
  await sees(other, '.table-row', 'early');
  await tab.close();
  await other.close();
});

test('by keyboard one steps through the log, and plays it to now', async () => {
  await tell().catch(() => here.update('desk', { price: 1 }));
  const tab = await here.open('#/events');
  await untilLive(tab);
  const slider = tab.page.getByLabel('Position in the log');
  await slider.focus();
  await tab.page.keyboard.press('ArrowLeft');
  await tab.page.waitForSelector('.timeline[data-past=true]');
  await tab.page.keyboard.press('ArrowRight');
  await tab.page.waitForSelector('.timeline[data-past=false]');
  await tab.page.keyboard.press('Home');
  await until(tab, () => new URLSearchParams(location.hash.split('?')[1]).get('at') === '1');
  await tab.page.getByRole('button', { name: 'One change on' }).press('Enter');
  await until(tab, () => new URLSearchParams(location.hash.split('?')[1]).get('at') === '2');
  await tab.page.getByRole('button', { name: 'Play' }).press('Enter');
  await tab.page.waitForSelector('.timeline[data-past=false]');
  await untilLive(tab);
  await tab.close();
});
