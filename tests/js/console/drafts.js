/** What is typed and not saved: it is lost by nothing but the page's end, and lands in no other event. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { sees, until, untilLive, world } from './world.js';

const here = world();

afterEach(() => here.door.refuse(false));

const fields = (tab, id) => tab.page.getByLabel(`Fields of ${id}`, { exact: true });
const hash = (tab) => tab.page.evaluate(() => location.hash);

async function go(tab, address) {
  await tab.page.evaluate((address) => {
    location.hash = address;
  }, address);
}

/** A page at an event's editor, with this typed into it. */
async function typing(id, text) {
  const tab = await here.open(`#/events?id=${id}&tab=edit`);
  await fields(tab, id).waitFor();
  await untilLive(tab);
  await fields(tab, id).fill(text);
  return tab;
}

async function disconnect(tab) {
  tab.expectLostConnections();
  here.door.refuse(true);
  here.door.cut();
  await tab.page.waitForSelector('html:not([data-connection=live])');
}

test('a new event that was sent offline lands where one is not, and moves nothing', async () => {
  await here.create({ _id: 'other', title: 'a' });
  const tab = await here.open('#/events');
  await untilLive(tab);
  await tab.page.getByRole('button', { name: 'New event' }).click();
  await disconnect(tab);
  await fields(tab, 'the new event').fill('{ "_id": "late", "made": "offline" }');
  await fields(tab, 'the new event').press('Control+Enter');
  await sees(tab, '.editor-box .callout', 'It is sent as soon as there is one');
  await sees(tab, '.view-note', / · (connecting|offline) · 1 to send$/);
  assert.ok(await fields(tab, 'the new event').evaluate((box) => box.readOnly));
  await tab.page.keyboard.press('Escape');
  await go(tab, '#/events?id=other&tab=edit');
  await sees(tab, '.panel .callout', 'cannot be read now');
  const answered = tab.page.waitForSelector('.notice:has-text("Created late")');
  here.door.refuse(false);
  await fields(tab, 'other').fill('{ "title": "mine" }');
  await answered;
  assert.match(await hash(tab), /id=other&tab=edit/);
  assert.equal(await fields(tab, 'other').inputValue(), '{ "title": "mine" }');
  assert.deepEqual((await here.event('late')).made, 'offline');
  await tab.page.getByRole('button', { name: 'Show' }).click();
  await sees(tab, '.panel-title', 'late');
  await tab.page.getByRole('button', { name: 'New event' }).click();
  assert.equal(await fields(tab, 'the new event').inputValue(), '{\n  \n}', 'what was created is no draft');
  await tab.close();
});

test('a new event that is refused when one is elsewhere is kept as a draft', async () => {
  await here.create({ _id: 'taken', title: 'a' });
  const tab = await here.open('#/events');
  await untilLive(tab);
  await tab.page.getByRole('button', { name: 'New event' }).click();
  await disconnect(tab);
  await fields(tab, 'the new event').fill('{ "_id": "taken", "n": 1 }');
  await tab.page.getByRole('button', { name: 'Create', exact: true }).click();
  await tab.page.keyboard.press('Escape');
  await tab.page.getByRole('button', { name: 'New event' }).click();
  await until(tab, () => document.querySelector('.editor-box textarea').value === '{\n  \n}');
  await tab.page.keyboard.press('Escape');
  here.door.refuse(false);
  await sees(tab, '.notice', 'Not created');
  await tab.page.getByRole('button', { name: 'New event' }).click();
  assert.equal(await fields(tab, 'the new event').inputValue(), '{ "_id": "taken", "n": 1 }');
  await tab.close();
});

