//! What is kept of those whose role has limits, and of those who have yet to say who they are.

use std::time::Duration;

/// Principals of which is remembered what they asked for lately; beyond this those who ask for nothing now are forgotten,
/// who is done first the first. More than can have a connection or a session at once.
pub const QUOTAS_MAX: usize = 100_000;

/// What one of them takes: its rates, its place in the table, and the room that a table keeps free.
pub const QUOTA_BYTES: usize = 512;

/// How often those are forgotten of whom nothing is left to remember.
pub const QUOTA_SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// When who has as many sessions as the role allows is told to try again: nobody knows when one of them will end.
pub const SESSION_RETRY: Duration = Duration::from_secs(5);

/// How long at most the sockets of a principal are not read after a request of it was refused: who floods a node would else
/// keep it busy refusing. Short, since pings wait as well.
pub const REFUSAL_PAUSE_MAX: Duration = Duration::from_millis(250);

/// Sockets that have not shown credentials, over all addresses: each holds a connection and says nothing.
pub const LOBBY_MAX: usize = 10_000;

/// The same of one address. An office behind one address comes back at once after a restart, and each is in here no longer
/// than its first message takes.
pub const LOBBY_ADDRESS_MAX: u32 = 256;

/// When who finds no place there is told to try again: most are gone in less.
pub const LOBBY_RETRY: Duration = Duration::from_secs(1);

/// Proxies that a request may have passed, as its headers say: several times what anyone builds.
pub const FORWARDED_MAX: usize = 32;
