//! Every bound of the server, one constant each, with its unit in the name and its reason beside it.
//!
//! A bound is reached by a mistake, an attack or an overload; each is answered by name (see `protocol::Code`) and has a test.

use std::time::Duration;

// What a client may send.

/// A WebSocket message or the body of an HTTP request larger than this is refused. Sixteen times the largest
/// ordinary document, and small enough that a thousand clients sending one at once fit in memory.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// A WebSocket message beyond this cannot be skipped cheaply, so its connection is closed; between
/// [`MESSAGE_BYTES_MAX`] and this the message gets an error and the connection lives on.
pub const MESSAGE_BYTES_CLOSE: usize = 2 * MESSAGE_BYTES_MAX;

/// The address and headers of an HTTP request together. hyper takes no address beyond 65 534 bytes; this leaves
/// as much again for headers, and a connection that sends no more than half a head costs the node as much.
pub const HEAD_BYTES_MAX: usize = 128 * 1024;

/// Headers of an HTTP request: several times what any browser and the proxies before it send.
pub const HEADERS_MAX: usize = 100;

/// What is read, and dropped, of a body that was refused before it was whole: its client hears the answer once it
/// has sent it. Larger ones are cut off.
pub const PARTING_BYTES_MAX: usize = 64 * 1024 * 1024;

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

/// Levels of nesting in a text that is read at all: serde_json recurses, and this is where it ends.
pub const JSON_DEPTH_MAX: usize = 127;

/// Segments of a dotted path: a path cannot reach deeper than a document may be.
pub const PATH_SEGMENTS_MAX: usize = DOCUMENT_DEPTH_MAX;

/// Paths one UPDATE may touch: they are compared pairwise for conflicts.
pub const UPDATE_PATHS_MAX: usize = 256;

/// Fields in which an event may differ from the version that a RESTORE asks for: each is looked for in it, while
/// every other command waits.
pub const RESTORE_PATHS_MAX: usize = 1_024;

/// Values in all the `$each` lists of one UPDATE together: the writer looks for each in an array, while
/// every other command waits.
pub const UPDATE_VALUES_MAX: usize = 1_000;

// What stored logs and exports are read by. These may only grow: what was written under a larger one would not be
// readable any more. What clients may send has bounds of its own above, which may shrink.

/// The id of a stored event.
pub const STORED_EVENT_ID_BYTES_MAX: usize = 128;

/// The id of a command that is kept with its change.
pub const STORED_COMMAND_ID_BYTES_MAX: usize = 128;

/// Levels of nesting in a stored document, and names in a stored path: shallow enough for any stack.
pub const STORED_DEPTH_MAX: usize = 128;

/// The largest array index an UPDATE may name, and by which a stored patch is applied again: the places before it
/// are filled with nulls.
pub const ARRAY_INDEX_MAX: usize = 1_500;

/// Bytes of JSON of the largest event that any livelog kept: earlier ones weighed what it takes in memory, where a
/// control character is one byte and not six.
pub const IMPORT_EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;

/// A line of an exported log: an update's event before, at most [`IMPORT_EVENT_BYTES_MAX`], and its patch. An input
/// without line ends must not fill the memory.
pub const IMPORT_LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

const _: () = {
    assert!(EVENT_ID_BYTES_MAX <= STORED_EVENT_ID_BYTES_MAX);
    assert!(COMMAND_ID_BYTES_MAX <= STORED_COMMAND_ID_BYTES_MAX);
    assert!(DOCUMENT_DEPTH_MAX <= STORED_DEPTH_MAX);
    assert!(6 * EVENT_BYTES_MAX <= IMPORT_EVENT_BYTES_MAX);
    assert!(2 * IMPORT_EVENT_BYTES_MAX <= IMPORT_LINE_BYTES_MAX);
};

// What a query may ask.

/// Levels of nesting in a filter (`$and`, `$elemMatch`, `$not` …).
pub const FILTER_DEPTH_MAX: usize = 8;

/// Conditions in one filter: each costs time on every event it is matched against.
pub const FILTER_NODES_MAX: usize = 64;

/// Values in all the lists of one filter (`$in`, `$nin`, `$all`) together.
pub const FILTER_VALUES_MAX: usize = 1_000;

/// Bytes of one `$regex` pattern.
pub const REGEX_BYTES_MAX: usize = 256;

/// `$regex` patterns in all the `$pull` conditions of one request: compiled they wait with it for the writer.
pub const ORDER_PATTERNS_MAX: usize = 16;

/// Memory of one compiled `$regex`: a short pattern can ask for a huge automaton (`\w{1000}`).
pub const REGEX_COMPILED_BYTES_MAX: usize = 256 * 1024;

