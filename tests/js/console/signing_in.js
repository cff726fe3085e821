/** A server that asks who is there: who is let in, what each sees, and what is left of them when they go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NARROW, sees, tokenOf, until, untilLive, world } from './world.js';

const MINE = { owner: { $claim: 'sub' } };
const USER = {
  read: { $or: [{ public: true }, MINE] },
  create: true,
  update: { before: MINE },
  set: MINE,
  authors: true,
};
const ADMIN = {
  read: true,
  create: true,
  update: true,
  delete: true,
  broadcast: { send: true, hear: true },
  past: 'all',
  authors: true,
  operator: true,
};
const ROLES = { user: USER, admin: ADMIN };
const WITHOUT_GUESTS = { roles: ROLES };
const WITH_GUESTS = { anonymous: 'guest', roles: { ...ROLES, guest: { read: { public: true } } } };

const ada = (claims) => tokenOf('ada', { role: ['user', 'admin'], ...claims });
const bob = () => tokenOf('bob', { role: 'user' });
const EVENTS = [
  { _id: 'of-ada', title: 'mine' },
  { _id: 'of-all', title: 'ours', public: true },
];

const here = world({ roles: ROLES, token: ada(), events: EVENTS });

/** What a browser says of each refusal by itself. */
const REFUSALS = /status of 40[13]/;

async function stranger(hash, options) {
  const tab = await here.enter(hash, options);
  tab.expect(REFUSALS);
  return tab;
}

async function signIn(tab, token, role = '') {
  await tab.page.getByLabel('Token or API key').fill(token);
  await tab.page.getByLabel(/^Role/).fill(role);
  await tab.page.keyboard.press('Enter');
}

const isLive = (tab) => tab.page.waitForSelector('html[data-connection=live]');
const asks = (tab) => tab.page.locator('dialog[open] form').waitFor();
const shownIds = (tab) => tab.page.locator('.table-row .cell:first-child').allTextContents();

async function signedIn(hash, token, role, options) {
  const tab = await stranger(hash, options);
  await asks(tab);
  await signIn(tab, token, role);
  await isLive(tab);
  return tab;
}

for (const [colorScheme, viewport] of [['light'], ['dark', NARROW]]) {
  test(`one signs in by the keyboard alone, and is told why not: ${colorScheme}`, async () => {
    const tab = await stranger('#/events', { colorScheme, ...(viewport && { viewport }) });
    await asks(tab);
    assert.equal(await tab.page.evaluate(() => document.activeElement.name), 'token');
    assert.deepEqual(await tab.axe(), []);
    await tab.page.keyboard.press('Enter');
    await sees(tab, '[role=alert]', 'no token');
    await tab.page.keyboard.type('x.y.z');
    await tab.page.keyboard.press('Enter');
    await sees(tab, '[role=alert]', 'not taken here');
    assert.equal(await tab.page.evaluate(() => document.activeElement.name), 'token');
    await tab.screenshot(`sign-in refused, ${colorScheme}`);
    await signIn(tab, ada(), 'nobody');
    await sees(tab, '[role=alert]', 'role that was asked for');
    await signIn(tab, ada());
    await isLive(tab);
    await untilLive(tab);
    assert.equal(await tab.page.locator('dialog[open]').count(), 0);
    await tab.page.getByRole('button', { name: 'ada · user' }).click();
    await sees(tab, 'dialog[open] dd', 'tests');
    await sees(tab, 'dialog[open] dd', 'from now');
    assert.deepEqual(await tab.axe(), []);
    await tab.screenshot(`signed in, ${colorScheme}`);
    await tab.close();
  });
}

test('each sees what is theirs, also after a reload, and nothing of the one before', async () => {
  const tab = await signedIn('#/events', ada());
  await untilLive(tab);
  await sees(tab, '.table-row', 'of-ada');
  await tab.page.reload();
  await isLive(tab);
  await sees(tab, '.table-row', 'of-ada');
  await tab.page.getByRole('button', { name: 'ada · user' }).click();
  await tab.page.getByRole('button', { name: 'Sign out' }).click();
  await asks(tab);
  assert.equal(await tab.page.locator('.table-row', { hasText: 'of-' }).count(), 0);
  assert.equal(await tab.page.evaluate(() => sessionStorage.length), 0);
  await signIn(tab, bob());
  await isLive(tab);
  await untilLive(tab);
  await sees(tab, '.table-row', 'of-all');
  assert.ok(!(await shownIds(tab)).includes('of-ada'));
  await tab.close();
});

