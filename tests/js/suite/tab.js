/** A page with one client of the server that its address names, for `tabs.js` to work with by `evaluate`. */
import { connect } from 'livelog';
import { lease, leases, stored } from './stored.js';

const parameters = new URLSearchParams(location.search);
const options = JSON.parse(parameters.get('options'));

globalThis.attempts = 0;
class Counted extends WebSocket {
  constructor(...args) {
    super(...args);
    globalThis.attempts += 1;
  }
}

const db = connect(parameters.get('url'), { WebSocket: Counted, ...options });
const query = db.query();
Object.assign(globalThis, {
  db,
  rows: query.get,
  left: () => stored(options.name),
  leases: () => leases(options.name),
  lease: (owner, until) => lease(options.name, owner, until),
});
