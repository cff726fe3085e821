/** A server that asks who is there: tokens, rules that change under a session, and what each person leaves behind. */
import { equal, ok, rejects, test, watched } from './harness.js';
import { ids } from './shown.js';
import { live, until } from './world.js';

const MINE = { owner: { $claim: 'sub' } };
const ALL = { read: true, create: true, update: true, delete: true, past: 'all', authors: true };
const ROLES = {
  user: {
    read: { $or: [{ public: true }, MINE, { team: { $in: { $claim: 'teams' } } }] },
    create: true,
    update: { before: MINE },
    delete: { before: MINE },
    set: MINE,
    past: 'seen',
    broadcast: { send: true, hear: { room: { $in: { $claim: 'rooms' } } } },
  },
  admin: ALL,
};

const seconds = () => Math.floor(Date.now() / 1000);
const name = () => `access-${Date.now()}-${Math.random()}`;

/** A server that guards itself, and what tests need to come in. */
async function guarded(world, more = {}) {
  const site = await world.site({ access: { roles: ROLES, ...more } });
  const as = (sub, claims = {}) => site.token(sub, { role: 'user', ...claims });
  const enter = async (token, options) => {
    const db = world.connect(site, { token, ...options });
    await live(db);
    return db;
  };
  const admin = await enter(await as('root', { role: 'admin' }));
  return { site, as, enter, admin };
}

const needsAuth = (db) => until(() => db.state.name === 'needs-auth', 'the server asks for another token');
const shows = (query, ...expected) =>
  until(
    () => query.ready && String(ids(query)) === String(expected),
    () => `it shows ${expected} and not ${ids(query)}`,
  );

test('who has a token sees and writes what its rules allow, and is told what they do not', async (world) => {
  const { as, enter, admin } = await guarded(world);
  await admin.batch((b) => {
    b.create({ _id: 'hers', owner: 'ada' });
    b.create({ _id: 'his', owner: 'bob' });
    b.create({ _id: 'ours', public: true });
  });
  const ada = await enter(await as('ada'));
  equal([ada.identity.role, ada.identity.iss, ada.identity.sub], ['user', 'tests', 'ada']);
  const query = ada.query();
  await shows(query, 'hers', 'ours');
  equal((await ada.create({ _id: 'new', owner: 'bob' })).owner, 'ada', 'the owner is not the client’s to say');
  await shows(query, 'hers', 'new', 'ours');
  await rejects(ada.update('ours', { n: 1 }), 'forbidden');
  await rejects(ada.update('his', { n: 1 }), 'not_found');
  equal(await ada.get('his'), undefined);
  await admin.update('hers', { owner: 'bob' });
  await shows(query, 'new', 'ours');
});

test('histories are read with the token, from pages of other origins too, and say who it was', async (world) => {
  const { as, enter, admin } = await guarded(world);
  const ada = await enter(await as('ada'));
  await ada.create({ _id: 'a' });
  const { data } = await admin.history('a');
  equal(data[0].by, { iss: 'tests', sub: 'ada' });
  equal((await ada.history('a')).data.length, 1);
  const bob = await enter(await as('bob'));
  await rejects(bob.history('a'), 'not_found');
  const both = await as('bob', { role: ['user', 'admin'] });
  equal((await (await enter(both, { role: 'admin' })).history('a')).data.length, 1);
});

test('without a token one is asked for at once, and a bad one is not shown again', async (world) => {
  const { site, as } = await guarded(world);
  const db = world.connect(site);
  const started = performance.now();
  await needsAuth(db);
  ok(performance.now() - started < 5000, 'not after ten seconds of silence');
  await rejects(db.fetch(), 'unauthenticated');
  const writing = db.create({ _id: 'a' });
  db.authenticate('x.y.z');
  await rejects(writing, 'signed_out');
  await needsAuth(db);
  db.authenticate(await as('ada'), { role: 'nobody' });
  await until(() => db.state.reason.includes('role'), 'it says that there is no such role');
  const waiting = db.create({ _id: 'b' });
  db.authenticate(await as('ada'));
  equal((await waiting).owner, 'ada');
});

test('a token is renewed before it expires, and the connection stays', async (world) => {
  const { site, as } = await guarded(world);
  let asked = 0;
  const token = () => ((asked += 1), as('ada', { exp: seconds() + (asked === 1 ? 12 : 3600) }));
  const db = world.connect(site, { token });
  await live(db);
  const { accepted } = await site.connections();
  const { expiresAt } = db.identity;
  await until(() => db.identity.expiresAt !== expiresAt, 'it is renewed');
  equal([asked, db.state.name, (await site.connections()).accepted], [2, 'live', accepted]);
  equal((await db.create({ _id: 'a' })).owner, 'ada');
});

test('a token that has expired is replaced at once, by a function or by the application', async (world) => {
  const { site, as, enter } = await guarded(world);
  let asked = 0;
  const token = () => ((asked += 1), as('ada', { exp: seconds() + (asked === 1 ? -15 : 3600) }));
  const renewed = world.connect(site, { token });
  const db = await enter(await as('ada', { exp: seconds() - 15 }));
  const query = db.query();
  await db.create({ _id: 'a' });
  await needsAuth(db);
  equal(ids(query), ['a']);
  const writing = db.create({ _id: 'b' });
  await until(() => asked === 2 && renewed.state.name === 'live', 'the function is asked, and the client is back');
  db.authenticate(await as('ada'));
  await writing;
  await shows(query, 'a', 'b');
});

