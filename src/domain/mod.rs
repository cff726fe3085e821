//! The domain model, and the rules that turn a command into a change.
//!
//! Pure: no async, no clock, no randomness, no IO. An id, a time, the current event are arguments, so every rule here
//! is tested by calling a function.
//!
//! Start with [`decide()`]: it decides one command against the current state of its event, by `command` (a file for
//! each), `operators` and `merge_patch`; the effect is a [`Patch`] of values. `visibility` and `patch_projection` are
//! what a change is to a subscription with a filter and a selection of fields; `patch_stripping` is what is left of one
//! for who does not see all fields. `ranking` keeps up the first
//! events of an order. `hearing` is about broadcasts, which are no events.

mod as_of;
mod author;
mod change;
mod command;
mod decide;
mod event;
mod force;
mod hearing;
mod merge_patch;
mod operators;
mod patch;
mod patch_projection;
mod patch_stripping;
mod precondition;
mod ranking;
mod seq;
mod size;
mod timestamp;
mod visibility;

pub use as_of::AsOf;
pub use author::Author;
pub use change::{Change, ChangeKind, Effect};
pub use command::{
    BatchKey, Command, CommandBatch, CommandId, CommandKey, CommandKind, Create, Delete, Replace,
    Restore, Update,
};
pub use decide::{EventState, Rejection, Stamp, decide};
pub use event::{Event, EventId, OriginalTimes};
pub use force::force;
pub use hearing::Hearing;
pub use patch::{Patch, PatchError, Path};
pub use precondition::{Precondition, Versions};
pub use ranking::{Move, RankedEvent, Ranking, Short};
pub use seq::Seq;
pub use size::{BatchSize, Excess, Size, may_be_stored};
pub use timestamp::Timestamp;
pub use visibility::{Visibility, VisibleKind};
