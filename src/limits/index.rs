//! Bounds of declared indexes.

/// Indexes that can be declared: each is written with every change of a field that it has.
pub const INDEXES_MAX: usize = 16;

/// Fields of an index.
pub const INDEX_FIELDS_MAX: usize = 4;

/// Bytes of one key. A record with a longer one is kept apart, and every query that uses the index looks at it.
pub const INDEX_KEY_BYTES_MAX: usize = 1024;

/// Keys of one record in an index: of its arrays' elements. One with more is kept apart as well.
pub const INDEX_KEYS_MAX: usize = 1_000;

/// Bytes of all keys of one record in an index.
pub const INDEX_RECORD_BYTES_MAX: usize = 64 * 1024;

/// Steps to find the keys of one record in an index: about a millisecond.
pub const INDEX_STEPS_MAX: u64 = 100_000;

/// Keys of unique indexes that are looked up at once, for all commands of one commit: of some 16 MiB at the most. As many as
/// one event may hold.
pub const UNIQUE_KEYS_LOOKED_UP_MAX: usize = INDEXES_MAX * INDEX_KEYS_MAX;

/// Intervals of an index that one query looks into. One that asks for more values looks at all events.
pub const INDEX_RANGES_MAX: usize = 1_000;

/// Intervals that one plan looks into before it is chosen, of all indexes and branches together.
pub const INDEX_RANGES_LOOKED_AT_MAX: usize = 5_000;

/// Branches of `$or`, of all that are within each other, that are looked up one by one.
pub const INDEX_BRANCHES_MAX: usize = 64;

/// Keys of an index that are counted at most for one plan, however large the store.
pub const INDEX_LOOK_MAX: usize = 100_000;

/// Keys that are counted at least, before a plan counts as too costly.
pub const INDEX_LOOK_MIN: usize = 2_000;

/// Bytes of keys that are gathered at once while an index is built: those of half a million events, about.
pub const INDEX_BUILD_BYTES_MAX: usize = 32 * 1024 * 1024;
