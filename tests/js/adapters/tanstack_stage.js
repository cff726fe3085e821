/** What the tests of the TanStack DB collection begin with. */
import { BasicIndex, createCollection, createLiveQueryCollection } from '@tanstack/db';
import { livelogCollectionOptions } from 'livelog/tanstack';
import { live, until } from '../suite/world.js';

/** A server, a client of it with a collection, and another client through another door. */
export async function stage(world, options = {}) {
  const site = await world.site();
  const door = await world.door(site);
  const db = world.connect(site);
  const other = world.connect(door);
  await Promise.all([live(db), live(other)]);
  return { site, door, db, other, collection: collect(world, db, options) };
}

export function collect(world, db, options = {}) {
  const indexed = { autoIndex: 'eager', defaultIndexType: BasicIndex };
  const collection = createCollection(livelogCollectionOptions({ db, ...indexed, ...options }));
  world.after(() => collection.cleanup());
  return collection;
}

/** A live query that is watched: all that it ever showed, as arrays of rows. */
export function watch(world, query) {
  const result = createLiveQueryCollection({ query, startSync: true, gcTime: 0 });
  const shown = [];
  const watching = result.subscribeChanges(() => shown.push(result.toArray));
  world.after(async () => {
    watching.unsubscribe();
    await result.cleanup();
  });
  return { result, shown, close: () => watching.unsubscribe() };
}

/** Without what livelog and TanStack DB add. */
export const own = (row) => Object.fromEntries(Object.entries(row).filter(([name]) => name === '_id' || !/^[_$]/.test(name)));
export const ids = (rows) => rows.map(({ _id }) => _id).sort();
export const byId = (rows) => rows.map(own).sort((a, b) => (a._id < b._id ? -1 : 1));
export const subscribed = async (site) => (await site.sent({ type: 'SUBSCRIBE' })).map(({ payload }) => payload.filter);
export const settled = (collection, check, what) => until(() => check(collection.toArray), () => `${what}: ${JSON.stringify(collection.toArray)}`);
