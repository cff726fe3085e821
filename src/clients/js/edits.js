// A write: what is known of it while it is on its way, and what it makes of the documents that are shown.

import { update } from './documents.js';
import { failure, invalid } from './errors.js';
import { uuid } from './ids.js';
import { commandOf, isTooLarge } from './options.js';

/** @typedef {import('./documents.js').Document} Document */
/** @typedef {{ type: string, payload: any }} Command as on the wire */
/** @typedef {{ seq: number, data: any, duplicate: boolean }} Written what a write was answered with */

/**
 * A write that is on its way.
 * @typedef {object} Edit
 * @property {string} commandId
 * @property {Command} command
 * @property {{ id: string, type: string, payload: any }[]} parts the commands of a batch, or this one
 * @property {boolean} optimistic
 * @property {string} at when it was made, as a timestamp of the wire
 * @property {number} seqGuess its seq, if nobody else writes
 * @property {number} bytes
 * @property {any} [key] in the database
 * @property {'keeping' | 'ready' | 'sent' | 'asking'} stage being stored; may be sent; unanswered; its conflict is with
 *   the application, or what that made of it waits
 * @property {number} conflicts
 * @property {ReturnType<typeof setTimeout>} [wait]
 * @property {number} [unsureAfter] while it may have been carried out: its change comes after this seq, which was heard
 *   of before it was sent
 * @property {{ seq: number, epoch: string }} [answer] where in which log it is
 * @property {boolean} [isOver] it was refused: nothing shows it any more
 * @property {(written: Written) => void} resolve
 * @property {(error: any) => void} reject
 */

/**
 * The commands of a batch, copied, or this one.
 * @param {Command} command
 * @returns {Command[]}
 */
function partsOf(command) {
  const { type, payload } = command;
  if (type !== 'BATCH') return [command];
  if (!Array.isArray(payload.commands)) throw invalid('commands', 'the commands of a batch are a list');
  return (payload.commands = payload.commands.map(commandOf));
}

/**
 * Takes a command apart and copies it, so that what its caller changes later is not sent.
 * @param {Command} original
 * @param {string} commandId
 * @param {number} [expectedVersion]
 * @param {(at: number) => string} [newId] of what is created by the command at this place of a batch
 */
export function prepare(original, commandId, expectedVersion, newId = uuid) {
  const command = commandOf(original);
  if (expectedVersion !== undefined) command.payload.expectedVersion = expectedVersion;
  const parts = partsOf(command).map((part, at) => ({
    ...part,
    id: /** @type {string} */ (part.type === 'CREATE' ? (part.payload._id ??= newId(at)) : part.payload.id),
  }));
  const text = JSON.stringify({ ...command, commandId });
  if (isTooLarge(text)) throw failure('too_large');
  return { commandId, command, parts, bytes: text.length };
}

/**
 * What an edit makes of a document; the document itself where only the server can tell.
 * @param {Document | undefined} doc
 * @param {Edit} edit
 * @param {string} ofId
 */
export function applied(doc, { parts, at, seqGuess }, ofId) {
  for (const { id, type, payload } of parts) {
    if (id !== ofId) continue;
    if (type === 'CREATE') {
      doc ??= { _id: id, _version: 1, _seq: seqGuess, _createdAt: at, _updatedAt: at, ...payload };
    } else if (type === 'DELETE') {
      doc = undefined;
    } else if (type === 'UPDATE' && doc) {
      const next = update(doc, payload);
      if (next) doc = stamped(next, at, seqGuess);
    }
  }
  return doc;
}

/**
 * What the server will have counted, as far as the row shows it.
 * @param {Document} doc
 * @param {string} at
 * @param {number} seqGuess
 */
function stamped(doc, at, seqGuess) {
  const next = { ...doc };
  if ('_version' in next) next._version += 1;
  if ('_seq' in next) next._seq = seqGuess;
  if ('_updatedAt' in next) next._updatedAt = at;
  return next;
}
