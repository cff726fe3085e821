/** A link to a moment shows that moment, or says in one sentence why there is none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sees, untilLive, world } from './world.js';

const here = world({ orders: 6 });

/** Everything that the view says of itself, without the names of buttons and fields. */
function said(tab) {
  return tab.page.evaluate(() =>
    ['.view-note', '.field-error', '.timeline-place', '.timeline-change', '.empty p', '.panel']
      .flatMap((selector) => [...document.querySelectorAll(selector)])
      .filter((element) => element.checkVisibility() && element.innerText.trim() !== '')
      .map((element) => element.innerText.trim()),
  );
}

test('before the first change there were no events, and that is the past', async () => {
  for (const at of ['2020-01-01T00:00:00Z', '2020-01-01T00:00:00+02:00', '2020-01-01T00:00:00.5z', '0']) {
    const tab = await here.open(`#/events?at=${at}`);
    await sees(tab, '.empty', 'There were no events then');
    await sees(tab, '.timeline-change', 'The past');
    await sees(tab, '.timeline-change', 'before the first change');
    assert.match(await tab.page.locator('.timeline-place').innerText(), /^0 of \d/);
    assert.equal(await tab.page.locator('.table-row:visible').count(), 0);
    assert.equal(await tab.page.locator('.view').getAttribute('data-live'), 'false');
    assert.ok((await tab.page.evaluate(() => location.hash)).includes(at), 'the address still names the moment');
    await tab.page.getByRole('button', { name: 'Back to now' }).click();
    await untilLive(tab);
    await sees(tab, '.timeline-place', 'Now');
    await tab.close();
  }
});

test('a time shows the events and the event as they were then', async () => {
  await here.create({ _id: 'timed', state: 'early' });
  const { _updatedAt: time } = await here.event('timed');
  // Times are told to the millisecond: the next change comes in another.
  while (Date.now() <= Date.parse(time)) await new Promise(setImmediate);
  await here.update('timed', { state: 'late' });
  const tab = await here.open(`#/events?at=${time}&filter=_id%3Dtimed&id=timed`);
  await sees(tab, '.table-row', 'early');
  await sees(tab, '.panel .tree', 'early');
  await sees(tab, '.panel .callout', 'As it was at');
  await sees(tab, '.timeline-change', 'timed');
  await tab.page.getByRole('button', { name: 'One change on' }).click();
  await sees(tab, '.table-row', 'late');
  await tab.close();
});

test('the clock leads to before the first change as well', async () => {
  const tab = await here.open('#/events');
  await untilLive(tab);
  await tab.page.getByRole('button', { name: 'Go to a time' }).click();
  await tab.page.getByRole('textbox', { name: 'Time' }).fill('2020-01-01T00:00:00');
  await tab.page.getByRole('button', { name: 'Go there' }).click();
  await sees(tab, '.empty', 'There were no events then');
  await tab.close();
});

test('what is no moment, or is still to come, is said in one sentence, which leads back to now', async () => {
  const cases = ['-1', '1e99', 'NaN', 'yesterday', '2020-02-31T00:00:00Z', '2020-01-01', '\u202e1']
    .map((at) => [at, /^“.*” is no moment: write a seq, or a time such as \S+\.$/])
    .concat(
      ['999999', '9'.repeat(400), '2999-01-01T00:00:00Z'].map((at) => [at, /^[^.]* is still to come[^.]*\.$/]),
    );
  for (const [at, sentence] of cases) {
    const tab = await here.open(`#/events?at=${encodeURIComponent(at)}&id=order-1`);
    await sees(tab, '.empty', /no moment|to come/);
    const all = await said(tab);
    assert.equal(all.length, 1, `${at}: ${JSON.stringify(all)}`);
    assert.match(all[0], sentence, at);
    await tab.page.getByRole('button', { name: 'Back to now' }).click();
    await untilLive(tab);
    await sees(tab, '.timeline-place', 'Now');
    await sees(tab, '.panel .tree', 'Jonas Weber');
    await tab.close();
  }
});

test('from a moment that is not one comes to one that is, by the address alone', async () => {
  const tab = await here.open('#/events');
  await untilLive(tab);
  const go = (hash) => tab.page.evaluate((hash) => (location.hash = hash), hash);
  await go('#/events?at=999999');
  await sees(tab, '.empty', 'to come');
  await go('#/events?at=2');
  await sees(tab, '.table-row', 'order-2');
  assert.match((await said(tab)).join(' '), /2 of \d/);
  await tab.close();
});