/// Steps of judging one event by one filter, its sort keys included: some ten milliseconds, on no thread that others
/// wait for. Ten conditions on an array of a hundred thousand elements take as many.
pub const MATCH_STEPS_MAX: u64 = 1_000_000;

/// Steps of judging one event in the task of a session, a tenth of a millisecond; more are taken where nobody waits.
pub const MATCH_STEPS_INLINE: u64 = 20_000;

/// Steps of judging that a session's task takes before others have their turn: about a millisecond.
pub const JUDGE_SLICE_STEPS: u64 = 200_000;

/// Time of judging, on half a core, that a subscription may take without coming to the end of the log.
pub const JUDGE_TIME_MAX: Duration = Duration::from_secs(10);

/// Steps of judging one change for one group before it is left to its members: everyone waits for the pump meanwhile.
pub const GROUP_STEPS_MAX: u64 = 1_000;

/// Steps of finding and judging all groups that one change may concern; those that remain judge it themselves. About
/// two milliseconds: fifty thousand different filters that compare one number are judged in that.
pub const CHANGE_STEPS_MAX: u64 = 400_000;

/// Steps of the `$pull` conditions of one request: a few milliseconds, while every other command waits.
pub const ORDER_STEPS_MAX: u64 = 500_000;

/// Steps of the `$pull` conditions in one commit; the commands that remain wait for the next.
pub const BATCH_STEPS_MAX: u64 = 4 * ORDER_STEPS_MAX;

/// Memory of all patterns of one filter: those are some fat ones, or very many that are not.
pub const FILTER_PATTERN_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Memory of the filters of one session's subscriptions, compiled patterns included.
pub const SESSION_FILTER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Memory of all filters of a node, those of reads that are under way included; beyond this more are refused as busy.
/// What many ask alike counts once.
pub const FILTERS_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Memory of the states that matching texts makes of one `$regex`; some need more to begin at all.
pub const REGEX_STATES_BYTES_MAX: usize = 64 * 1024;

/// Fields a query may sort by.
pub const SORT_FIELDS_MAX: usize = 8;

/// Fields a query may ask for.
pub const PROJECTION_FIELDS_MAX: usize = 64;

/// Events a FETCH answers with when it names no limit.
pub const FETCH_COUNT_DEFAULT: usize = 100;

/// Events one FETCH may ask for.
pub const FETCH_COUNT_MAX: usize = 1_000;

/// Bytes of events, as JSON, in one FETCH answer: a page ends early rather than building a frame of a gigabyte,
/// with the event that passes this.
pub const FETCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long one page may take to be read and judged, from its turn on. A listing has no deadline of its own.
pub const QUERY_DEADLINE: Duration = Duration::from_secs(5);

/// Reads at once that go through all events; more wait their turn. Of more on the same cores none would end in time.
pub const PASSES_MAX: usize = 8;

/// How long a read waits for its turn; then it is refused as busy.
pub const READ_TURN_DEADLINE: Duration = Duration::from_secs(30);

/// How long a listing may hold a snapshot of MongoDB. Then it goes on as of the same seq, from the log.
pub const SNAPSHOT_HELD: Duration = Duration::from_secs(5);

// What is kept for whom.
//
// The memory of a node is at most: what it takes at rest, the live window, the caches
// (`RECENT_EVENTS_BYTES_MAX`, `LOG_CACHE_BYTES_MAX`, `EMBEDDED_*`), `MAILBOX_BYTES_MAX`, `SNAPSHOTS_MAX` times
// `LATEST_BYTES_MAX`, twice `FILTERS_BYTES_MAX`, `BUDGET_BYTES`, `NEWS_BUDGET_BYTES`,
// `LINGERING_BYTES_MAX`, and for each connection what `SESSION_FREE_BYTES`, `FLUSH_BYTES_MAX`, the
// buffers of its socket and the request that it is sending come to.

/// Bytes of answers that are being made or wait for a client to read them, and of pages of the log that are held
/// for those who catch up: over all sessions. Beyond this reads wait their turn or are answered with shorter
/// pages, and answers to writes are read from the log again when their client wants them.
pub const BUDGET_BYTES: usize = 96 * 1024 * 1024;

/// The same for what subscriptions tell, which is copied for each: apart, because who waits for this may hold a
/// page of the log.
pub const NEWS_BUDGET_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of other messages that wait for all those clients together that take nothing, beside
/// [`SESSION_FREE_BYTES`] for each. Most of them share what they wait for; it counts for each all the same.
pub const LINGERING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of answers that wait for one session, beside the node's budget: small ones cost nothing to count.
pub const SESSION_FREE_BYTES: usize = 16 * 1024;

/// Connections at once; beyond this new ones are closed unheard, since an answer would cost what is short.
pub const CONNECTIONS_MAX: usize = 50_000;

