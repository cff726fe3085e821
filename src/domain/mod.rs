//! The words of livelog, and the rules that turn a command into a change.
//!
//! Pure: no async, no clock, no randomness, no IO. What needs one of those (an id, a time, the
//! current event), or the language of filters, comes in as an argument, so every rule here is tested by calling a function.
//!
//! Start with [`decide()`]: one command, the event it touches, and what comes of it.

mod change;
mod command;
mod decide;
mod event;
mod guard;
mod merge;
mod moment;
mod operators;
mod patch;
mod patch_projection;
mod seq;
mod size;
mod timestamp;
mod visibility;

pub use change::{Change, Effect, Kind};
pub use command::{
    Command, CommandId, CommandKey, Create, Delete, Order, OrderKey, Restore, Update, Verb,
};
pub use decide::{Rejection, Stamp, State, decide};
pub use event::{Event, EventId};
pub use guard::{Guard, Versions};
pub use moment::Moment;
pub use patch::{Patch, PatchError, Path};
pub use seq::Seq;
pub use size::{Excess, Size, Together, can_have_been};
pub use timestamp::Timestamp;
pub use visibility::{Seen, Standing};
