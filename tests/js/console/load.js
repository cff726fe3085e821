/** The console under load. It prints what it measures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowCount, sees, untilLive, world } from './world.js';

const ROWS = 99_000;
const RATE = 1000;
const MEASURED_MS = 5000;
const here = world({ rows: ROWS });

/** Frames of the page while it is measured: how long each took. */
function frames(tab, milliseconds) {
  return tab.page.evaluate(async (milliseconds) => {
    const took = [];
    let last = performance.now();
    const end = last + milliseconds;
    while (last < end) {
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      took.push(now - last);
      last = now;
    }
    took.sort((one, other) => one - other);
    const dropped = took.reduce((sum, time) => sum + Math.max(0, Math.round(time / (1000 / 60)) - 1), 0);
    return { frames: took.length, dropped, half: took[took.length >> 1], most: took.at(-1) };
  }, milliseconds);
}

/** Writes so many changes a second, in batches, until `stop()`; resolves with how many. */
async function writer(rate) {
  const socket = new WebSocket(`ws://127.0.0.1:${here.server.port}/ws?changes=none`);
  await new Promise((done, fail) => Object.assign(socket, { onopen: done, onerror: fail }));
  const begun = performance.now();
  let written = 0;
  const timer = setInterval(() => {
    const due = Math.min(200, Math.floor(((performance.now() - begun) * rate) / 1000) - written);
    if (due <= 0) return;
    const commands = Array.from({ length: Math.min(due, 100) }, () => {
      written += 1;
      const id = `r${String(1 + (written % 500)).padStart(6, '0')}`;
      return { type: 'UPDATE', payload: { id, updateData: { status: `s${written}` } } };
    });
    socket.send(JSON.stringify({ type: 'BATCH', payload: { commands } }));
  }, 10);
  return () => {
    clearInterval(timer);
    socket.close();
    return written;
  };
}

test('the frame of the page is painted before its data is there', async () => {
  const tab = await here.open('#/feed');
  const paint = await tab.page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
  const bytes = await tab.page.evaluate(() =>
    performance.getEntriesByType('resource').reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0),
  );
  console.log(`first contentful paint after ${Math.round(paint)} ms, ${bytes} bytes in all`);
  assert.ok(paint < 3000, `${paint} ms`);
  await tab.close();
});

test('a hundred thousand events are live, with only as many rows as fit, and stay responsive', async () => {
  const begun = performance.now();
  const tab = await here.open('#/events');
  await tab.page.waitForSelector('.table-row');
  const first = performance.now() - begun;
  await untilLive(tab);
  console.log(
    `first rows after ${Math.round(first)} ms, all ${ROWS} live after ${Math.round(performance.now() - begun)} ms`,
  );
  await sees(tab, '.view-note', '99,000 events');
  assert.ok((await rowCount(tab)) < 60);
  await tab.page.getByRole('grid').focus();
  await tab.page.keyboard.press('End');
  await tab.page.waitForSelector(`.table-row[aria-selected=true][aria-rowindex="${ROWS + 1}"]`);
  assert.ok((await rowCount(tab)) < 60);
  await here.create({ _id: 'the-newest' });
  await tab.page.keyboard.press('Home');
  await sees(tab, '.table-row', 'the-newest');
  await tab.close();
});

test('a feed of a thousand changes a second keeps the page’s frames', async () => {
  const tab = await here.open('#/feed');
  const stop = await writer(RATE);
  await sees(tab, '.view-note', /\/s · 2,000 changes/);
  const measured = await frames(tab, MEASURED_MS);
  const note = await tab.page.locator('.view-note').textContent();
  const written = stop();
  console.log(`${note} with ${written} written: ${JSON.stringify(measured)}`);
  assert.ok((await rowCount(tab)) < 60);
  // On an idle machine few are dropped; this many say that the page is no longer usable.
  assert.ok(measured.half < 34, JSON.stringify(measured));
  await sees(tab, '.feed-row .feed-what', `s${written}`);
  await tab.close();
});
