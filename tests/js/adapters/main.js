/**
 * The adapters with the real libraries, and the examples: `node adapters/main.js tanstack|react|examples [part of a test's name]`.
 * `LIVELOG_BINARY` names the server. Ends with 1 if anything failed.
 */
import { startLab } from '../lab.js';

const [part, filter] = process.argv.slice(2);
const lab = await startLab();
process.env.LAB = lab.url;
// They ask for the laboratory as soon as they are loaded.
await import(`./${part}.js`);
const { run } = await import('../suite/harness.js');
const failed = await run(filter);
await (await import('./pages.js')).close();
await lab.close();
process.exit(failed === 0 ? 0 : 1);
