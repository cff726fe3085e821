/** The console without a mouse. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sees, untilLive, world } from './world.js';

const here = world({ orders: 12 });

/** Presses Tab until the focus is on what has this name. */
async function tabTo(tab, name) {
  for (let presses = 0; presses < 60; presses += 1) {
    await tab.page.keyboard.press('Tab');
    if ((await focused(tab)) === name) return;
  }
  throw new Error(`Tab never comes to “${name}”`);
}

/** What has the focus, as a screen reader names it. */
function focused(tab) {
  return tab.page.evaluate(() => {
    const element = document.activeElement;
    return (element.getAttribute('aria-label') ?? element.textContent).trim();
  });
}

/** What the active row of the list says, once it is another than `before`: it is marked with the next frame. */
async function activeRow(tab, before) {
  const said = await tab.page.waitForFunction((before) => {
    const id = document.activeElement.getAttribute('aria-activedescendant');
    const text = document.getElementById(id)?.textContent;
    return text !== before && text;
  }, before);
  return said.jsonValue();
}

test('the first stop leads past the ways to the content', async () => {
  const tab = await here.open('#/start');
  await tab.page.keyboard.press('Tab');
  assert.equal(await focused(tab), 'Skip to the content');
  await tab.page.keyboard.press('Enter');
  assert.equal(await tab.page.evaluate(() => document.activeElement.id), 'main');
  assert.equal(await tab.page.evaluate(() => location.hash), '#/start');
  await tab.close();
});

test('from the ways to a view, its rows, a document, an edit, and back', async () => {
  const tab = await here.open('#/feed');
  await tabTo(tab, 'Events');
  await tab.page.keyboard.press('Enter');
  await sees(tab, 'h1', 'Events');
  assert.equal(await focused(tab), 'Events');
  assert.equal(await tab.page.title(), 'Events · livelog');
  await untilLive(tab);
  await tabTo(tab, 'Events');
  assert.equal(await tab.page.evaluate(() => document.activeElement.getAttribute('role')), 'grid');
  const first = await activeRow(tab);
  await tab.page.keyboard.press('ArrowDown');
  const active = await activeRow(tab, first);
  assert.ok(active.startsWith('order-'), active);
  await tab.page.keyboard.press('Enter');
  await tab.page.waitForSelector('.panel .tree');
  const id = await focused(tab);
  assert.ok(active.startsWith(id), `the focus is on the title of the panel: ${id}`);
  await tabTo(tab, 'Document');
  await tab.page.keyboard.press('ArrowRight');
  assert.equal(await focused(tab), 'Edit');
  await tabTo(tab, `Fields of ${id}`);
  const text = await tab.page.evaluate(() => document.activeElement.value);
  await tab.page.keyboard.press('Control+a');
  await tab.page.keyboard.insertText(text.replace('"customer"', '"buyer"'));
  await tab.page.keyboard.press('Control+Enter');
  await sees(tab, '.notices', `Saved ${id}`);
  assert.ok((await here.event(id)).buyer);
  await tab.page.keyboard.press('Escape');
  await tab.page.waitForSelector('.panel', { state: 'hidden' });
  assert.equal(await tab.page.evaluate(() => document.activeElement.getAttribute('role')), 'grid');
  await tab.close();
});

test('the rows go to both ends and by pages, and say how many they are', async () => {
  const tab = await here.open('#/events');
  await untilLive(tab);
  const grid = tab.page.getByRole('grid', { name: 'Events' });
  await grid.focus();
  const active = () =>
    tab.page.evaluate(() =>
      document
        .getElementById(document.querySelector('[role=grid]').getAttribute('aria-activedescendant'))
        ?.getAttribute('aria-rowindex'),
    );
  const count = Number(await grid.getAttribute('aria-rowcount'));
  await tab.page.keyboard.press('End');
  await tab.page.waitForFunction(
    (count) =>
      document
        .getElementById(document.querySelector('[role=grid]').getAttribute('aria-activedescendant'))
        ?.getAttribute('aria-rowindex') === String(count),
    count,
  );
  await tab.page.keyboard.press('Home');
  await tab.page.waitForFunction(
    () =>
      document
        .getElementById(document.querySelector('[role=grid]').getAttribute('aria-activedescendant'))
        ?.getAttribute('aria-rowindex') === '2',
  );
  assert.equal(await active(), '2');
  await tab.close();
});

test('a column is sorted, the feed is paused, a broadcast is sent', async () => {
  const tab = await here.open('#/events');
  await untilLive(tab);
  await tabTo(tab, 'total');
  await tab.page.keyboard.press('Enter');
  await tab.page.waitForSelector('[data-path=total][aria-sort=ascending]');
  await tab.page.evaluate(() => {
    location.hash = '#/feed';
  });
  await tabTo(tab, 'Pause');
  await tab.page.keyboard.press('Space');
  await tab.page.waitForSelector('.pause[aria-pressed=true]');
  await tabTo(tab, 'Broadcasts');
  await tab.page.keyboard.press('Enter');
  await tab.page.waitForSelector('dialog[open]');
  await tabTo(tab, 'Send to every session');
  await tab.page.keyboard.press('Enter');
  await sees(tab, '.broadcast-list', 'Hello everyone!');
  await tab.page.keyboard.press('Escape');
  await tab.page.waitForSelector('dialog:not([open])', { state: 'attached' });
  await tab.close();
});
