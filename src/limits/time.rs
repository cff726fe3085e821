//! How long things may take.

use std::time::Duration;

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
/// [`LINGERING_BYTES_MAX`](super::LINGERING_BYTES_MAX), or in [`BUDGET_BYTES`](super::BUDGET_BYTES) for who waits for that.
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

/// For how long a connection that the server ends is read on, so that a client that is still sending can hear the
/// answer. One connection holds its seat and [`PARTING_BYTES_MAX`](super::PARTING_BYTES_MAX) of traffic for that, and no memory.
pub const PARTING_DEADLINE: Duration = Duration::from_secs(20);

/// ... unless nothing comes for so long.
pub const PARTING_SILENCE: Duration = Duration::from_secs(1);

/// How long `/readyz` waits for the store.
pub const READY_DEADLINE: Duration = Duration::from_secs(2);
