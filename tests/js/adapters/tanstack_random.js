/** Generated conditions, orders and writes: the server and TanStack DB have to agree. */
import { and, createLiveQueryCollection, eq, gt, gte, inArray, isNull, isUndefined, like, lt, lte, not, or } from '@tanstack/db';
import { equal } from '../suite/harness.js';
import { until } from '../suite/world.js';
import { fact } from './fact.js';
import { byId, collect, ids, stage, watch } from './tanstack_stage.js';

const seed = Number(process.env.ADAPTER_SEED ?? Math.floor(Math.random() * 2 ** 31));

function dice(seed) {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x80000000;
  };
  const below = (n) => Math.floor(next() * n);
  return { below, one: (list) => list[below(list.length)] };
}

/** Fields have values of one type, as tables have; null, and nothing, everywhere. */
const VALUES = { n: [0, 1, 2.5, -3, null], s: ['', 'a', 'B', 'ä', '😀', '\uffff', null], b: [true, false, null], 'in.n': [1, 2, null] };

function randomRow(dice, n) {
  const row = { _id: `r${n}`, kind: 'row' };
  for (const [path, values] of Object.entries(VALUES)) {
    const [outer, inner] = path.split('.');
    if (dice.below(5) === 0) continue;
    row[outer] = inner ? { [inner]: dice.one(values) } : dice.one(values);
  }
  return row;
}

function randomCondition(dice, row, depth) {
  const sub = () => randomCondition(dice, row, depth - 1);
  if (depth > 0 && dice.below(2)) return dice.one([() => and(sub(), sub()), () => or(sub(), sub()), () => not(sub())])();
  const path = dice.one(Object.keys(VALUES));
  const field = path.split('.').reduce((at, name) => at[name], row);
  const value = () => dice.one(VALUES[path]);
  return dice.one([
    () => eq(field, value()), () => eq(value(), field), () => gt(field, value()), () => gte(field, value()), () => lt(field, value()),
    () => lte(field, value()), () => inArray(field, [value(), value()]), () => isNull(field), () => isUndefined(field),
    () => like(row.s, '%a%'), () => gt(field, row.n),
  ])();
}

fact(`a query gets the same rows on demand as from all of them (seed ${seed})`, async (world) => {
  const { below, one } = dice(seed);
  const { db, other, collection } = await stage(world, { filter: { kind: 'row' } });
  const asked = collect(world, db, { filter: { kind: 'row' }, syncMode: 'on-demand' });
  await other.batch((b) => Array.from({ length: 80 }, (_, n) => b.create(randomRow({ below, one }, n))));
  await collection.preload();
  for (let round = 0; round < 150; round++) {
    const start = below(2 ** 30);
    const order = below(3) && [one(['n', 's', 'b']), { direction: one(['asc', 'desc']), nulls: one(['first', 'last']) }, below(12) + 1];
    const rows = [];
    for (const source of [collection, asked]) {
      const query = (q) => {
        const found = q.from({ t: source }).where(({ t }) => randomCondition(dice(start), t, 3));
        if (!order) return found;
        return found.orderBy(({ t }) => t[order[0]], order[1]).orderBy(({ t }) => t._id).limit(order[2]);
      };
      const result = createLiveQueryCollection({ query, startSync: true, gcTime: 0 });
      await result.preload();
      rows.push(order ? result.toArray.map(({ _id }) => _id) : ids(result.toArray));
      await result.cleanup();
    }
    equal(rows[1], rows[0], `round ${round}, condition ${start}, order ${JSON.stringify(order)}`);
  }
});

fact(`two who write at once end with what the server has (seed ${seed})`, async (world) => {
  const { below, one } = dice(seed);
  const { site, other, collection } = await stage(world);
  const theirs = collect(world, other);
  const halves = watch(world, (q) => q.from({ t: collection }).where(({ t }) => eq(t.half, true)));
  await Promise.all([collection.preload(), theirs.preload()]);
  const writes = [];
  const step = (rows) => {
    const ids = [...rows.keys()];
    const id = one(ids);
    const kind = ids.length < 3 ? 0 : below(4);
    if (kind === 0) return rows.insert({ _id: crypto.randomUUID(), n: below(10), half: below(2) === 0 });
    if (kind === 1) return rows.delete(id);
    return rows.update(id, (draft) => void (below(2) ? (draft.n = below(10_000)) : (draft.half = !draft.half)));
  };
  for (let round = 0; round < 100; round++) {
    const { isPersisted } = step(round % 2 ? collection : theirs);
    // Gone meanwhile: the other one was first.
    writes.push(isPersisted.promise.catch((error) => equal(error.code, 'not_found')));
    if (below(3) === 0) await Promise.all(writes);
  }
  await Promise.all(writes);
  const { data } = await site.get('/api/events');
  for (const rows of [collection, theirs]) {
    await until(() => JSON.stringify(byId(rows.toArray)) === JSON.stringify(byId(data)), 'the server has the same');
  }
  equal(byId(halves.result.toArray), byId(data.filter(({ half }) => half)));
});
