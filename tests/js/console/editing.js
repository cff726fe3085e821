/** Writing in the console: what is sent, what comes of a conflict, and how to take things back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sees, until, world } from './world.js';

const here = world();

/** A page with the editor of an event open, and the editor. */
async function editing(id) {
  const tab = await here.open(`#/events?id=${id}&tab=edit`);
  const editor = tab.page.getByLabel(`Fields of ${id}`);
  await editor.waitFor();
  return { tab, editor };
}

async function rewrite(editor, from, to) {
  const text = await editor.inputValue();
  assert.ok(text.includes(from), `${from} in ${text}`);
  await editor.fill(text.replace(from, to));
}

async function versionBecomes(id, version) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const event = await here.event(id);
    if (event._version >= version || Date.now() > deadline) return event;
    await new Promise((done) => setTimeout(done, 20));
  }
}

test('only what was changed is sent, so an integer that the browser rounds is left as it is', async () => {
  await fetch(`http://127.0.0.1:${here.server.port}/api/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"_id":"big","serial":9007199254740993,"title":"a"}',
  });
  const { tab, editor } = await editing('big');
  await rewrite(editor, '"a"', '"b"');
  await sees(tab, '.preview', 'title');
  await tab.page.getByRole('button', { name: 'Save' }).click();
  await versionBecomes('big', 2);
  const response = await fetch(`http://127.0.0.1:${here.server.port}/api/events/big`);
  const text = await response.text();
  assert.match(text, /"serial":9007199254740993/);
  assert.match(text, /"title":"b"/);
  await tab.close();
});

test('what cannot be saved says why, and is not sent', async () => {
  await here.create({ _id: 'plain', title: 'a' });
  const { tab, editor } = await editing('plain');
  await editor.fill('{ "title": "b", ');
  await sees(tab, '.editor-box .field-error', 'not JSON yet');
  assert.ok(await tab.page.getByRole('button', { name: 'Save' }).isDisabled());
  await editor.fill('{ "title": "b", "_seq": 1 }');
  await sees(tab, '.editor-box .field-error', '_seq');
  await editor.fill('{ "title": "b", "$x": 1 }');
  await tab.page.getByRole('button', { name: 'Save' }).click();
  await sees(tab, '.editor-box .field-error', '$x');
  assert.equal((await here.event('plain'))._version, 1);
  await tab.close();
});

test('a conflict shows theirs and mine, and keeps both where they differ in other fields', async () => {
  await here.create({ _id: 'shared', title: 'a', status: 'open' });
  const { tab, editor } = await editing('shared');
  await rewrite(editor, '"a"', '"mine"');
  await here.update('shared', { status: 'theirs' });
  await sees(tab, '.callout', 'Version 2 was written meanwhile');
  await tab.page.getByRole('button', { name: 'Save' }).click();
  await sees(tab, '.conflict', 'Version 2 came first');
  await sees(tab, '.conflict', 'theirs');
  await sees(tab, '.conflict', 'mine');
  assert.equal((await here.event('shared')).title, 'a', 'nothing was written over unseen');
  await tab.page.getByRole('button', { name: 'Keep both' }).click();
  const event = await versionBecomes('shared', 3);
  assert.deepEqual([event.title, event.status], ['mine', 'theirs']);
  await tab.close();
});

test('where both changed the same field, one chooses: theirs, or mine over theirs', async () => {
  await here.create({ _id: 'contested', title: 'a' });
  const { tab, editor } = await editing('contested');
  await rewrite(editor, '"a"', '"mine"');
  await here.update('contested', { title: 'theirs' });
  await tab.page.getByRole('button', { name: 'Save' }).click();
  await sees(tab, '.conflict tr.both', 'title');
  assert.equal(await tab.page.getByRole('button', { name: 'Keep both' }).count(), 0);
  await tab.page.getByRole('button', { name: 'Take theirs' }).click();
  await until(tab, () => document.querySelector('.editor-box textarea').value.includes('"theirs"'));
  await rewrite(editor, '"theirs"', '"mine again"');
  await here.update('contested', { title: 'theirs again' });
  await tab.page.getByRole('button', { name: 'Save' }).click();
  await tab.page.getByRole('button', { name: 'Overwrite with mine' }).click();
  assert.equal((await versionBecomes('contested', 4)).title, 'mine again');
  await tab.close();
});

test('a draft that one keeps editing is saved over the version that it was shown with', async () => {
  await here.create({ _id: 'draft', title: 'a' });
  const { tab, editor } = await editing('draft');
  await rewrite(editor, '"a"', '"mine"');
  await here.update('draft', { title: 'theirs' });
  await tab.page.getByRole('button', { name: 'Save' }).click();
  await tab.page.getByRole('button', { name: 'Keep editing' }).click();
  assert.match(await editor.inputValue(), /"mine"/);
  await sees(tab, '.preview', 'theirs');
  await tab.page.getByRole('button', { name: 'Save' }).click();
  assert.equal((await versionBecomes('draft', 3)).title, 'mine');
  await tab.close();
});

test('a deletion is asked about once more, and can be undone', async () => {
  await here.create({ _id: 'doomed', title: 'a' });
  const tab = await here.open('#/events?id=doomed');
  await tab.page.getByRole('button', { name: 'Delete …' }).click();
  assert.equal((await here.event('doomed')).title, 'a');
  await tab.page.getByRole('button', { name: 'Delete this event' }).click();
  await sees(tab, '.panel', 'There is no such event now');
  await tab.page.getByRole('button', { name: 'Undo' }).click();
  await sees(tab, '.panel .facts', '3');
  assert.equal((await versionBecomes('doomed', 3)).title, 'a');
  await tab.close();
});

test('the history tells each change with what it changed, and restores any version', async () => {
  await here.create({ _id: 'storied', title: 'a', tags: ['x'] });
  await here.update('storied', { title: 'b' });
  await here.update('storied', { $unset: { tags: 1 } });
  const tab = await here.open('#/events?id=storied&tab=history');
  await sees(tab, '.history-item', 'Version 3');
  await sees(tab, '.history-item .unset', 'tags');
  await tab.page.getByRole('button', { name: 'Restore version 1' }).click();
  await sees(tab, '.history-item', 'Version 4');
  const event = await here.event('storied');
  assert.deepEqual([event.title, event.tags], ['a', ['x']]);
  await tab.close();
});
