//! What a node holds at once: for each client, for all together, and in its stores.
//!
//! The memory of a node is at most: what it takes at rest, the live window, the caches (`EVENT_CACHE_BYTES_MAX`,
//! `LOG_CACHE_BYTES_MAX`, `EMBEDDED_*`), `INDEX_BUILD_BYTES_MAX`, `MAILBOX_BYTES_MAX`, `SNAPSHOTS_MAX` times
//! `LATEST_BYTES_MAX`, twice `FILTERS_BYTES_MAX`, `SORTS_BYTES_MAX`, `LISTS_BYTES_MAX`, `BUDGET_BYTES`, `SUBSCRIPTION_BUDGET_BYTES`, `RECEIVE_BUDGET_BYTES`,
//! `STALLED_BYTES_MAX`, `QUOTAS_MAX` times `QUOTA_BYTES`, some mebibytes for each of `READ_THREADS_MAX`, and for each
//! connection, and each session that polls, what `SESSION_FREE_BYTES`, `MESSAGE_FREE_BYTES`, `FLUSH_BYTES_MAX` and the
//! buffers of its socket add up to. Who guards it adds for each session, and each of `RECENT_ADMISSIONS_MAX`, what was shown
//! (`TOKEN_BYTES_MAX`), its claims and its rules: some three kibibytes, and what the issuers whom the operator trusts put into
//! a token.

use super::EVENT_BYTES_MAX;

/// The budget: bytes of answers that are being made or wait for a client to read them, and of pages of the log that are
/// held for sessions that catch up, over all sessions. Beyond this reads wait or are answered with shorter pages, and
/// answers to writes are read from the log again when their client takes them.
pub const BUDGET_BYTES: usize = 96 * 1024 * 1024;

/// The same for the frames of subscriptions, which are copied for each. A budget of its own, because a session that
/// waits for this one may hold a page of the log.
pub const SUBSCRIPTION_BUDGET_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of other frames that wait for all stalled clients together, beside [`SESSION_FREE_BYTES`] for each. Most of
/// the frames are shared, and count for each client all the same.
pub const STALLED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of answers that wait for one session without a share of the budget: small answers need no bookkeeping.
pub const SESSION_FREE_BYTES: usize = 16 * 1024;

/// Connections at once; beyond this new ones are closed without an answer, which would cost what is short.
pub const CONNECTIONS_MAX: usize = 50_000;

/// Handshakes of TLS under way at once, of those connections; beyond this new connections are closed as well. Each may hold
/// [`HANDSHAKE_BYTES_MAX`](super::HANDSHAKE_BYTES_MAX) and a record, beside some 16 KiB of state: half a gibibyte, if each does
/// its worst.
pub const HANDSHAKES_MAX: usize = 10_000;

/// Bytes that TLS has encrypted for a connection and the kernel has not taken; besides them it holds one record that is not
/// whole. As much at once as a WebSocket gathers.
pub const TLS_UNSENT_BYTES: usize = SOCKET_WRITE_BUFFER_BYTES;

/// A file of a certificate, with all that lead to its authority, or of a key.
pub const TLS_FILE_BYTES_MAX: usize = 256 * 1024;

/// Sessions of Socket.IO that poll: between two polls they hold no connection that would bound them. A client polls until
/// it has a WebSocket, so that most do for less than a second; a session that polls may hold what one with a connection
/// does.
pub const POLLING_SESSIONS_MAX: usize = 10_000;

/// Bytes of a request or message that any client may send before it is whole, without a share of the budget for them:
/// so much is read from every client at any time.
pub const MESSAGE_FREE_BYTES: u64 = 16 * 1024;

/// The share of a larger one: the most that is read of a message, or of a request's head and body.
pub const MESSAGE_SHARE_BYTES: usize = 512 * 1024;

/// Bytes of requests and messages that are larger than [`MESSAGE_FREE_BYTES`] and not yet whole, over all connections:
/// 128 of them at once. The others are not read meanwhile.
pub const RECEIVE_BUDGET_BYTES: usize = 64 * 1024 * 1024;

/// Requests of one session that wait for their answer; beyond this its socket is not read.
pub const SESSION_REQUESTS_MAX: usize = 64;

