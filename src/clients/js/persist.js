// Writes in IndexedDB, so that those without an answer survive the page that made them.
//
// Every page keeps its own under a name of its own, its owner, and sends them itself. A page that is gone leaves its
// writes to whoever claims its name first. A page holds its name as a Web Lock, which ends with it. Pages without TLS
// have no Web Locks: there a lease in the database does it, renewed while the page lives. A page that slept through its
// lease may send what another has claimed; the `commandId` makes that harmless.

import { uuid } from './ids.js';

/** @typedef {import('./edits.js').Edit} Edit */
/** @typedef {Pick<Edit, 'commandId' | 'command' | 'optimistic' | 'at' | 'seqGuess' | 'key'>} KeptEdit */
/** @typedef {KeptEdit & { owner: string, subject?: string }} Kept `owner` is a page, `subject` who made it there */
/** @typedef {Awaited<ReturnType<typeof openStore>>} Store */

/** A page that is being reloaded may still hold its name for a moment. */
const LOCK_MS = 300;
const LEASE_MS = 15_000;
const RENEWAL_MS = 5_000;

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** @param {string} name */
function openDatabase(name) {
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore('writes', { keyPath: 'key', autoIncrement: true });
    opening.result.createObjectStore('leases');
  };
  return done(opening);
}

/**
 * @param {string} name of the database
 * @param {string} subject whose writes are meant; those of others stay where they are
 */
export async function openStore(name, subject) {
  const database = await openDatabase(name);
  const me = uuid();
  /** Owners whose writes are this page's. */
  const claimed = new Set([me]);
  /** Those of gone pages that this one has taken over. */
  const adopted = new Set();
  /** @type {(() => void)[]} */
  const releases = [];
  let isClosed = false;
  const { locks } = navigator;

  /** @param {'writes' | 'leases'} store */
  const table = (store) => database.transaction(store, 'readwrite').objectStore(store);

  /**
   * Holds the name of an owner until `close`.
   * @param {string} owner
   * @returns {Promise<boolean>} whether nobody else does
   */
  const claim = (owner) => (locks ? lock(owner) : lease(owner));

  /** @param {string} owner @returns {Promise<boolean>} */
  function lock(owner) {
    const signal = AbortSignal.timeout(LOCK_MS);
    return new Promise((resolve) => {
      const ended = locks.request(`${name} ${owner}`, { signal }, () => {
        // Nobody would release it.
        if (isClosed) return resolve(false);
        resolve(true);
        return new Promise((release) => void releases.push(() => release(undefined)));
      });
      ended.catch(() => resolve(false));
    });
  }

  /** @param {string} owner */
  async function lease(owner) {
    const leases = table('leases');
    const until = await done(leases.get(owner));
    if (until > Date.now()) return false;
    await done(leases.put(Date.now() + LEASE_MS, owner));
    return true;
  }

  /** Takes away leases that are over, which say no more than none: pages that went without `close` leave them. */
  async function sweep() {
    const leases = table('leases');
    const [owners, ends] = await Promise.all([done(leases.getAllKeys()), done(leases.getAll())]);
    owners.forEach((owner, at) => void (ends[at] <= Date.now() && leases.delete(owner)));
  }

  /** Before there were subjects nobody asked for one. */
  async function theirs() {
    /** @type {Kept[]} */
    const all = await done(table('writes').getAll());
    return all.filter((kept) => (kept.subject ?? '') === subject);
  }

  const renew = () => claimed.forEach((owner) => void table('leases').put(Date.now() + LEASE_MS, owner));

  await claim(me);
  if (!locks) {
    await sweep();
    const renewing = setInterval(renew, RENEWAL_MS);
    releases.push(() => {
      clearInterval(renewing);
      for (const owner of claimed) table('leases').delete(owner);
    });
  }

  function close() {
    isClosed = true;
    for (const release of releases.splice(0)) release();
    database.close();
  }
  database.onversionchange = close;

  return {
    close,

    /** @param {Edit} edit */
    async put(edit) {
      const { commandId, command, optimistic, at, seqGuess, key } = edit;
      /** @type {Kept} */
      const kept = { commandId, command, optimistic, at, seqGuess, owner: me, subject, ...(key && { key }) };
      edit.key = await done(table('writes').put(kept));
    },

    /** @param {Edit} edit */
    async remove({ key }) {
      if (key) await done(table('writes').delete(key));
    },

    /**
     * Claims the writes of pages that are gone.
     * @returns {Promise<Kept[]>} in the order in which they were made
     */
    async adopt() {
      for (const owner of new Set((await theirs()).map((kept) => kept.owner))) {
        if (!claimed.has(owner) && (await claim(owner))) claimed.add(owner);
      }
      // Read again: an owner may have ended with its writes answered in the meantime.
      const mine = (await theirs()).filter(({ owner, key }) => owner !== me && claimed.has(owner) && !adopted.has(key));
      for (const { key } of mine) adopted.add(key);
      return mine;
    },
  };
}
