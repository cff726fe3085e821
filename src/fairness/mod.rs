//! Turns: who may go next, by what it costs, and how many may go at once.
//!
//! Turns are taken on two levels. A [`Party`] is all that one principal asks for, over however many connections, and gets
//! one share; within it each [`Requester`] gets one. So who opens a hundred sessions gets no more of a node than who opens
//! one, and a service that asks for a hundred users serves them alike.

mod holdings;
mod permits;
mod queue;
mod requester;
mod ring;
mod round;
#[cfg(test)]
mod tests;

pub use holdings::{Holding, Holdings};
pub use permits::{FairPermit, FairPermits};
pub use queue::{FairQueue, QUANTUM_BYTES, Waiting};
pub use requester::{Party, Requester};
