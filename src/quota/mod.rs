//! How much of a node one principal may take: rates of writes, reads and bytes, and sessions at once.
//!
//! ```text
//! Quotas (of a node) --> Caller (of a connection) --quota(grant)--> Quota (of a session or request) --> Account (of a Who)
//! Lobby (of a node) ---enter(address)--> LobbySeat (of a socket without credentials)
//! ```
//!
//! - Who is counted together ([`Who`]): a principal under one role, by issuer and subject or by key; who is nobody in
//!   particular by its address, and of an IPv6 address by its network of 64 bits, since that is what one customer is given.
//! - The limits are those of the [role](crate::access::RoleLimits). Where nobody guards a livelog, and under a role without
//!   limits, there are none, and nothing is kept.
//! - Who is refused for now is not read from for a while, so that refusing takes little of the node's time as well.
//! - Each node counts for itself: what it shares with others is a store, and a quota is about the node's own time.
//! - Who is gone is forgotten once its rates are whole again: `accounts` has the bounds.

mod account;
mod accounts;
mod caller;
mod lobby;
mod meter;
#[cfg(test)]
mod tests;
mod who;

pub use account::{Quota, SessionSeat};
pub use accounts::Quotas;
pub use caller::Caller;
pub use lobby::{Lobby, LobbySeat};
pub use who::{AddressBlock, Who};
