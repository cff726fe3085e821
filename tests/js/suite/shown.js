/** What the tests of live results share: how events come to be, and what a result shows. */
import { ok } from './harness.js';

/** The ids of the rows, in their order. */
export const ids = (query) => query.get().map(({ _id }) => _id);

/** Creates these documents past the client under test, at the server itself. */
export async function put(site, ...documents) {
  for (let first = 0; first < documents.length; first += 100) {
    const commands = documents.slice(first, first + 100).map((payload) => ({ type: 'CREATE', payload }));
    const body = JSON.stringify({ commands });
    const response = await fetch(`${await site.direct()}/api/batch`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    ok(response.ok, `${response.status}`);
  }
}

/** Every array that the result ever showed from now on. */
export function shownBy(query) {
  const shown = [];
  query.subscribe(() => shown.push(query.get()));
  return shown;
}