/** Those who came in before are let in no longer, and this is what the roles see. */
async function shutOut(tab) {
  await here.permit({ ...WITHOUT_GUESTS, revoke: [{ sub: 'ada' }] });
  await asks(tab);
  await here.permit(WITHOUT_GUESTS);
}

const PLACES = {
  'the feed and a change': ['#/feed?change=1', '.panel .facts'],
  'the events and a history': ['#/events?id=of-ada&tab=history', '.history-item'],
  'a draft': ['#/events?id=of-ada&tab=edit', '.panel textarea'],
  'the node': ['#/node', '.levels div'],
};

test('who signs in after somebody else finds nothing of theirs, wherever they were', async () => {
  for (const [place, [hash, holds]] of Object.entries(PLACES)) {
    const tab = await signedIn(hash, ada(), 'admin');
    await tab.page.locator(holds).first().waitFor();
    if (place === 'a draft') await tab.page.locator(holds).fill('{ "title": "mine, and a draft" }');
    await shutOut(tab);
    await signIn(tab, bob());
    await tab.page.getByRole('button', { name: 'bob · user' }).waitFor();
    await isLive(tab);
    await tab.page.locator('main h1').waitFor();
    if (hash.startsWith('#/feed')) await sees(tab, '.feed-row', 'of-all');
    if (hash.startsWith('#/events')) await sees(tab, '.table-row', 'of-all');
    if (place === 'the node') await sees(tab, '.view [role=status]', 'for operators');
    const left = await tab.page.locator('main').textContent();
    assert.doesNotMatch(left, /mine|anew|Head of the log/, place);
    const rows = await tab.page.locator('.row', { hasText: 'of-ada' }).count();
    assert.equal(rows, 0, place);
    await tab.close();
  }
});

test('who was one and is another is named, and until when, and can sign out', async () => {
  const tab = await signedIn('#/feed', ada(), 'admin');
  await shutOut(tab);
  await signIn(tab, bob());
  await tab.page.getByRole('button', { name: 'bob · user' }).click();
  await sees(tab, 'dialog[open] dd', 'from now');
  await tab.page.getByRole('button', { name: 'Sign out' }).click();
  await asks(tab);
  await tab.close();
});

/** What an admin sees once one event is hidden from them, and all authors. */
const LESS = { ...ADMIN, read: { title: 'mine' }, past: 'seen', authors: false, operator: false };
const WITH_LESS = { roles: { ...ROLES, admin: LESS } };

test('where the same person may see less, what they may not is gone, and the feed says so once', async () => {
  const feed = await signedIn('#/feed', ada(), 'admin');
  await sees(feed, '.feed-row', 'of-all');
  await feed.page.goto(`${here.url}/#/feed?change=2`);
  await sees(feed, '.feed-by', 'ada');
  await sees(feed, '.panel', 'ours');
  const past = await signedIn('#/events?id=of-all&at=2', ada(), 'admin');
  await sees(past, '.table-row', 'of-all');
  await sees(past, '.timeline-change', 'of-all');
  await sees(past, '.panel', 'ours');
  const told = await signedIn('#/events?id=of-all&tab=history', ada(), 'admin');
  await sees(told, '.table-row', 'ours');
  await sees(told, '.history-item', 'by ada');
  const node = await signedIn('#/node', ada(), 'admin');
  await sees(node, '.levels', 'Head of the log');
  // The history of what is there no longer for them.
  told.expect(/status of 404/);
  await here.permit(WITH_LESS);
  await sees(feed, '.feed-row', 'access_changed');
  for (const tab of [feed, past, told]) {
    await until(tab, () => !document.querySelector('main').textContent.includes('ours'));
    await until(tab, () => document.querySelector('main').textContent.includes('mine'));
  }
  assert.equal(await feed.page.locator('.feed-row', { hasText: 'access_changed' }).count(), 1);
  assert.equal(await feed.page.locator('.feed-row', { hasText: 'of-all' }).count(), 0);
  assert.equal(await feed.page.locator('.feed-by:visible', { hasText: 'ada' }).count(), 0);
  await sees(feed, '.panel', 'There is no change 2');
  await feed.screenshot('a feed that sees less');
  assert.equal(await past.page.locator('.timeline-change', { hasText: 'of-all' }).count(), 0);
  assert.equal(await told.page.locator('.history-item').count(), 0);
  await sees(node, '.view [role=status]', 'for operators');
  assert.equal(await node.page.locator('.levels div').count(), 0);
  for (const tab of [feed, past, told, node]) await tab.close();
  await here.permit(WITHOUT_GUESTS);
});