/// Requests of one session that wait for their answer; beyond this its socket is not read.
pub const SESSION_REQUESTS_MAX: usize = 64;

/// Bytes of requests of one session that wait for their answer; the same happens beyond this.
pub const SESSION_REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// FETCHes of one session that wait for their answer: each answer may be [`FETCH_BYTES_MAX`] large.
pub const SESSION_FETCHES_MAX: usize = 8;

/// Named subscriptions of one session: each is looked at when one of them has something to tell.
pub const SESSION_SUBSCRIPTIONS_MAX: usize = 100;

/// Bytes of commands waiting to be committed, over all sessions; beyond this they are refused as busy.
pub const MAILBOX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// FETCHes running at once over all sessions; more wait their turn.
pub const FETCHES_MAX: usize = 64;

/// Commands in one commit. Throughput is flat beyond this, while the wait of each grows.
pub const BATCH_COUNT_MAX: usize = 1_024;

/// Bytes of commands in one commit: well inside what one MongoDB transaction takes.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of what a batch is decided on, twice what it may write; the rest waits. One event or change may lie beyond.
pub const FACTS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The same for one BATCH, which is decided whole; what rests on more would exceed [`ORDER_BYTES_MAX`].
pub const ORDER_FACTS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Commands in one BATCH: they are decided together and appended in one commit, however many others wait.
pub const ORDER_COMMANDS_MAX: usize = 100;

/// Bytes of JSON of the events of one BATCH, each as large as it was before a command or is after it: its changes
/// cannot be parted into several commits.
pub const ORDER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Values in all those events: 16 MiB in memory, and twice 8 MiB in a transaction of MongoDB's.
pub const ORDER_VALUES_MAX: usize = 500_000;

/// Bytes of recently used events the writer remembers, so that updating a busy event needs no read.
pub const RECENT_EVENTS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of changes and broadcasts the live window holds, unless the operator names another number. A
/// session further behind than this reads the log instead.
pub const LIVE_WINDOW_BYTES_DEFAULT: usize = 32 * 1024 * 1024;

/// Matches that are remembered for the subscriptions of one filter; one further behind looks through the
/// window instead. Several flushes, and 4 KiB for each of perhaps ten thousand filters.
pub const MATCHES_MAX: usize = 256;

/// Bytes of changes read from the log at once; a page ends early beyond this.
pub const LOG_PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Changes read from the log at once.
pub const LOG_PAGE_COUNT: usize = 500;

/// Pages of the log read at once for subscriptions that catch up; more wait their turn.
pub const CATCH_UPS_MAX: usize = 8;

/// Bytes of pages of the log that are kept for the next who catches up: a thousand sessions that come
/// back together read the same few.
pub const LOG_CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Subscriptions at once that begin with a snapshot, or gather what became of events: each holds a cursor
/// of the store, or up to [`LATEST_BYTES_MAX`]. More wait their turn.
pub const SNAPSHOTS_MAX: usize = 16;

/// How long a client may take for a snapshot, beside a second for each [`SNAPSHOT_BYTES_PER_SECOND`] of it; then
/// the subscription ends, and its turn with it.
pub const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(60);

/// Who reads a snapshot as fast as this is never too slow for it.
pub const SNAPSHOT_BYTES_PER_SECOND: u32 = 64 * 1024;

/// How long a SUBSCRIBE waits for its turn to begin with a snapshot. The answers behind it wait as long.
pub const SNAPSHOT_TURN_DEADLINE: Duration = Duration::from_secs(5);

/// Bytes of changes that a subscription with mode `latest` gathers before it tells what they come to; an
/// event can be told of once in each such round.
pub const LATEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Frames handed to a socket before one flush: a flush each costs ten times as much.
pub const FLUSH_COUNT_MAX: usize = 64;

/// Bytes handed to a socket before one flush.
pub const FLUSH_BYTES_MAX: usize = 64 * 1024;

/// What subscriptions may tell in one flush: [`FLUSH_BYTES_MAX`], and the frame that passes it.
pub const NEWS_BYTES_MAX: usize = FLUSH_BYTES_MAX + 3 * EVENT_BYTES_MAX;

/// The read buffer of a WebSocket. tungstenite's default of 128 KiB is what an idle session would cost.
pub const SOCKET_READ_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes that tungstenite gathers before it writes them to the socket. What it copies for a client that does
/// not read is this and one piece of [`PIECE_BYTES_MAX`].
pub const SOCKET_WRITE_BUFFER_BYTES: usize = 32 * 1024;

/// A message larger than this goes out in several WebSocket frames, so that no socket copies more of it.
pub const PIECE_BYTES_MAX: usize = 16 * 1024;

