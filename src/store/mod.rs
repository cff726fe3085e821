//! Where the log and the view are kept, behind one trait whose docs are guarantees.
//!
//! [`embedded`] and [`mongo`] are the stores behind it. Nothing above this module knows a collection, a transaction or a
//! file: it knows the log, the view, and four kinds of failure.
//!
//! Invariant: the view equals the fold of the log up to the head, at every moment anyone can see.

#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod fate;
#[cfg(feature = "mongodb")]
pub mod mongo;
mod open;
mod options;
mod panics;
mod seq_at;
mod top_k;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::{Change, CommandId, Event, EventId, Seq};
use crate::limits;
use crate::query::{Direction, Query};
use crate::value::Steps;
pub use error::{AppendError, PublishError, Spot, StoreError};
pub use fate::cause_of;
pub use open::{open, open_existing, open_unwritten};
pub use options::{EmbeddedOptions, MongoOptions, StoreOptions};
pub use panics::panic_is_expected;
pub use seq_at::seq_at;

/// The log's identity: a recreated log has another, so a position in the old one is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub Uuid);

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Events that were asked for by their ids.
#[derive(Debug, Default)]
pub struct Loaded {
    /// In any order; missing ones are left out.
    pub events: Vec<Event>,
    /// How many of the ids, from the first on, were looked at.
    pub looked_at: usize,
}

/// Changes to append together, all or none.
#[derive(Debug)]
pub struct Batch {
    /// Stored with the batch's first log entry, so that a batch whose outcome was lost can be found.
    pub id: Uuid,
    /// The head this batch was decided on.
    pub after: Seq,
    /// Contiguous from `after.next()`; never empty.
    pub changes: Vec<Arc<Change>>,
}

/// A message for every session of every node, kept as the client wrote it.
#[derive(Debug, Clone)]
pub struct Broadcast {
    /// What it says.
    pub payload: Arc<RawValue>,
}

/// Which changes of one event are asked for.
#[derive(Debug, Clone, Copy)]
pub struct HistoryRange {
    /// From the oldest on, or from the newest back.
    pub direction: Direction,
    /// Begins beyond this change, going in that direction.
    pub after: Option<Seq>,
    /// How many at most.
    pub limit: usize,
}

/// What [`Store::tail`] yields.
#[derive(Debug, Clone)]
pub enum TailEvent {
    /// The next changes of the log, contiguous with those before; never empty.
    Changes(Vec<Arc<Change>>),
    /// A broadcast by any node, this one included.
    Broadcast(Broadcast),
    /// The next change of the log is there and cannot be read. What follows is told as ever.
    Unreadable(Seq),
    /// Something in the log was erased: changes that were told before are to be read again.
    Redaction,
    /// The store was out of hearing for a while, and is heard again: something may have been erased meanwhile.
    Reopened,
}

/// The answer to a query.
pub struct QueryResult {
    /// The position in the log that the answer is as of.
    pub seq: Seq,
    /// Matching events in the query's order, from after its cursor; the projection is the caller's to
    /// apply, and so is the limit, though the stream may end one event beyond it: enough to tell that
    /// more remain. Dropping the stream stops the reading.
    pub events: BoxStream<'static, Result<Event, StoreError>>,
}

