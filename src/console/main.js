/** The console: one client, and the views on it. */
import { connect } from '/client.js';
import { EventsView } from './events.js';
import { FeedView } from './feed.js';
import { ManualView } from './manual.js';
import { NodeView } from './node.js';
import { getJson } from './rest.js';
import { address } from './router.js';
import { credentials } from './session.js';
import { Shell } from './shell.js';
import { StartView } from './start.js';

const { token, role } = credentials() ?? {};
const db = connect(undefined, { token, role });
const shell = new Shell(
  db,
  new Map([
    ['feed', FeedView],
    ['events', EventsView],
    ['node', NodeView],
    ['start', StartView],
    ['manual', ManualView],
  ]),
);

/** Without an address: how to begin if there is nothing yet, else what happens now. */
async function begin() {
  if (location.hash.length > 2) return shell.show();
  const isEmpty = await getJson('/api/events', { limit: 1, fields: '_id' }).then(
    ({ seq }) => seq === 0,
    () => false,
  );
  history.replaceState(null, '', address(isEmpty ? 'start' : 'feed'));
  return shell.show();
}

begin();
