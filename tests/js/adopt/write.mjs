// What a server with Mongoose left behind: documents of every type that its schemas have.
//
//   node write.mjs URI DATABASE [COUNT]
//
// Writes the collection `events` and prints, as JSON, what each document is to become.

import mongoose from 'mongoose';

const [uri, dbName, count = '50'] = process.argv.slice(2);
const { Schema, Types } = mongoose;

const person = new Schema({ name: String, born: Date }, { _id: false });
const event = new Schema(
  {
    title: { type: String, required: true },
    done: Boolean,
    count: Number,
    owner: { type: Schema.Types.ObjectId, ref: 'User' },
    price: Schema.Types.Decimal128,
    picture: Buffer,
    key: Schema.Types.UUID,
    labels: { type: Map, of: String },
    people: [person],
    place: { city: String, at: { lat: Number, lon: Number } },
    total: Schema.Types.BigInt,
    anything: Schema.Types.Mixed,
    tags: [String],
    due: Date,
  },
  { timestamps: true, collection: 'events' },
);
const Event = mongoose.model('Event', event);

await mongoose.connect(uri, { dbName });
await Event.deleteMany({});

const expected = [];
for (let n = 0; n < Number(count); n += 1) {
  const owner = new Types.ObjectId();
  const document = await Event.create({
    title: `event ${n} grüße 😀`,
    done: n % 2 === 0,
    count: n % 3 === 0 ? n + 0.5 : n,
    owner,
    price: Types.Decimal128.fromString(`${n}.50`),
    picture: Buffer.from([0, 1, 2, n % 256]),
    key: '3b241101-e2bb-4255-8caf-4136c566a962',
    labels: new Map([['red', 'rot'], ['green', 'grün']]),
    people: [{ name: 'Ada', born: new Date(Date.UTC(1815, 11, 10)) }, { name: 'Alan' }],
    place: { city: 'Köln', at: { lat: 50.94, lon: 6.96 } },
    total: 9007199254740993n + BigInt(n),
    anything: { deep: [1, 'two', null, { three: new Date(0) }], __v: 7 },
    tags: n === 0 ? [] : ['a', 'b'],
    due: new Date(Date.UTC(2026, 0, 31, 12, 0, 0, n % 1000)),
  });
  // Some were changed since, so that they have a later `updatedAt`, and a `__v`.
  if (n % 5 === 0) {
    document.tags.push('later');
    await document.save();
  }
  expected.push({
    _id: document._id.toHexString(),
    _createdAt: document.createdAt.toISOString(),
    _updatedAt: document.updatedAt.toISOString(),
    title: document.title,
    done: document.done,
    count: document.count,
    owner: owner.toHexString(),
    price: `${n}.50`,
    picture: Buffer.from([0, 1, 2, n % 256]).toString('base64'),
    key: '3b241101-e2bb-4255-8caf-4136c566a962',
    labels: { red: 'rot', green: 'grün' },
    people: [{ name: 'Ada', born: '1815-12-10T00:00:00.000Z' }, { name: 'Alan' }],
    place: { city: 'Köln', at: { lat: 50.94, lon: 6.96 } },
    total: String(9007199254740993n + BigInt(n)),
    anything: { deep: [1, 'two', null, { three: '1970-01-01T00:00:00.000Z' }], __v: 7 },
    tags: [...document.tags],
    due: document.due.toISOString(),
  });
}
await mongoose.disconnect();
console.log(JSON.stringify(expected));
