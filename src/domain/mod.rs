//! The words of livelog, and the rules that turn a command into a change.
//!
//! Pure: no async, no clock, no randomness, no IO. What needs one of those (an id, a time, the
//! current event), or the language of filters, comes in as an argument, so every rule here is tested by calling a function.
//!
//! Start with [`decide()`]: one command, the event it touches, and what comes of it.

mod as_of;
mod change;
mod command;
mod decide;
mod event;
mod merge;
mod operators;
mod patch;
mod patch_projection;
mod precondition;
mod seq;
mod size;
mod timestamp;
mod visibility;

pub use as_of::AsOf;
pub use change::{Change, Effect, Kind};
pub use command::{
    BatchKey, Command, CommandBatch, CommandId, CommandKey, Create, Delete, Restore, Update, Verb,
};
pub use decide::{EventState, Rejection, Stamp, decide};
pub use event::{Event, EventId};
pub use patch::{Patch, PatchError, Path};
pub use precondition::{Precondition, Versions};
pub use seq::Seq;
pub use size::{Excess, Size, Together, can_have_been};
pub use timestamp::Timestamp;
pub use visibility::{Visibility, VisibleKind};
