/** A collection whose client answers on command: moments that a real server comes to only by chance. */
import { createCollection, createLiveQueryCollection, eq, gt } from '@tanstack/db';
import { livelogCollectionOptions } from 'livelog/tanstack';
import { equal } from '../suite/harness.js';
import { fact } from './fact.js';

/** What the adapter uses of a client. `tell` is a batch of a query's; a write waits until `answer` says its seq. */
class ScriptedClient {
  epoch = 'first';
  queries = [];
  writes = [];

  query(options) {
    const query = new ScriptedQuery(options);
    this.queries.push(query);
    return query;
  }

  write(command) {
    const answer = Promise.withResolvers();
    this.writes.push({ command, answer: (seq) => answer.resolve({ seq }), refuse: answer.reject });
    return answer.promise;
  }
}

class ScriptedQuery {
  ready = false;
  #listeners = [];
  #waiting = [];
  #seq = 0;

  constructor(options) {
    this.options = options;
  }

  onBatch(listener) {
    this.#listeners.push(listener);
  }

  subscribe() {}

  seen(seq) {
    const wait = Promise.withResolvers();
    this.#waiting.push({ seq, ...wait });
    this.#settle();
    return wait.promise;
  }

  begin(...rows) {
    this.ready = true;
    this.#tell({ reset: true, rows, changes: [], seq: this.#seq, live: true });
  }

  change(seq, ...changes) {
    this.#seq = seq;
    this.#tell({ reset: false, changes, seq, live: true });
  }

  close() {
    this.isClosed = true;
  }

  #tell(batch) {
    for (const listener of this.#listeners) listener(batch);
    this.#settle();
  }

  #settle() {
    for (const { seq, resolve } of this.#waiting) if (seq <= this.#seq) resolve();
  }
}

const row = (_id, _version, fields) => ({ _id, _version, ...fields });
const kept = (row) => ({ kind: 'update', eventId: row._id, data: row });
const left = (eventId) => ({ kind: 'leave', eventId });
const shown = (collection) => collection.toArray.map(({ _id, _version, n }) => `${_id} ${_version} ${n}`).sort().join(', ');
const turn = () => new Promise((done) => setTimeout(done));

function collect(world, options) {
  const db = new ScriptedClient();
  const collection = createCollection(livelogCollectionOptions({ db, startSync: true, ...options }));
  world.after(() => collection.cleanup());
  return { db, collection };
}

/** A collection with two subsets: what has `list: 'a'`, and what has more `n` than 5. */
async function twoSubsets(world) {
  const { db, collection } = collect(world, { syncMode: 'on-demand' });
  const conditions = [({ t }) => eq(t.list, 'a'), ({ t }) => gt(t.n, 5)];
  for (const condition of conditions) {
    const query = createLiveQueryCollection({ query: (q) => q.from({ t: collection }).where(condition), startSync: true });
    const watching = query.subscribeChanges(() => {});
    world.after(() => {
      watching.unsubscribe();
      return query.cleanup();
    });
    await turn();
  }
  return { db, collection, queries: db.queries };
}

fact('what was changed here shows until the collection has taken in the answer, however early that comes', async (world) => {
  const { db, collection } = collect(world);
  db.queries[0].begin(row('e', 1, { n: 1 }));
  await turn();
  const { isPersisted } = collection.update('e', (draft) => void (draft.n = 2));
  db.writes[0].answer(7);
  await turn();
  equal([shown(collection), isPersisted.isPending()], ['e 1 2', true]);
  db.queries[0].change(7, kept(row('e', 2, { n: 2, by: 'server' })));
  await isPersisted.promise;
  equal([shown(collection), collection.get('e').by], ['e 2 2', 'server']);
});

fact('another log shows at once, although a change is not answered', async (world) => {
  const { db, collection } = collect(world);
  db.queries[0].begin(row('a', 1, { n: 1 }), row('b', 1, { n: 1 }));
  await turn();
  const { isPersisted } = collection.insert({ _id: 'mine', n: 0 });
  db.epoch = 'second';
  db.queries[0].begin(row('b', 1, { n: 5 }));
  equal(shown(collection), 'b 1 5, mine undefined 0');
  db.writes[0].refuse(new Error('refused'));
  await isPersisted.promise.catch(() => {});
  equal(shown(collection), 'b 1 5');
});

fact('of two subsets the one that is behind does not undo what the other has told', async (world) => {
  const { collection, queries: [list, many] } = await twoSubsets(world);
  list.begin(row('e', 1, { list: 'a', n: 6 }));
  many.begin(row('e', 1, { list: 'a', n: 6 }));
  list.change(3, kept(row('e', 3, { list: 'a', n: 8 })));
  many.change(2, kept(row('e', 2, { list: 'a', n: 7 })));
  equal(shown(collection), 'e 3 8');
  many.change(3, kept(row('e', 3, { list: 'a', n: 8 })));
  list.change(4, left('e'));
  equal(shown(collection), 'e 3 8');
  many.change(5, left('e'));
  equal(shown(collection), '');
});

fact('a version of another log is not compared with those of this one', async (world) => {
  const { db, collection, queries: [list, many] } = await twoSubsets(world);
  list.begin(row('e', 9, { n: 6 }), row('old', 1, { n: 1 }));
  many.begin(row('e', 9, { n: 6 }));
  db.epoch = 'second';
  list.begin(row('e', 1, { n: 7 }));
  equal(shown(collection), 'e 1 7');
  many.begin(row('e', 1, { n: 7 }), row('new', 1, { n: 8 }));
  equal(shown(collection), 'e 1 7, new 1 8');
});
