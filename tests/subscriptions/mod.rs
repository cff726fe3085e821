//! Named subscriptions: what they answer, and what they are told.

mod bursts; // more at once than a node remembers
mod frames; // what follows the answer
pub(crate) mod judge; // what a subscription has to be told
mod kinds; // enter, leave and the others; fields
mod latest; // what became of events since a position; positions of no log
mod lists; // the first of an order
mod model; // random histories, judged
#[cfg(feature = "mongodb")]
mod nodes; // several nodes, and a database that goes away
mod requests; // SUBSCRIBE and UNSUBSCRIBE
mod script; // what random histories are made of
mod slow; // sessions that stop reading
mod snapshots; // snapshots under load
