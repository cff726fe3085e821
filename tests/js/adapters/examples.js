/** The examples as they stand, opened from another origin than the server's, as a newcomer opens them. */
import { readdir, readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { equal, ok } from '../suite/harness.js';
import { live, until } from '../suite/world.js';
import { fact } from './fact.js';
import { EXAMPLES, pages } from './pages.js';

async function stage(world) {
  const { browser, origin } = await pages();
  const site = await world.site({ args: ['--allow-origin', origin] });
  const other = world.connect(await world.door(site));
  await live(other);
  const open = async (name, parameters = '', options = {}) => {
    const tab = await browser.open(`${origin}/${name}.html?server=${site.url}${parameters}`, options);
    world.after(() => tab.close());
    await tab.page.locator('header output', { hasText: 'live' }).waitFor();
    return tab;
  };
  return { site, other, open };
}

const column = (tab, name) => tab.page.locator('section', { has: tab.page.getByRole('heading', { name }) });

/** Waits until the column has these cards. */
function cards(tab, name, titles) {
  const read = () => column(tab, name).locator('li b').allTextContents();
  return until(async () => JSON.stringify(await read()) === JSON.stringify(titles), `${name} has ${titles}`);
}

async function looksWell(tab, name) {
  await tab.page.emulateMedia({ reducedMotion: 'reduce' });
  for (const colorScheme of ['light', 'dark']) {
    await tab.page.emulateMedia({ colorScheme });
    equal(await tab.axe(), [], `${name}, ${colorScheme}`);
    await tab.screenshot(`${name}-${colorScheme}`);
  }
  await tab.page.setViewportSize({ width: 360, height: 640 });
  const width = await tab.page.evaluate(() => document.documentElement.scrollWidth);
  ok(width <= 360, `${name} is ${width} wide`);
  await tab.screenshot(`${name}-narrow`);
}

fact('each example is one file of fewer than 80 lines', async () => {
  const names = (await readdir(EXAMPLES)).toSorted();
  equal(names, ['audit.html', 'board.html', 'chat.html']);
  for (const name of names) {
    const lines = (await readFile(`${EXAMPLES}/${name}`, 'utf8')).trimEnd().split('\n');
    ok(lines.length < 80, `${name} has ${lines.length} lines`);
  }
});

fact('a card that is moved on one board moves on the other, by mouse and by keyboard', async (world) => {
  const { open, site } = await stage(world);
  const [mine, theirs] = [await open('board'), await open('board')];
  for (const title of ['Write the post', 'Draw the cover']) {
    await mine.page.getByLabel('Add a card to To do').fill(title);
    await mine.page.keyboard.press('Enter');
  }
  await cards(theirs, 'To do', ['Write the post', 'Draw the cover']);
  await column(mine, 'To do').locator('li').first().dragTo(column(mine, 'Doing'));
  await cards(theirs, 'Doing', ['Write the post']);
  await theirs.page.getByRole('button', { name: 'Move Write the post to Done' }).focus();
  await theirs.page.keyboard.press('Enter');
  await cards(mine, 'Done', ['Write the post']);
  await cards(theirs, 'Done', ['Write the post']);
  // Whoever uses the keyboard is still at the card.
  equal(await theirs.page.evaluate(() => document.activeElement.closest('li')?.querySelector('b').textContent), 'Write the post');
  await theirs.page.getByRole('button', { name: 'Delete Draw the cover' }).click();
  await cards(mine, 'To do', []);
  equal((await site.changes()).length, 5);
});

fact('a card that is added while the server is away is there when it is back', async (world) => {
  const { open, site } = await stage(world);
  const tab = await open('board');
  tab.expectLostConnections();
  await site.kill();
  await tab.page.getByLabel('Add a card to Doing').fill('In the train');
  await tab.page.keyboard.press('Enter');
  await cards(tab, 'Doing', ['In the train']);
  await tab.page.locator('li.pending').waitFor();
  await tab.page.locator('header output', { hasText: '1 to send' }).waitFor();
  await site.start();
  await tab.page.locator('li:not(.pending)').waitFor();
  equal((await site.changes()).length, 1);
});

fact('the board looks well', async (world) => {
  const { open, other } = await stage(world);
  const [first, second, third] = ['Write the post', 'Ask Ada for the numbers of the last quarter', 'Choose a picture'];
  const card = (title, stage, place) => other.create({ type: 'card', title, stage, place });
  await Promise.all([card(first, 0, 1), card(second, 0, 2), card(third, 1, 3), card('Find a name', 2, 4)]);
  const tab = await open('board');
  await cards(tab, 'Done', ['Find a name']);
  await looksWell(tab, 'board');
});

fact('in the chat everybody sees what is said, who is there and who types', async (world) => {
  const { open, site } = await stage(world);
  const [ada, bob] = [await open('chat', '&name=Ada'), await open('chat', '&name=Bob')];
  await ada.page.getByText('Here: Ada (you), Bob').waitFor();
  await bob.page.getByText('Here: Bob (you), Ada').waitFor();
  await bob.page.getByRole('textbox', { name: 'Message' }).fill('Good morning');
  await ada.page.getByText('Here: Ada (you), Bob (typing …)').waitFor();
  await bob.page.getByRole('button', { name: 'Send' }).click();
  await ada.page.locator('article', { hasText: 'Good morning' }).waitFor();
  await ada.page.getByText('Here: Ada (you), Bob', { exact: true }).waitFor();
  equal(await bob.page.locator('article.mine').count(), 1);
  equal(await ada.page.locator('article.mine').count(), 0);
  await ada.page.getByRole('textbox', { name: 'Message' }).fill('Hello Bob, did you see the board?');
  await ada.page.keyboard.press('Enter');
  await bob.page.locator('article', { hasText: 'did you see the board' }).waitFor();
  await looksWell(ada, 'chat');
  await bob.page.goto('about:blank');
  await ada.page.getByText('Here: Ada (you)', { exact: true }).waitFor();
  equal((await site.changes()).length, 2, 'of presence nothing is kept');
});

fact('the audit shows what changed, and how everything was at any moment', async (world) => {
  const { open, other } = await stage(world);
  await other.create({ _id: 'card-1', type: 'card', title: 'Write the post', stage: 0 });
  await other.create({ _id: 'card-2', type: 'card', title: 'Choose a picture', stage: 0 });
  await other.update('card-1', { stage: 1 });
  await other.update('card-1', { title: 'Write the long post', done: null });
  await other.remove('card-2');
  const tab = await open('audit');
  const rows = (table) => tab.page.locator('tbody').nth(table).locator('tr').allTextContents();
  const says = (text) => tab.page.getByText(text).waitFor();
  await says('5 of 5');
  await says('delete of card-2');
  equal((await rows(1)).length, 1);
  const slider = tab.page.getByRole('slider');
  await slider.focus();
  await tab.page.keyboard.press('ArrowLeft');
  await says('4 of 5');
  await until(async () => (await rows(1)).length === 2);
  equal(await rows(0), ['titleWrite the postWrite the long post', 'donenull']);
  await tab.page.keyboard.press('ArrowLeft');
  await tab.page.keyboard.press('ArrowLeft');
  await says('2 of 5');
  await says('create of card-2');
  await until(async () => (await rows(1))[0].includes('"stage":0'));
  await other.create({ _id: 'card-3', title: 'New' });
  await says('2 of 6');
  await tab.page.keyboard.press('End');
  await says('create of card-3');
  await other.update('card-3', { title: 'Newer' });
  await says('7 of 7');
  await until(async () => (await rows(1)).length === 2);
  await looksWell(tab, 'audit');
});

fact('an example that cannot load the client says so, and where to look', async () => {
  const { browser, origin } = await pages();
  const nobody = 'http://127.0.0.1:9';
  for (const name of ['audit', 'board', 'chat']) {
    for (const page of [`${origin}/${name}.html`, pathToFileURL(`${EXAMPLES}/${name}.html`).href]) {
      const tab = await browser.open(`${page}?server=${nobody}`, { viewport: { width: 360, height: 640 } });
      tab.expect(/Failed to load resource/, /blocked by CORS/, /^uncaught: /);
      await tab.page.locator('header output', { hasText: `No livelog answers at ${nobody}: see the first` }).waitFor();
      const width = await tab.page.evaluate(() => document.documentElement.scrollWidth);
      ok(width <= 360, `${name} is ${width} wide`);
      if (page.startsWith('file:')) await tab.screenshot(`${name}-unanswered`);
      await tab.close();
    }
  }
});