test('another file changes what is seen by who is there, at one stroke', async (world) => {
  const { site, as, enter, admin } = await guarded(world);
  await admin.batch((b) => ['a', 'b'].forEach((_id) => b.create({ _id, kind: _id })));
  const db = await enter(await as('ada'));
  const query = db.query();
  const seen = [];
  const changes = [];
  db.onChange({}, ({ kind, reason }) => changes.push([kind, reason]));
  await shows(query);
  query.subscribe(() => seen.push(String(ids(query))));
  for (const kind of ['a', 'b']) {
    await site.permit({ roles: { ...ROLES, user: { read: { kind } } } });
    await shows(query, kind);
  }
  equal(seen.filter((rows) => rows !== 'a' && rows !== 'b'), []);
  await until(() => changes.length === 2, 'the feed says it');
  equal(changes[0], ['reset', 'access_changed']);
  await site.permit({ roles: ROLES, revoke: [{ sub: 'ada' }] });
  await needsAuth(db);
  equal(ids(query), ['b']);
});

test('who comes back with other claims sees what these let them see', async (world) => {
  const { site, as, enter, admin } = await guarded(world);
  await admin.batch((b) => ['a', 'b'].forEach((team) => b.create({ _id: team, team })));
  const teams = ['a', 'b'];
  const db = await enter(() => as('ada', { teams: [teams.shift()] }));
  const query = db.query();
  await shows(query, 'a');
  await site.cut();
  await shows(query, 'b');
});

test('who comes back after the file was changed sees what it lets them see', async (world) => {
  const { site, as, enter, admin } = await guarded(world);
  await admin.batch((b) => ['a', 'b'].forEach((kind) => b.create({ _id: kind, kind })));
  await site.permit({ roles: { ...ROLES, user: { read: { kind: 'a' } } } });
  const token = await as('ada');
  const db = await enter(token);
  const query = db.query();
  await shows(query, 'a');
  await site.refuse(true);
  await site.cut();
  await site.permit({ roles: { ...ROLES, user: { read: { kind: 'b' } } } });
  await until(async () => (await visible(site, token)) === 'b', 'the server goes by the other file');
  await site.refuse(false);
  await shows(query, 'b');
});

async function visible(site, token) {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${await site.direct()}/api/events`, { headers });
  return String((await response.json()).data?.map(({ _id }) => _id));
}

test('the next person sees nothing of the one before, and sends nothing of theirs', async (world) => {
  const { site, as, enter, admin } = await guarded(world);
  const options = { persist: 'indexeddb', name: name() };
  const db = await enter(await as('ada'), options);
  await db.create({ _id: 'a' });
  const query = db.query();
  await shows(query, 'a');
  await site.refuse(true);
  await site.cut();
  const writing = watched(db.create({ _id: 'draft' }));
  await until(() => ids(query).includes('draft'), 'the draft shows');
  db.authenticate(await as('bob'));
  equal([ids(query), query.ready, db.pending], [[], false, 0]);
  await until(() => writing.outcome?.[1].code === 'signed_out', 'the draft waits for who made it');
  await site.refuse(false);
  await live(db);
  await db.create({ _id: 'b' });
  await shows(query, 'b');
  equal(await admin.get('draft'), undefined);
  db.close();
  const back = world.connect(site, { token: await as('ada'), ...options });
  await until(async () => (await admin.get('draft'))?.owner === 'ada', 'it is sent when they are back');
  await until(() => back.pending === 0, 'its answer is there');
});

test('a broadcast is heard in its room', async (world) => {
  const { as, enter } = await guarded(world);
  const heard = [];
  const rooms = [['r1'], ['r2'], undefined];
  for (const [at, of] of rooms.entries()) {
    const db = await enter(await as(`u${at}`, of && { rooms: of }));
    db.onBroadcast(({ n }) => heard.push([at, n]));
    if (at === 2) for (const [n, room] of [[1, 'r1'], [2, 'r2'], [3, 'r3']]) await db.broadcast({ n, room });
  }
  await until(() => heard.length >= 2, 'both are heard');
  equal(heard.toSorted(), [[0, 1], [1, 2]]);
});

test('who may look around without a token may also come in, and go', async (world) => {
  const guests = { anonymous: 'guest', roles: { ...ROLES, guest: { read: { public: true } } } };
  const { site, as, admin } = await guarded(world, guests);
  await admin.batch((b) => {
    b.create({ _id: 'ours', public: true });
    b.create({ _id: 'hers', owner: 'ada' });
  });
  const db = world.connect(site);
  const query = db.query();
  await shows(query, 'ours');
  equal(db.identity, { role: 'guest' });
  db.authenticate(await as('ada'));
  await shows(query, 'hers', 'ours');
  db.authenticate();
  equal(ids(query), []);
  await shows(query, 'ours');
});

test('who writes more than the role allows is done all the same, once each, and waits as it is told', async (world) => {
  const limits = { writes: { perSecond: 10, burst: 10 } };
  const { as, enter, admin } = await guarded(world, { roles: { ...ROLES, user: { ...ROLES.user, limits } } });
  const db = await enter(await as('ada'));
  const started = performance.now();
  await Promise.all(Array.from({ length: 40 }, (_, n) => db.create({ _id: `e${n}` })));
  ok(performance.now() - started > 2000, 'it took its time');
  equal((await admin.fetch()).data.map(({ _version }) => _version), Array(40).fill(1));
});
