/** What the client has no word for: pages of the log, health, metrics, the manual. */
import { headers } from './session.js';

/** A JSON answer of the server; what it refuses is thrown as the error that it names. */
export async function getJson(path, parameters = {}) {
  const response = await fetch(`${path}?${new URLSearchParams(parameters)}`, { headers: headers() });
  const body = await response.json();
  if (!body.success) throw Object.assign(new Error(body.error.message), body.error);
  return body;
}

/** The change that has this position in the log, if there is one. */
export async function changeAt(seq) {
  const { data } = await getJson('/api/changes', { after: seq - 1, limit: 1 });
  return data[0];
}

/** How many events match, up to `most`: their ids are counted as they stream by, and no more of them are read. */
export async function countUpTo(filter, most) {
  const stop = new AbortController();
  const parameters = new URLSearchParams({ filter: JSON.stringify(filter), fields: '_id', limit: most });
  const response = await fetch(`/api/events?${parameters}`, { signal: stop.signal, headers: headers() });
  let counted = 0;
  let tail = '';
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const parts = (tail + piece).split('{"_id":');
    counted += parts.length - 1;
    tail = parts.at(-1).slice(-6);
    if (counted >= most) break;
  }
  stop.abort();
  return counted;
}