/// Bytes of requests of one session that wait for their answer; the same happens beyond this.
pub const SESSION_REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the name of a namespace of Socket.IO that is refused with its name; a longer one is not answered.
pub const SOCKETIO_NAMESPACE_BYTES_MAX: usize = 128;

/// PINGs of one session that wait for their pong, which is made when the socket can take it; beyond this it is not read.
pub const SESSION_PINGS_MAX: usize = 4;

/// FETCHes of one session that wait for their answer: each answer may be [`FETCH_BYTES_MAX`](super::FETCH_BYTES_MAX)
/// large.
pub const SESSION_FETCHES_MAX: usize = 8;

/// Named subscriptions of one session: all are polled when one of them has a match.
pub const SESSION_SUBSCRIPTIONS_MAX: usize = 100;

/// Bytes of commands waiting to be committed, over all sessions; beyond this they are refused as busy.
pub const MAILBOX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Pages of events, changes and histories that are read at once, over all clients; more wait, in turns of principals.
/// Each may hold some mebibytes of values until they are read, a FETCH until they are written; then a page of changes is
/// bounded by its share of [`BUDGET_BYTES`].
pub const READS_MAX: usize = 16;

/// Threads that read and judge beside the runtime's own. Each may keep some mebibytes that it has freed, so they are
/// few; and more than can be busy for long ([`SCANS_MAX`], [`CATCH_UPS_MAX`], judges), so that a small read gets one at
/// once.
pub const READ_THREADS_MAX: usize = 32;

/// Commands in one commit. Throughput is flat beyond this, while the wait of each grows.
pub const COMMIT_COUNT_MAX: usize = 1_024;

/// Bytes of commands in one commit: well inside what one MongoDB transaction takes.
pub const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of the state that a commit is decided on, twice what it may write; further commands wait. One event or change
/// may exceed it.
pub const CONTEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The same for one BATCH, which is decided whole; one that needs more would exceed [`COMMAND_BATCH_BYTES_MAX`].
pub const COMMAND_BATCH_CONTEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Commands in one BATCH: they are decided together and appended in one commit, however many others are queued.
pub const COMMAND_BATCH_COUNT_MAX: usize = 100;

/// Bytes of JSON of the events of one BATCH, each as large as it was before a command or is after it: its changes
/// cannot be split into several commits.
pub const COMMAND_BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Values in all those events: 16 MiB in memory, and twice 8 MiB in a transaction of MongoDB's.
pub const COMMAND_BATCH_VALUES_MAX: usize = 500_000;

/// Bytes of the writer's cache of recently used events, so that updating a busy event needs no read.
pub const EVENT_CACHE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of changes and broadcasts the live window holds, unless the operator names another number. A
/// session further behind than this reads the log instead.
pub const LIVE_WINDOW_BYTES_DEFAULT: usize = 32 * 1024 * 1024;

/// Matches that are kept for the subscriptions of one filter; one further behind scans the window instead. Several
/// flushes, and 4 KiB for each of perhaps ten thousand filters.
pub const MATCHES_MAX: usize = 256;

/// Bytes of changes read from the log at once; a page ends early beyond this.
pub const LOG_PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Changes read from the log at once.
pub const LOG_PAGE_COUNT: usize = 500;

/// Pages of the log read at once for subscriptions that catch up; more wait.
pub const CATCH_UPS_MAX: usize = 8;

/// Bytes of pages of the log that are cached for sessions that catch up: a thousand that reconnect together read the
/// same few.
pub const LOG_CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Snapshot permits: subscriptions at once that begin with a snapshot, or in mode `latest`. Each holds a cursor of the
/// store, or up to [`LATEST_BYTES_MAX`]. More wait.
pub const SNAPSHOTS_MAX: usize = 16;

/// A client that reads a snapshot as fast as this is never too slow for it.
pub const SNAPSHOT_BYTES_PER_SECOND: u32 = 64 * 1024;

/// Bytes of changes that a subscription with mode `latest` merges at once; an event can be sent once in each such
/// round.
pub const LATEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of events that a live list holds: those that it shows, and as many more in reserve as there is room for.
pub const LIST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a live list counts for at least: its task, its place in the log, and what it is known by.
pub const LIST_BYTES_MIN: usize = 4 * 1024;

/// Changes of a live list that it keeps for those who have not taken them; who is further behind gets the list anew.
pub const LIST_CHANGES_MAX: usize = 256;

