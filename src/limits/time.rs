//! How long things may take.

use std::time::Duration;

/// When the store makes no progress for this long, commands that waited as long fail: `unavailable` (not applied) or
/// `outcome_unknown`.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(10);

/// How long a command is queued while the store works on others; then it is refused as busy.
pub const COMMAND_QUEUE_DEADLINE: Duration = Duration::from_secs(60);

/// How long a store tries to append a batch before it gives up. Shorter than [`COMMAND_DEADLINE`], so that commands
/// fail as "certainly not applied" rather than "unknown".
pub const APPEND_DEADLINE: Duration = Duration::from_secs(7);

/// How long a client may take to send a request's header.
pub const HEADER_READ_DEADLINE: Duration = Duration::from_secs(10);

/// How long a socket may be open before its client shows who it is.
pub const AUTH_DEADLINE: Duration = Duration::from_secs(10);

/// How long a client may take for its part of a handshake of TLS.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// The write timeout: how long a client may take nothing of what is being sent to it.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// The write timeout under memory pressure: if others wait for the budgets ([`BUDGET_BYTES`](super::BUDGET_BYTES)) that
/// the unsent frames hold, or [`STALLED_BYTES_MAX`](super::STALLED_BYTES_MAX) has no room for them.
pub const STALLED_DEADLINE: Duration = Duration::from_secs(2);

/// What a client must take at least in each [`SLOWEST_PERIOD`] while there is something to send to it (8 KiB/s): its
/// frames hold memory that others wait for.
pub const SLOWEST_BYTES: u64 = 480 * 1024;

/// See [`SLOWEST_BYTES`].
pub const SLOWEST_PERIOD: Duration = Duration::from_secs(60);

/// How long a client may take to send the rest of a WebSocket message that it has begun …
pub const MESSAGE_DEADLINE: Duration = Duration::from_secs(10);

/// … plus a second for each so many bytes of it that have arrived.
pub const MESSAGE_BYTES_PER_SECOND: u64 = 8 * 1024;

/// A session that was silent this long is pinged …
pub const PING_INTERVAL: Duration = Duration::from_secs(25);

/// … and closed if nothing is received within this.
pub const PONG_DEADLINE: Duration = Duration::from_secs(10);

/// How long a client of Socket.IO waits for the ping of the server beyond [`PING_INTERVAL`]: what it is told, and the
/// default of the original servers.
pub const SOCKETIO_PONG_DEADLINE: Duration = Duration::from_secs(20);

/// How long a client may be connected by Engine.IO without a session, for want of a CONNECT, and how long its upgrade
/// from polling may take.
pub const SOCKETIO_CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How long a client that polls may be away, while there is nothing for it: longer than it would wait for a ping. With
/// something for it, [`WRITE_DEADLINE`].
pub const POLL_DEADLINE: Duration = PING_INTERVAL.saturating_add(SOCKETIO_PONG_DEADLINE);

/// How long a shutdown waits for answers in flight and for sessions to close.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

/// … of which this much is left for the store to finish its writes.
pub const STORE_CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// How long a failed node still answers, so that health checks see why before it ends. Its sessions are closed at once.
pub const FAILED_GRACE: Duration = Duration::from_secs(2);

/// How long a read waits until the log reaches its `minSeq`: far longer than a change takes to reach another node, and
/// short enough for a client that named a seq that does not exist.
pub const MIN_SEQ_DEADLINE: Duration = Duration::from_secs(5);

/// How long a client may take to send the body of a request.
pub const BODY_READ_DEADLINE: Duration = Duration::from_secs(10);

/// The lingering close: how long a connection that the server ends is read on, so that a client that is still sending
/// can read the answer. That costs a connection permit and
/// [`LINGERING_CLOSE_BYTES_MAX`](super::LINGERING_CLOSE_BYTES_MAX) of traffic, and no memory.
pub const LINGERING_CLOSE_DEADLINE: Duration = Duration::from_secs(20);

/// … unless nothing arrives for so long.
pub const LINGERING_CLOSE_SILENCE: Duration = Duration::from_secs(1);

/// How long `/readyz` waits for the store.
pub const READY_DEADLINE: Duration = Duration::from_secs(2);

/// How long one page may take to be read and judged, once it has its permit. A listing has no deadline of its own.
pub const QUERY_DEADLINE: Duration = Duration::from_secs(5);

/// How long MongoDB may take to count what matches; then it counts only among the first
/// [`COUNT_EVENTS_MAX`](super::COUNT_EVENTS_MAX) events.
pub const COUNT_TIME: Duration = Duration::from_secs(1);

/// How long a read waits for its permit; then it is refused as busy.
pub const READ_PERMIT_DEADLINE: Duration = Duration::from_secs(30);

/// Time of judging, on half a core, that a subscription may take without reaching the head of the log.
pub const JUDGE_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a listing may hold a snapshot of MongoDB. Then it continues as of the same seq, from the log.
pub const SNAPSHOT_HELD: Duration = Duration::from_secs(5);

/// How long a client may take for a snapshot, beside a second for each
/// [`SNAPSHOT_BYTES_PER_SECOND`](super::SNAPSHOT_BYTES_PER_SECOND) of it; then the subscription ends, and gives its permit
/// back.
pub const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(60);

/// How long a SUBSCRIBE waits for a snapshot permit. The answers behind it wait as long.
pub const SNAPSHOT_PERMIT_DEADLINE: Duration = Duration::from_secs(5);

/// A client with a share that others wait for has this much time to send the rest …
pub const PRESSURE_GRACE: Duration = Duration::from_secs(1);

/// … plus a second for each so many bytes of it that have arrived. Then it is `timed_out`.
pub const PRESSURE_BYTES_PER_SECOND: u64 = 256 * 1024;
