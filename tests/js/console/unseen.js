/** Characters that nobody sees do not change what people read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { escaped, hasUnseen, partsOf, spelled } from '../../../src/console/unseen.js';
import { readFilter, seenFilter } from '../../../src/console/filter_text.js';
import { NARROW, sees, untilLive, world } from './world.js';

const here = world();
const RANGES = [
  [0x00, 0x08],
  [0x0b, 0x1f],
  [0x7f, 0x9f],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x2064],
  [0x2066, 0x206f],
  [0xfeff, 0xfeff],
  [0xe0020, 0xe007f],
];
const ID = 'bidi\u202egpj.exe';

test('every character that is not seen is named, and others are left as they are', () => {
  for (const [from, to] of RANGES)
    for (let code = from; code <= to; code += 1) {
      const name = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
      const text = `a${String.fromCodePoint(code)}b`;
      assert.deepEqual(partsOf(text), ['a', { name }, 'b']);
      assert.equal(spelled(text), `a[${name}]b`);
      assert.deepEqual(JSON.parse(escaped(`"a${JSON.stringify(text).slice(2, -2)}b"`)), text);
    }
  for (const text of ['', 'tab\tand\nline', 'Lucía 東京 שלום', '👩🏽‍💻 👨‍👩‍👧 ❤️‍🔥', '–“”…']) assert.ok(!hasUnseen(text), text);
  assert.ok(hasUnseen('pay\u200dpal'));
});

test('a text of nothing else makes few elements', () => {
  assert.ok(partsOf('\u200b'.repeat(200_000)).length < 30);
});

test('a filter with such characters is written so that it can be read, and means the same', () => {
  for (const text of [`_id=${ID}`, ID, `{"_id":"${ID}"}`, `a="x\u2066 y" b~\u200f`]) {
    assert.ok(!hasUnseen(seenFilter(text)), text);
    assert.deepEqual(readFilter(seenFilter(text)), readFilter(text));
  }
  assert.equal(seenFilter('status = open'), 'status = open');
  assert.ok(!hasUnseen(seenFilter('{"a":\u202e')));
});

/** Texts that are shown and have such a character in them. */
function unmarked(tab) {
  return tab.page.evaluate(() => {
    const found = [];
    const hidden = /[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\u0080-\u009f]/;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) if (hidden.test(walker.currentNode.data)) found.push(walker.currentNode.data);
    for (const element of document.querySelectorAll('*'))
      for (const name of ['aria-label', 'title', 'data-brief'])
        if (hidden.test(element.getAttribute(name) ?? '')) found.push(`${name}: ${element.getAttribute(name)}`);
    for (const { value } of document.querySelectorAll('input:not([type=checkbox]), textarea'))
      if (hidden.test(value)) found.push(value);
    return found;
  });
}

test('such characters are marked wherever data are shown', async () => {
  const text = '\u202eevil\u2066 \u0085\ufeffend';
  await here.create({ _id: ID, title: text, ['na\u200bme']: { deep: text }, list: [text] });
  await here.update(ID, { title: `${text}!`, list: [text, 1] });
  const id = encodeURIComponent(ID);
  for (const [hash, place] of [
    ['#/feed', '.feed-row'],
    ['#/events', '.table-row'],
    ['#/events?columns=_id,title,na%E2%80%8Bme', '.table-head'],
    [`#/events?id=${id}`, '.panel .tree'],
    [`#/events?id=${id}&tab=edit`, '.panel-title'],
    [`#/events?id=${id}&tab=history`, '.history-item'],
    [`#/events?at=1&id=${id}`, '.timeline-change'],
    [`#/events?filter=${encodeURIComponent(`_id=${ID}`)}`, '.table-row'],
    [`#/events?filter=${encodeURIComponent('a\u202e b=1')}`, '.field-error'],
    [`#/manual/${id}`, '.manual-text'],
  ]) {
    const tab = await here.open(hash);
    await here.ask('POST', '/api/broadcast', { message: text });
    await sees(tab, '.count', /\d/);
    await tab.page.getByRole('button', { name: /Broadcasts/ }).click();
    await sees(tab, '.broadcast-list', 'U+202E');
    await sees(tab, place, /U\+20(2E|0B)/);
    assert.deepEqual(await unmarked(tab), [], hash);
    await tab.close();
  }
});

test('a change of the feed, a notice and a narrow row mark them as well', async () => {
  await here.create({ _id: `${ID}2`, title: 'x\u202ey' });
  const tab = await here.open('#/feed');
  await tab.page.locator('.feed-row', { hasText: `bidiU+202Egpj.exe2` }).click();
  await sees(tab, '.panel-title', 'U+202E');
  assert.deepEqual(await unmarked(tab), []);
  await tab.close();
  const narrow = await here.open(`#/events?id=${encodeURIComponent(`${ID}2`)}`, { viewport: NARROW });
  await narrow.page.getByRole('button', { name: 'Delete …' }).click();
  await narrow.page.getByRole('button', { name: 'Delete this event' }).click();
  await sees(narrow, '.notices', 'U+202E');
  assert.deepEqual(await unmarked(narrow), []);
  await narrow.close();
});

test('what is typed or pasted into the box is read from left to right', async () => {
  const tab = await here.open('#/events');
  await untilLive(tab);
  const box = tab.page.getByLabel('Filter the events');
  assert.equal(await box.evaluate((input) => getComputedStyle(input).direction), 'ltr');
  assert.equal(await box.getAttribute('dir'), 'ltr');
  await box.fill(ID);
  await box.press('Enter');
  await sees(tab, '.view-note', /^1 event · live$/);
  assert.equal(await box.inputValue(), '{"_id":"bidi\\u202egpj.exe"}');
  await tab.close();
});

test('an editor shows them as escapes, and saves what they stand for', async () => {
  await here.create({ _id: 'edited', title: 'x\u202ey', n: 1 });
  const tab = await here.open('#/events?id=edited&tab=edit');
  const editor = tab.page.getByLabel('Fields of edited');
  const text = await editor.inputValue();
  assert.ok(text.includes('"x\\u202ey"'), text);
  await editor.fill(text.replace('"n": 1', '"n": 2'));
  await tab.page.getByRole('button', { name: 'Save' }).click();
  await sees(tab, '.notices', 'version 2');
  const { title, n } = await here.event('edited');
  assert.deepEqual([title, n], ['x\u202ey', 2]);
  await tab.close();
});
