/** What is kept in IndexedDB, counted from outside: of the client's own layout only its names for leases are known. */

/** How many writes are kept in databases whose name contains this one. */
export async function stored(name) {
  const all = await indexedDB.databases();
  const counts = await Promise.all(all.filter((database) => database.name.includes(name)).map(countOf));
  return counts.reduce((sum, count) => sum + count, 0);
}

async function countOf({ name }) {
  const database = await promised(indexedDB.open(name));
  try {
    const stores = [...database.objectStoreNames].filter((store) => !/lease|lock|meta/.test(store));
    if (stores.length === 0) return 0;
    const transaction = database.transaction(stores);
    const counts = await Promise.all(stores.map((store) => promised(transaction.objectStore(store).count())));
    return counts.reduce((sum, count) => sum + count, 0);
  } finally {
    database.close();
  }
}

/** How many leases there are in the database of this name. */
export function leases(name) {
  return withLeases(name, (store) => store.count());
}

/** Gives a lease to somebody who is not there. */
export function lease(name, owner, until) {
  return withLeases(name, (store) => store.put(until, owner));
}

async function withLeases(name, ask) {
  const database = await promised(indexedDB.open(name));
  try {
    return await promised(ask(database.transaction('leases', 'readwrite').objectStore('leases')));
  } finally {
    database.close();
  }
}

/** A request of IndexedDB as a promise. */
export function promised(request) {
  return new Promise((done, fail) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
}
