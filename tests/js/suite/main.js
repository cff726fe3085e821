/** The suite, in whichever runtime this is. An argument, or a page's query, chooses by a part of the name. */
import { run } from './harness.js';

// Only browsers have a database of their own.
if (!globalThis.indexedDB) await import('fake-indexeddb/auto');
await import('./writes.js');
await import('./reads.js');
await import('./results.js');
await import('./order.js');
await import('./resume.js');
await import('./connection.js');
await import('./overlay.js');
await import('./queue.js');
await import('./persistence.js');
await import('./options.js');
await import('./access.js');

const isPage = globalThis.location?.search !== undefined && globalThis.document !== undefined;
const filter = isPage ? decodeURIComponent(location.search.slice(1)) : (process.argv[2] ?? '');
const failed = await run(filter);
if (!isPage) process.exit(failed === 0 ? 0 : 1);