/// Bytes that the kernel holds for a client that does not read (Linux takes as much again for its own use). Its
/// own choice grows to megabytes, and says that there is room again only when a third of them is read: who
/// reads 100 KB/s would look as if it took nothing for half a minute.
pub const KERNEL_SEND_BUFFER_BYTES: u32 = 128 * 1024;

// What the embedded store holds in memory.

/// Bytes of its file that redb keeps in memory. Its default is 1 GiB; reads beyond this are served by
/// the operating system's cache.
pub const EMBEDDED_CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of changes of the view that are held back before they begin to move into its table. While
/// they move, as much again can gather.
pub const EMBEDDED_OVERLAY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of events that a rebuild gathers before it writes them; while it does, as much again can gather.
/// The more, the fewer times it comes back to the same page of the table.
pub const EMBEDDED_REBUILD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Writes are refused as `storage_full` while the file system has less room than this (and three times what
/// they bring): the last of it is kept for the file's own bookkeeping, so that nothing breaks off in the middle.
pub const EMBEDDED_ROOM_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// With this much room nobody looks how much a write brings: three times the largest commit, and more.
pub const EMBEDDED_ROOM_BYTES_AMPLE: u64 = 256 * 1024 * 1024;

/// Changes of the log that the view's table may lack: a start folds them, in less than a second.
pub const EMBEDDED_UNCOVERED_MAX: u64 = 100_000;

/// Bytes of sort keys one query may gather: those of a hundred thousand events. An order by `_id`
/// gathers none, and a limit as many as it lets through.
pub const SORT_BYTES_MAX: usize = 32 * 1024 * 1024;

// How long things may take.

/// When the store does nothing for this long, who waited as long hears `unavailable` (not applied) or `outcome_unknown`.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(10);

/// How long a command waits for its turn while the store works on others; then it is refused as busy.
pub const COMMAND_TURN_DEADLINE: Duration = Duration::from_secs(60);

/// How long a store tries to append a batch before it says that it could not. Shorter than
/// [`COMMAND_DEADLINE`], so that commands hear "certainly not applied" rather than "unknown".
pub const APPEND_DEADLINE: Duration = Duration::from_secs(7);

/// How long a client may take to send a request's header.
pub const HEADER_READ_DEADLINE: Duration = Duration::from_secs(10);

/// How long a client may take nothing of what is being sent to it.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// A client that takes nothing for this long is given up early if there is no room for what waits for it: in
/// [`LINGERING_BYTES_MAX`], or in [`BUDGET_BYTES`] for who waits for that.
pub const LINGERING_DEADLINE: Duration = Duration::from_secs(2);

/// What a client must take at least in each [`SLOWEST_PERIOD`] while there is something to send to it (8 KiB/s):
/// it holds on to what others wait for.
pub const SLOWEST_BYTES: u64 = 480 * 1024;

/// See [`SLOWEST_BYTES`].
pub const SLOWEST_PERIOD: Duration = Duration::from_secs(60);

/// How long a client may take to send the rest of a WebSocket message of which it has sent a part …
pub const MESSAGE_DEADLINE: Duration = Duration::from_secs(10);

/// … beside a second for each so many bytes of it that have come.
pub const MESSAGE_BYTES_PER_SECOND: u64 = 8 * 1024;

/// A session that was silent this long is pinged …
pub const PING_INTERVAL: Duration = Duration::from_secs(25);

/// … and closed if nothing comes back within this.
pub const PONG_DEADLINE: Duration = Duration::from_secs(10);

/// How long a shutdown waits for answers in flight and for sessions to close.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

/// … of which this much is left for the store to write out what it has begun.
pub const STORE_CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// How long a node that cannot go on still answers, so that whoever looks after it hears why before it ends. Its
/// sessions are sent away at once.
pub const FAILED_GRACE: Duration = Duration::from_secs(2);

/// How long a read waits until the log has come to its `minSeq`: far longer than a change takes to reach
/// another node, and short enough for who named a seq that is nowhere.
pub const MIN_SEQ_DEADLINE: Duration = Duration::from_secs(5);

/// How long a client may take to send the body of a request.
pub const BODY_READ_DEADLINE: Duration = Duration::from_secs(10);

/// How often at most the log says that a request was turned away for its host or origin: any page can have its
/// visitors' browsers ask as often as it likes.
pub const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// For how long a connection that the server ends is read on, so that a client that is still sending can hear the
/// answer. One connection holds its seat and [`PARTING_BYTES_MAX`] of traffic for that, and no memory.
pub const PARTING_DEADLINE: Duration = Duration::from_secs(20);

/// ... unless nothing comes for so long.
pub const PARTING_SILENCE: Duration = Duration::from_secs(1);

/// How long `/readyz` waits for the store.
pub const READY_DEADLINE: Duration = Duration::from_secs(2);