test('what was typed is there again after Escape, another event, another view and the way back', async () => {
  await here.create({ _id: 'kept', title: 'a' });
  await here.create({ _id: 'beside', title: 'b' });
  const draft = '{ "title": "long work" }';
  const tab = await typing('kept', draft);
  const isKept = async () => {
    await go(tab, '#/events?id=kept&tab=edit');
    await sees(tab, '.editor-box .callout', 'This is your draft, which is not saved');
    assert.equal(await fields(tab, 'kept').inputValue(), draft);
  };
  await fields(tab, 'kept').press('Escape');
  await tab.page.waitForSelector('.panel', { state: 'hidden' });
  await isKept();
  await tab.page.locator('.table-row', { hasText: 'beside' }).click();
  await sees(tab, '.panel-title', 'beside');
  await tab.page.getByRole('tab', { name: 'Edit' }).click();
  assert.match(await fields(tab, 'beside').inputValue(), /"b"/, 'each event has its own');
  await isKept();
  await tab.page.getByRole('link', { name: 'Feed' }).click();
  await sees(tab, 'h1', 'Feed');
  await tab.page.goBack();
  await fields(tab, 'kept').waitFor();
  await isKept();
  await sees(tab, '[role=tab]', 'Edit · draft');
  assert.deepEqual(await tab.axe(), []);
  await tab.page.getByRole('button', { name: 'Discard my draft' }).click();
  assert.match(await fields(tab, 'kept').inputValue(), /"a"/);
  await tab.page.getByRole('button', { name: 'New event' }).click();
  await fields(tab, 'the new event').fill('{ "a": "new work" }');
  await fields(tab, 'the new event').press('Escape');
  await tab.page.getByRole('button', { name: 'New event' }).click();
  assert.equal(await fields(tab, 'the new event').inputValue(), '{ "a": "new work" }');
  await tab.close();
});

test('the browser asks before a page goes that holds a draft or an unsent write, and only then', async () => {
  await here.create({ _id: 'leaving', title: 'a' });
  const tab = await typing('leaving', '{ "title": "unsaved" }');
  let asked = 0;
  tab.page.on('dialog', (dialog) => {
    asked += 1;
    dialog.accept();
  });
  const reload = async () => {
    // Pages ask only for those who have done something with them.
    await tab.page.locator('.panel .panel-title').click();
    await tab.page.reload();
    await fields(tab, 'leaving').waitFor();
    return asked;
  };
  assert.equal(await reload(), 1);
  await fields(tab, 'leaving').fill('{ "title": "unsaved" }');
  await tab.page.getByRole('button', { name: 'Discard my draft' }).click();
  assert.equal(await reload(), 1, 'there was nothing to lose');
  await tab.close();
});

test('who types in an event that is deleted keeps the text, and can create it anew', async () => {
  await here.create({ _id: 'gone', title: 'a' });
  const tab = await typing('gone', '{ "title": "typing" }');
  await here.remove('gone');
  await sees(tab, '.editor-box .callout', 'This event was deleted');
  assert.equal(await fields(tab, 'gone').inputValue(), '{ "title": "typing" }');
  await tab.page.getByRole('button', { name: 'Copy' }).waitFor();
  assert.deepEqual(await tab.axe(), []);
  await tab.page.getByRole('button', { name: 'Create it anew' }).click();
  await sees(tab, '.notice', 'Saved gone');
  assert.equal((await here.event('gone')).title, 'typing');
  await here.remove('gone');
  await sees(tab, '.panel', 'There is no such event now');
  await tab.page.waitForSelector('.editor-box', { state: 'detached' });
  await tab.close();
});

test('what others wrote is told by one table, before saving and after it was refused', async () => {
  await here.create({ _id: 'two', title: 'base' });
  const tab = await typing('two', '{ "title": "mine" }');
  await here.update('two', { title: 'theirs' });
  await sees(tab, '.editor-box .differences', 'theirs');
  const told = () => tab.page.locator('.editor-box .differences').allInnerTexts();
  assert.equal((await told()).length, 1);
  assert.match((await told())[0], /It was\s+Theirs\s+Yours\s+title\s+.base.\s+.theirs.\s+.mine./);
  await tab.page.getByRole('button', { name: 'Save' }).click();
  await sees(tab, '.conflict', 'Version 2 came first');
  assert.equal((await told()).length, 1);
  await here.update('two', { title: 'theirs again' });
  await sees(tab, '.conflict', 'Version 3 came first');
  assert.match((await told()).join(), /title\s+.base.\s+.theirs again.\s+.mine./);
  await tab.page.getByRole('button', { name: 'Keep editing' }).click();
  assert.match((await told()).join(), /Now\s+Yours\s+title\s+.theirs again.\s+.mine./);
  await tab.close();
});
