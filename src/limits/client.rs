//! What a client may send, and what a query may ask. These may shrink: what is stored is read by bounds of its own.

/// A WebSocket message or the body of an HTTP request larger than this is refused. Sixteen times the largest
/// ordinary document, and small enough that a thousand clients sending one at once fit in memory.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// A WebSocket message beyond this cannot be skipped cheaply, so its connection is closed; between
/// [`MESSAGE_BYTES_MAX`] and this the message gets an error and the connection lives on.
pub const MESSAGE_BYTES_CLOSE: usize = 2 * MESSAGE_BYTES_MAX;

/// What a client may send for its handshake of TLS, in its hello and again after it: several times what any sends, since
/// none is asked for a certificate.
pub const HANDSHAKE_BYTES_MAX: usize = 16 * 1024;

/// A record of TLS, encrypted, with its header. The first that follows a handshake may be read with its end.
pub const TLS_RECORD_BYTES_MAX: usize = 16 * 1024 + 2048 + 5;

/// The address and headers of an HTTP request together. hyper takes no address beyond 65 534 bytes; this leaves
/// as much again for headers, and a connection that sends no more than half a head costs the node as much.
pub const HEAD_BYTES_MAX: usize = 128 * 1024;

/// Headers of an HTTP request: several times what any browser and the proxies before it send.
pub const HEADERS_MAX: usize = 100;

/// What is read, and dropped, of a body that was refused before it was whole: its client reads the answer once it
/// has sent it. A larger one is cut off.
pub const LINGERING_CLOSE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A request's `id`, when it is a string: it is stored with every request in flight and echoed.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// A command's id (`commandId`, `Idempotency-Key`): it is kept with its change for good.
pub const COMMAND_ID_BYTES_MAX: usize = 128;

/// The name of a subscription: every frame of it carries the name.
pub const SUB_NAME_BYTES_MAX: usize = 64;

/// An event's id: part of every log entry, index key and answer.
pub const EVENT_ID_BYTES_MAX: usize = 128;

/// Bytes of JSON that an event's own fields may be. Every CREATE fits: what a message of
/// [`MESSAGE_BYTES_MAX`] says takes at most 3.8 times as much written in full (`1e15`). Its changes carry it before
/// and after.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Fields and items of arrays in one event, at all depths: nearly twice what one message can hold. MongoDB takes
/// 16 bytes for each besides its text, so with its name and [`EVENT_BYTES_MAX`] of text an event is at most 5 MiB
/// there, and a log entry with the event before and a patch as large stays below MongoDB's 16 MiB.
pub const EVENT_VALUES_MAX: usize = 250_000;

/// Levels of nesting in a document, itself included: below BSON's 100 and JSON's 128 with room for
/// livelog's own wrapping, and enough that recursion over a document cannot exhaust a stack.
pub const DOCUMENT_DEPTH_MAX: usize = 32;

/// Levels of nesting in any JSON that is read: serde_json recurses, and stops here.
pub const JSON_DEPTH_MAX: usize = 127;

/// Segments of a dotted path: a path cannot reach deeper than a document may be.
pub const PATH_SEGMENTS_MAX: usize = DOCUMENT_DEPTH_MAX;

/// Paths one UPDATE may touch: they are compared pairwise for conflicts.
pub const UPDATE_PATHS_MAX: usize = 256;

/// Fields in which an event may differ from the version that a RESTORE asks for: each is searched in it, while
/// every other command waits.
pub const RESTORE_PATHS_MAX: usize = 1_024;

/// Values in all the `$each` lists of one UPDATE together: the writer searches an array for each, while
/// every other command waits.
pub const UPDATE_VALUES_MAX: usize = 1_000;

/// Levels of nesting in a filter (`$and`, `$elemMatch`, `$not` …).
pub const FILTER_DEPTH_MAX: usize = 8;

/// Conditions in one filter: each costs time on every event it is matched against.
pub const FILTER_NODES_MAX: usize = 64;

/// Values in all the lists of one filter (`$in`, `$nin`, `$all`) together.
pub const FILTER_VALUES_MAX: usize = 1_000;

/// Bytes of one `$regex` pattern.
pub const REGEX_BYTES_MAX: usize = 256;

/// `$regex` patterns in all the `$pull` conditions of one request: they are kept compiled while it is queued.
pub const PULL_PATTERNS_MAX: usize = 16;

/// Memory of one compiled `$regex`: a short pattern can ask for a huge automaton (`\w{1000}`).
pub const REGEX_COMPILED_BYTES_MAX: usize = 256 * 1024;

/// Steps of judging one event by one filter, its sort keys included: some ten milliseconds, on a thread of its own.
/// Ten conditions on an array of a hundred thousand elements take as many.
pub const MATCH_STEPS_MAX: u64 = 1_000_000;

/// Steps of the `$pull` conditions of one request: a few milliseconds, while every other command waits.
pub const PULL_STEPS_MAX: u64 = 500_000;

/// Steps of the `$pull` conditions in one commit; the commands that remain wait for the next.
pub const COMMIT_PULL_STEPS_MAX: u64 = 4 * PULL_STEPS_MAX;

/// Memory of all compiled patterns of one filter: a few large ones, or very many small ones.
pub const FILTER_PATTERN_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Memory of the filters of one session's subscriptions, compiled patterns included.
pub const SESSION_FILTER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Memory of the lazy automaton's states of one `$regex`; some patterns need more to begin.
pub const REGEX_STATES_BYTES_MAX: usize = 64 * 1024;

/// Fields a query may sort by.
pub const SORT_FIELDS_MAX: usize = 8;

/// Fields a query may ask for.
pub const PROJECTION_FIELDS_MAX: usize = 64;

/// Events a FETCH answers with when it names no limit.
pub const FETCH_COUNT_DEFAULT: usize = 100;

/// Events one FETCH may ask for.
pub const FETCH_COUNT_MAX: usize = 1_000;

/// Events that a live list may show.
pub const LIST_COUNT_MAX: usize = 500;

/// Entries of an index that are counted for one `count`; beyond it the answer says "at least". A quarter of a second.
pub const COUNT_ENTRIES_MAX: u64 = 1_000_000;

/// Events that are read and judged for one `count`, if no index helps: a quarter of a second as well.
pub const COUNT_EVENTS_MAX: u64 = 100_000;

/// Groups of one answer to stats: what a person or a chart can take in, and searched for each event.
pub const GROUPS_MAX: usize = 1_000;

/// Bytes of the values of those groups, in memory.
pub const GROUP_BYTES_MAX: usize = 256 * 1024;

/// Bytes of events, as JSON, in one FETCH answer: a page ends early rather than building a frame of a gigabyte,
/// with the event that passes this.
pub const FETCH_BYTES_MAX: usize = 4 * 1024 * 1024;
