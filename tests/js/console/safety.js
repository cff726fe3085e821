/** What documents hold stays text, wherever it is shown, and names of JavaScript's own do no harm. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sees, untilLive, world } from './world.js';

const here = world();
const EVIL = '<img src=x onerror="window.__harmed=1"><script>window.__harmed=1</script>';

async function unharmed(tab) {
  assert.equal(await tab.page.evaluate(() => globalThis.__harmed ?? Object.prototype.polluted), undefined);
  assert.equal(await tab.page.locator('main img, main script, dialog img, .notices img').count(), 0);
}

test('markup in ids, names and values is shown as it is written', async () => {
  await here.create({ _id: EVIL.slice(0, 120), [EVIL.replaceAll('.', '')]: EVIL, list: [EVIL], title: EVIL });
  await here.update(EVIL.slice(0, 120), { title: `${EVIL}!` });
  await here.ask('POST', '/api/broadcast', { message: EVIL });
  const id = encodeURIComponent(EVIL.slice(0, 120));
  for (const hash of [
    '#/feed',
    '#/events',
    `#/events?id=${id}`,
    `#/events?id=${id}&tab=edit`,
    `#/events?id=${id}&tab=history`,
    `#/events?at=1&id=${id}`,
    `#/events?filter=${encodeURIComponent(`title=${EVIL.slice(0, 10)}`)}`,
    `#/manual/${id}`,
  ]) {
    const tab = await here.open(hash);
    await here.ask('POST', '/api/broadcast', { message: EVIL });
    await sees(tab, '.count', /\d/);
    await tab.page.getByRole('button', { name: /Broadcasts/ }).click();
    await sees(tab, '.broadcast-list', '<img src=x');
    await unharmed(tab);
    await tab.close();
  }
});

test('a link of the address cannot run anything', async () => {
  const tab = await here.open('#/events?columns=__proto__,constructor,title&sort=__proto__&id=__proto__');
  // The history of an id that never was.
  tab.expect(/404/);
  await sees(tab, 'h1', 'Events');
  await unharmed(tab);
  await tab.close();
});

test('fields named as JavaScript’s own are fields like others', async () => {
  const body =
    '{"_id":"odd","a":{"__proto__":{"polluted":1},"constructor":{"x":1},"hasOwnProperty":2},"constructor":3,"toString":4}';
  await fetch(`http://127.0.0.1:${here.server.port}/api/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  const tab = await here.open('#/events?id=odd');
  await untilLive(tab);
  await sees(tab, '.tree', '__proto__');
  await sees(tab, '.tree', 'polluted');
  await unharmed(tab);
  await tab.page.getByRole('tab', { name: 'Edit' }).click();
  const editor = tab.page.getByLabel('Fields of odd');
  await editor.fill((await editor.inputValue()).replace('"polluted": 1', '"polluted": 2'));
  await sees(tab, '.preview', 'a.__proto__.polluted');
  await tab.page.getByRole('button', { name: 'Save' }).click();
  await sees(tab, '.notices', 'version 2');
  const text = await (await fetch(`http://127.0.0.1:${here.server.port}/api/events/odd`)).text();
  assert.match(text, /"__proto__":\{"polluted":2\}/);
  await unharmed(tab);
  await tab.close();
});

test('a large document is cut until one opens it', async () => {
  const many = Object.fromEntries(Array.from({ length: 3000 }, (_, n) => [`field${n}`, 'x'.repeat(20)]));
  await here.create({ _id: 'large', text: 'y'.repeat(100_000), many });
  const tab = await here.open('#/events?id=large');
  await sees(tab, '.tree', 'all 97.7 KiB');
  const letters = () => tab.page.evaluate(() => document.querySelector('.tree').textContent.length);
  assert.ok((await letters()) < 2000, String(await letters()));
  await tab.page.getByRole('button', { name: 'all 97.7 KiB' }).click();
  assert.ok((await letters()) > 100_000);
  await tab.page.locator('.tree summary', { hasText: 'many' }).click();
  await tab.page.getByRole('button', { name: '2900 more' }).click();
  await sees(tab, '.tree', 'field150');
  await tab.close();
});