impl fmt::Debug for QueryResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Found")
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// An append-only log of changes, numbered from 1 without gaps, and the view folded from it.
///
/// Every call ends within a deadline of its own. A call whose future is dropped goes on or not, but
/// leaves the store whole.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The log's identity, fixed when the store was opened.
    fn epoch(&self) -> Epoch;

    /// Why nothing can be written at the moment though reads go on; `None` as far as is known, if it can.
    fn trouble(&self) -> Option<StoreError> {
        None
    }

    /// The place of the last durable change; [`Seq::ZERO`] for an empty log.
    ///
    /// A store that finds another log in the place of its own has [`failed`](Self::failed).
    /// Reaches the store: an error says that it cannot be reached now.
    async fn head(&self) -> Result<Seq, StoreError>;

    /// The current events with these ids, as far as they are looked at: in order, until those that were found
    /// weigh `bytes`, and at least one.
    ///
    /// Holds every change that was durable when the call began.
    async fn load(&self, ids: &[EventId], bytes: usize) -> Result<Loaded, StoreError>;

    /// The highest version that each of these events ever had, also in a life that has ended, in any order; those
    /// that never were are left out.
    ///
    /// Holds every change that was durable when the call began. Costs a look-up for each, and where one was
    /// deleted a few more; where it began at 1 again, as older logs have it, a step for each of those lives.
    async fn last_versions(&self, ids: &[EventId]) -> Result<Vec<(EventId, u64)>, StoreError>;

    /// Where the first change of each command with one of these ids is, in any order; ids that no change
    /// carries are left out.
    ///
    /// Holds every change that was durable when the call began.
    async fn answered(&self, ids: &[CommandId]) -> Result<Vec<(CommandId, Seq)>, StoreError>;

    /// Appends `batch` directly after `batch.after` and applies it to the view, all or nothing.
    ///
    /// On `Ok` every change is durable and will be seen by `load`, `read`, `find` and `tail`.
    /// Calling it again with the same batch is safe: at most one of the calls takes effect.
    async fn append(&self, batch: &Arc<Batch>) -> Result<(), AppendError>;

    /// Whether the log holds exactly this batch after `batch.after`.
    ///
    /// `false` is final only if the head has moved on, or a later [`append`](Self::append) is made.
    async fn holds(&self, batch: &Batch) -> Result<bool, StoreError>;

    /// Changes after `after`, in order and contiguous: at most `limit`, fewer once they pass
    /// [`LOG_PAGE_BYTES_MAX`](crate::limits::LOG_PAGE_BYTES_MAX). Empty means `after` is the head (or
    /// beyond it).
    ///
    /// An entry that cannot be read ends the page before it, and asked for first it is [`StoreError::Corrupt`] at
    /// [`Spot::Log`].
    async fn read(&self, after: Seq, limit: usize) -> Result<Vec<Arc<Change>>, StoreError>;

    /// Changes of one event, each once: at most the stretch's limit, fewer once they pass
    /// [`LOG_PAGE_BYTES_MAX`](crate::limits::LOG_PAGE_BYTES_MAX). What it costs does not grow with the log. Empty means that there are no more.
    ///
    /// Holds every change that was durable when the call began.
    async fn history(
        &self,
        id: &EventId,
        stretch: HistoryRange,
    ) -> Result<Vec<Arc<Change>>, StoreError>;

    /// The newest change that left the event at this version, or deleted it as this version. Older logs have some
    /// versions of an event that was deleted and created again more than once.
    async fn version(&self, id: &EventId, version: u64) -> Result<Option<Arc<Change>>, StoreError>;

    /// Every change after `after` as it becomes durable, from any node: contiguous, in order, once;
    /// and every broadcast that is published after this returns, at most once.
    ///
    /// Never ends: when the store is out of reach it tries again, and goes on where it was.
    /// One tail at a time, from the node's pump.
    async fn tail(&self, after: Seq) -> Result<BoxStream<'static, TailEvent>, StoreError>;

    /// Current events that match, as of one position in the log.
    async fn find(&self, query: &Arc<Query>) -> Result<QueryResult, StoreError>;

    /// Events as they were after change `at`, which the log has: those that match, as of that position.
    ///
    /// Costs a few look-ups for each event that there ever was (of those from the cursor on, in the order of
    /// ids), however long the log is, and whatever came after `at`.
    async fn find_at(&self, query: &Arc<Query>, at: Seq) -> Result<QueryResult, StoreError>;

    /// Sends broadcasts to every node, in this order. On `Ok` the store has them.
    async fn publish(&self, broadcasts: &[Broadcast]) -> Result<(), PublishError>;

    /// What in the log is not found by what it is looked for, such as a command's id or an event's history; and what
    /// is found that the log does not have. In words, a line each; reads all of the log, and takes as long.
    async fn check(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// Gives the log another identity, if its head is still `head`: the last step of copying a log, after
    /// which positions in the original are good here. A store that has moved on refuses and is as it was.
    ///
    /// Nodes that have the store open, this one too, have another log open from then on: they must open it again.
    async fn adopt(&self, epoch: Epoch, head: Seq) -> Result<(), StoreError>;

    /// Erases the contents of all changes of an event up to its deletion at `upto`, for good: what
    /// [`Change::redact`] leaves of them stays in the log. How many there were that had contents.
    ///
    /// Every node's tail tells of it in the end. Calling it again goes on where an earlier call broke off.
    async fn redact(&self, id: &EventId, upto: Seq) -> Result<u64, StoreError>;

    /// What the view holds that no livelog wrote, in words; at most [`STRANGERS_MAX`] of them: what is not
    /// shaped as an event, which reads of the view pass over, and events that are neither known to the caller
    /// nor named anywhere in the log.
    async fn strangers(
        &self,
        is_known: &(dyn for<'a> Fn(&'a EventId) -> bool + Sync),
    ) -> Result<Vec<String>, StoreError>;

    /// Begins to rebuild the view from the log, beside the live one.
    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, StoreError>;

    /// Waits until the store cannot go on though nobody closed it: a task of its own has ended. Says which and
    /// why, in words for the operator; a store that lives never answers.
    async fn failed(&self) -> String;

    /// Lets go of the store in good order: nothing is written after this.
    async fn close(&self);
}

/// The event, if the query admits it.
fn admitted(query: &Query, event: Event) -> Result<Option<Event>, StoreError> {
    let steps = Steps::new(limits::MATCH_STEPS_MAX);
    Ok(query.admits(&event, &steps)?.then_some(event))
}

/// Documents of others that [`Store::strangers`] tells of: who has more knows by then.
pub const STRANGERS_MAX: usize = 100;

/// Why a store that has moved on adopts no identity.
fn not_at(head: Seq) -> StoreError {
    StoreError::Refused(format!("its head is not {head} any more"))
}

/// A view in the making. Dropping it unfinished leaves the live view as it was.
#[async_trait]
pub trait Rebuild: Send {
    /// Applies the next changes, contiguous with those before. That each follows from what its event was
    /// before is the caller's to know: a store may take it for granted.
    async fn apply(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError>;

    /// Holds all writers of all nodes off until [`swap`](Self::swap), and returns the head that
    /// stands meanwhile. The caller applies what is missing up to it without delay.
    async fn hold(&mut self) -> Result<Seq, StoreError>;

    /// Puts the new view in the live one's place and lets the writers go on.
    ///
    /// `Err(StoreError::Unavailable)` with the hold lost means: begin again.
    async fn swap(self: Box<Self>) -> Result<(), StoreError>;
}