/// Bytes of them.
pub const LIST_CHANGES_BYTES_MAX: usize = 256 * 1024;

/// Bytes of all live lists of a node, with their changes; beyond this more lists are refused as busy, and changes are not
/// kept.
pub const LISTS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Frames handed to a socket before one flush: a flush each costs ten times as much.
pub const FLUSH_COUNT_MAX: usize = 64;

/// Bytes handed to a socket before one flush.
pub const FLUSH_BYTES_MAX: usize = 64 * 1024;

/// What subscriptions may send in one flush: [`FLUSH_BYTES_MAX`], and the frame that exceeds it.
pub const SUBSCRIPTION_FLUSH_BYTES_MAX: usize = FLUSH_BYTES_MAX + 3 * EVENT_BYTES_MAX;

/// The read buffer of a WebSocket. tungstenite's default of 128 KiB is what an idle session would cost.
pub const SOCKET_READ_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes that tungstenite gathers before it writes them to the socket. What it copies for a client that does
/// not read is this and one fragment of [`FRAGMENT_BYTES_MAX`].
pub const SOCKET_WRITE_BUFFER_BYTES: usize = 32 * 1024;

/// A message larger than this is sent in several WebSocket frames, so that no socket copies more of it.
pub const FRAGMENT_BYTES_MAX: usize = 16 * 1024;

/// Bytes that the kernel holds for a client that does not read (Linux takes as much again for its own use). Its
/// own choice grows to megabytes, and says that there is room again only when a third of them is read: a client
/// that reads 100 KB/s would seem to take nothing for half a minute.
pub const KERNEL_SEND_BUFFER_BYTES: u32 = 128 * 1024;

/// Bytes of its file that redb keeps in memory. Its default is 1 GiB; reads beyond this are served by
/// the operating system's cache.
pub const EMBEDDED_CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of the memtable before its changes of the view are flushed into the table. While they are, as much again can
/// gather.
pub const EMBEDDED_MEMTABLE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of events that a rebuild gathers before it writes them; while it does, as much again can gather.
/// The more, the fewer times it writes the same page of the table.
pub const EMBEDDED_REBUILD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Writes are refused as `storage_full` while the file system has less free space than this (and three times what
/// they bring): the last of it is kept for the file's own bookkeeping, so that no write fails half-way.
pub const EMBEDDED_DISK_FREE_MIN: u64 = 4 * 1024 * 1024;

/// With this much free space the size of a write is not checked: three times the largest commit, and more.
pub const EMBEDDED_DISK_FREE_AMPLE: u64 = 256 * 1024 * 1024;

/// Changes of the log that the view's table may lack: a start applies them, in less than a second.
pub const EMBEDDED_UNFLUSHED_MAX: u64 = 100_000;

/// Bytes of sort keys one read gathers at once: those of a hundred thousand events. An order by `_id`
/// gathers none, and a limit no more than it admits. Beyond this the first half is sent, and the rest gathered in
/// another pass.
pub const SORT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The same for all reads together, with what they keep until their clients have taken it. What does not fit is
/// gathered later, in more passes.
pub const SORTS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes that each may gather without counting: of about a thousand events.
pub const SORT_FREE_BYTES: usize = 128 * 1024;

/// Memory of all filters of a node, those of current reads included; beyond this more are refused as busy. Equal
/// filters count once. From three quarters on, who holds more than an eighth is refused as well.
pub const FILTERS_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Reads at once that scan all events; more wait for a permit. With more on the same cores none would end in time.
pub const SCANS_MAX: usize = 8;

/// Steps of judging one change for one group before it is left to the members: all subscriptions wait for the pump.
pub const GROUP_STEPS_MAX: u64 = 1_000;

/// Steps of finding and judging all groups that one change may concern; the members of the rest judge it themselves.
/// About two milliseconds, in which fifty thousand different filters that compare one number are judged.
pub const CHANGE_STEPS_MAX: u64 = 400_000;

/// Steps of judging that a session's task takes before it yields: about a millisecond.
pub const JUDGE_SLICE_STEPS: u64 = 200_000;

/// Steps of judging one event in the task of a session, a tenth of a millisecond; more are taken on another thread.
pub const MATCH_STEPS_INLINE: u64 = 20_000;
