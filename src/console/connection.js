/** How the connection is, in words that are the same wherever it is told. */
import { count } from './format.js';

export const WORDS = {
  connecting: 'Connecting',
  live: 'Live',
  behind: 'Catching up',
  offline: 'Offline',
  'needs-auth': 'Needs a token',
  closed: 'Closed',
};

/** Whether the server is heard, if late. */
export function isConnected(db) {
  return db.state.name === 'live' || db.state.name === 'behind';
}

/** Writes that wait for a connection; empty while there is one, since they are gone in a moment then. */
export function unsent(db) {
  return isConnected(db) || !db.pending ? '' : `${count(db.pending)} to send`;
}

/** What a list that follows the server is just now: live, or why not. */
export function liveness(db) {
  return [(WORDS[db.state.name] ?? db.state.name).toLowerCase(), unsent(db)].filter(Boolean).join(' · ');
}
