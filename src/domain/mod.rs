//! The words of livelog, and the rules that turn a command into a change.
//!
//! Pure: no async, no clock, no randomness, no IO. What needs one of those (an id, a time, the
//! current event), or the language of filters, comes in as an argument, so every rule here is tested by calling a function.
//!
//! Start with [`decide()`]: one command, the event it touches, and what comes of it.

mod change;
mod command;
mod compare;
mod decide;
mod document;
mod event;
mod guard;
mod json;
mod merge;
mod moment;
mod names;
mod operators;
mod patch;
mod read;
mod seq;
mod size;
mod steps;
mod timestamp;
mod value;

pub use change::{Change, Effect, Kind};
pub use command::{
    Command, CommandId, CommandKey, Create, Delete, Order, OrderKey, Restore, Update, Verb,
};
pub(crate) use compare::{Class, class, compare, compare_within};
pub use decide::{Rejection, Stamp, State, decide};
pub(crate) use document::join;
pub use document::{Invalid, check_document, check_stored};
pub use event::{Event, EventId};
pub use guard::{Guard, Versions};
pub use moment::Moment;
pub use names::{known, unknown};
pub use operators::{Condition, ReadCondition};
pub use patch::{Patch, PatchError, Path};
pub(crate) use read::{TWICE, repeated};
pub use read::{Unread, read, read_as_it_is};
pub use seq::Seq;
pub use size::{Excess, Size, Together, can_have_been};
pub use steps::{Steps, TooCostly};
pub use timestamp::Timestamp;
pub use value::{Document, Record, Value, ValueRef};