test('the feed, a change and a history say who it was', async () => {
  const tab = await signedIn('#/feed', ada(), 'admin');
  await sees(tab, '.feed-row .feed-by', 'ada');
  await tab.screenshot('feed with authors');
  await tab.page.goto(`${here.url}/#/feed?change=1`);
  await sees(tab, '.panel .facts', 'ada, as tests says');
  await tab.page.goto(`${here.url}/#/events?id=of-ada&tab=history`);
  await sees(tab, '.history-item', 'by ada');
  await tab.close();
});

test('what a role may not do is said where it was tried', async () => {
  const tab = await signedIn('#/events?id=of-all', bob());
  await tab.page.getByRole('button', { name: 'Delete …' }).click();
  await tab.page.getByRole('button', { name: 'Delete this event' }).click();
  await sees(tab, '.notice', 'Not deleted: your role may not delete this event');
  await tab.page.getByRole('tab', { name: 'History' }).click();
  await sees(tab, '.history-box .field-error', 'your role');
  await tab.page.getByRole('button', { name: 'Dismiss' }).click();
  await tab.page.goto(`${here.url}/#/events?at=1`);
  await sees(tab, '.view', 'your role');
  await tab.page.getByRole('button', { name: 'Broadcasts' }).click();
  await tab.page.getByRole('button', { name: 'Send to every session' }).click();
  await sees(tab, 'dialog[open] .field-error', 'your role');
  await tab.screenshot('what a role may not');
  await tab.close();
});

test('what the node counts is for operators, and for others that it is well', async () => {
  const tab = await signedIn('#/node', ada());
  await sees(tab, '.view [role=status]', 'for operators, which the role user does not make you');
  await sees(tab, '.light.well', 'can go on');
  let denials = 0;
  tab.page.on('response', (response) => void (denials += response.url().endsWith('/metrics')));
  await tab.page.waitForResponse(/healthz/);
  await tab.page.waitForResponse(/healthz/);
  assert.equal(denials, 0, 'it is not asked for again and again');
  await tab.screenshot('a node that says little');
  await tab.close();
  const operator = await signedIn('#/node', ada(), 'admin');
  await sees(operator, '.levels', 'Head of the log');
  assert.equal(await operator.page.locator('.view [role=status]:visible').count(), 0);
  await operator.close();
});

test('lines to copy say who one is', async () => {
  const tab = await signedIn('#/start', ada());
  await sees(tab, 'pre', 'curl -s -H "Authorization: Bearer $TOKEN"');
  await sees(tab, 'pre', ', { token }');
  await tab.page.getByRole('button', { name: 'Write a first event' }).click();
  await sees(tab, '[role=status]', 'Written');
  await tab.close();
});

test('a token that ends is asked for again; its owner goes on with a draft, and another finds none', async () => {
  await here.permit({ ...WITHOUT_GUESTS, revoke: [] });
  const tab = await signedIn('#/events?id=of-ada&tab=edit', ada({ iat: 1000 }));
  await tab.page.locator('.panel textarea').fill('{ "title": "a draft" }');
  await here.permit({ ...WITHOUT_GUESTS, revoke: [{ sub: 'ada', before: '2020-01-01T00:00:00Z' }] });
  await asks(tab);
  await sees(tab, '[role=alert]', 'revoked');
  assert.equal(await tab.page.locator('.panel textarea').inputValue(), '{ "title": "a draft" }');
  await signIn(tab, ada({ iat: Math.floor(Date.now() / 1000) }));
  await isLive(tab);
  assert.equal(await tab.page.locator('.panel textarea').inputValue(), '{ "title": "a draft" }');
  await here.permit({ ...WITHOUT_GUESTS, revoke: [{ sub: 'ada' }] });
  await asks(tab);
  await signIn(tab, bob());
  await tab.page.waitForEvent('load');
  await isLive(tab);
  await sees(tab, '.panel', 'no such event');
  assert.equal(await tab.page.locator('.panel textarea').count(), 0);
  await tab.close();
  await here.permit(WITHOUT_GUESTS);
});

test('who may look around without a token may also sign in', async () => {
  await here.permit(WITH_GUESTS);
  const tab = await stranger('#/events');
  await isLive(tab);
  await sees(tab, '.table-row', 'of-all');
  assert.equal(await tab.page.locator('dialog[open]').count(), 0);
  await tab.page.getByRole('button', { name: 'Sign in' }).click();
  await asks(tab);
  await signIn(tab, ada());
  await sees(tab, '.table-row', 'of-ada');
  await tab.page.getByRole('button', { name: 'ada · user' }).click();
  await tab.page.getByRole('button', { name: 'Sign out' }).click();
  await until(tab, () => !document.body.textContent.includes('of-ada') && document.body.textContent.includes('of-all'));
  await tab.close();
  await here.permit(WITHOUT_GUESTS);
});
