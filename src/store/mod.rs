//! Stores of the log and the view, behind one trait, [`Store`], whose docs are guarantees.
//!
//! [`embedded`] and [`mongo`] implement it. Nothing above this module knows a collection, a transaction or a file, only
//! the log, the view, and the kinds of failure in [`StoreError`], [`AppendError`] and [`PublishError`].
//!
//! Invariant: every read sees a view that equals the fold of the log up to some seq that was the head.

#[cfg(not(any(feature = "embedded", feature = "mongodb")))]
compile_error!("a livelog needs a store: --features embedded, --features mongodb, or both");

mod cost;
#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod failure_signal;
#[cfg(feature = "mongodb")]
pub mod mongo;
mod move_progress;
mod open;
mod options;
mod seq_at;
mod source;
mod survey;
mod tally;
mod top_k;
mod unique_check;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::{Change, CommandId, Event, EventId, Seq};
use crate::fairness::Requester;
use crate::indexes::{Index, IndexRules, UniqueKey};
use crate::limits;
use crate::query::{Count, Direction, Query};
use crate::value::Steps;
pub use cost::{QueryCost, QueryPlan};
pub use error::{AppendError, CorruptAt, PublishError, StoreError};
pub use move_progress::{MoveProgress, cut_off};
pub use open::{open, open_existing, open_to_fill, open_unwritten};
pub use options::{EmbeddedOptions, MongoOptions, StoreOptions};
pub use seq_at::seq_at;
pub use source::{
    Source, SourceChange, SourceChanges, SourceDocument, SourceEffect, SourceEvent, SourceOptions,
    SourcePage, open_source,
};
pub use survey::{Site, survey};

/// The log's identity: a recreated log has another one, so that a position in the old log is refused in the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub Uuid);

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The result of [`Store::load`].
#[derive(Debug, Default)]
pub struct Loaded {
    /// In any order; ids without an event are left out.
    pub events: Vec<Event>,
    /// How many of the ids, from the first on, were looked up.
    pub looked_at: usize,
}

/// Changes that are appended together, all or none.
#[derive(Debug)]
pub struct Batch {
    /// Stored with the batch's first log entry, so that a batch in doubt can be found.
    pub id: Uuid,
    /// The head that this batch was decided on.
    pub after: Seq,
    /// Contiguous from `after.next()`; never empty. [`new`](Self::new) asserts it.
    pub changes: Vec<Arc<Change>>,
}

impl Batch {
    /// These changes under a new id; they follow `after` in the log.
    ///
    /// # Panics
    /// If there are none, or they have a gap: they would tear the log.
    pub fn new(after: Seq, changes: Vec<Arc<Change>>) -> Self {
        assert!(!changes.is_empty(), "a batch has a change at least");
        assert!(
            after.is_followed_by(changes.iter().map(|change| change.seq)),
            "a batch begins after {after}, without a gap"
        );
        Self {
            id: Uuid::now_v7(),
            after,
            changes,
        }
    }
}

/// An index, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexStatus {
    /// As it was declared.
    pub name: String,
    /// Whether it has all events, so that queries use it.
    pub is_whole: bool,
}

/// A message for every session of every node, kept as the client wrote it.
#[derive(Debug, Clone)]
pub struct Broadcast {
    /// The message.
    pub payload: Arc<RawValue>,
}

/// Which changes of one event to read.
#[derive(Debug, Clone, Copy)]
pub struct HistoryRange {
    /// From the oldest on, or from the newest back.
    pub direction: Direction,
    /// Begins after this change, in that direction.
    pub after: Option<Seq>,
    /// At most so many.
    pub limit: usize,
}

/// What [`Store::tail`] yields.
#[derive(Debug, Clone)]
pub enum TailEvent {
    /// The next changes of the log, contiguous with those before; never empty.
    Changes(Vec<Arc<Change>>),
    /// A broadcast by any node, this one included.
    Broadcast(Broadcast),
    /// The next change of the log exists and cannot be read. The tail goes on with the one after it.
    Unreadable(Seq),
    /// Something in the log was redacted: changes that were yielded before must be read again.
    Redaction,
    /// The connection to the store was lost and is restored: something may have been redacted meanwhile.
    Reopened,
}

/// Events as they are read, until one cannot be.
pub type QueryEvents = BoxStream<'static, Result<Event, StoreError>>;

/// The answer to a query.
pub struct QueryResult {
    /// The seq that the answer is as of.
    pub seq: Seq,
    /// How many events match as of it, if the query asks for that: an exact number, or as many as it takes no more than
    /// [`limits::COUNT_ENTRIES_MAX`] entries of an index or [`limits::COUNT_EVENTS_MAX`] events to find. What may be told
    /// to who sees but some events does not depend on the others: a filter within a rule is counted to the end.
    pub count: Option<Count>,
    /// What it takes, which grows while events are read.
    pub cost: Arc<QueryCost>,
    /// Matching events in the query's order, from after its cursor. The caller applies the projection and the limit;
    /// the stream may end one event beyond the limit, which is enough to tell that more remain. Dropping the stream
    /// stops the reading.
    pub events: QueryEvents,
}

impl fmt::Debug for QueryResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("QueryResult")
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// An append-only log of changes, numbered from 1 without gaps, and the view folded from it.
///
/// Every call ends within a deadline of its own. If its future is dropped, a call may take effect or not, but the store
/// stays consistent.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The log's identity, fixed when the store was opened.
    fn epoch(&self) -> Epoch;

    /// Why nothing can be written at the moment although reads go on; `None` if no reason is known.
    fn trouble(&self) -> Option<StoreError> {
        None
    }

    /// The seq of the last durable change; [`Seq::ZERO`] for an empty log.
    ///
    /// Asks the store, so an error means that it cannot be reached now. A store that finds another log instead of its
    /// own has [`failed`](Self::failed).
    async fn head(&self) -> Result<Seq, StoreError>;

    /// The current events with these ids. The ids are looked up in order until the events take `bytes` bytes, and at
    /// least one id is.
    ///
    /// Reflects every change that was durable when the call began.
    async fn load(&self, ids: &[EventId], bytes: usize) -> Result<Loaded, StoreError>;

    /// The highest version that each of these events ever had, in a life that has ended too, in any order; ids that
    /// never had an event are left out.
    ///
    /// Reflects every change that was durable when the call began. Costs a look-up for each id, and a few more if its
    /// event was deleted; if older logs began its versions at 1 again, a step for each such life.
    async fn last_versions(&self, ids: &[EventId]) -> Result<Vec<(EventId, u64)>, StoreError>;

    /// The seq of the first change of each command with one of these ids, in any order; ids that no change has are left
    /// out.
    ///
    /// Reflects every change that was durable when the call began.
    async fn answered(&self, ids: &[CommandId]) -> Result<Vec<(CommandId, Seq)>, StoreError>;

    /// Appends `batch` directly after `batch.after` and applies it to the view, all or nothing.
    ///
    /// On `Ok` every change is durable, and `load`, `read`, `find` and `tail` see it. Calling it again with the same
    /// batch is safe: at most one of the calls takes effect.
    async fn append(&self, batch: &Arc<Batch>) -> Result<(), AppendError>;

    /// Whether the log holds exactly this batch after `batch.after`.
    ///
    /// `false` is final only if the head has moved on, or a later [`append`](Self::append) is made.
    async fn holds(&self, batch: &Batch) -> Result<bool, StoreError>;

    /// Changes after `after`, in order and contiguous: at most `limit`, fewer once they pass
    /// [`LOG_PAGE_BYTES_MAX`](crate::limits::LOG_PAGE_BYTES_MAX). Empty means that `after` is the head or beyond it.
    ///
    /// The page ends before an entry that cannot be read. If that is the first entry, the error is
    /// [`StoreError::Corrupt`] at [`CorruptAt::Log`].
    async fn read(&self, after: Seq, limit: usize) -> Result<Vec<Arc<Change>>, StoreError>;

    /// Changes of one event, each once, in the range's direction: at most its limit, fewer once they pass
    /// [`LOG_PAGE_BYTES_MAX`](crate::limits::LOG_PAGE_BYTES_MAX). Empty means that there are no more. The cost does not
    /// grow with the log.
    ///
    /// Reflects every change that was durable when the call began.
    async fn history(
        &self,
        id: &EventId,
        range: HistoryRange,
    ) -> Result<Vec<Arc<Change>>, StoreError>;

    /// The newest change that left the event at this version, or deleted it as this version. In older logs an event
    /// that was deleted and created again may have had a version more than once.
    async fn version(&self, id: &EventId, version: u64) -> Result<Option<Arc<Change>>, StoreError>;

    /// Every change after `after` as it becomes durable, from any node: contiguous, in order, once; and every broadcast
    /// that is published after this returns, at most once.
    ///
    /// Never ends: while the store cannot be reached it retries, and goes on where it was. A node has one tail at a
    /// time, its pump's.
    async fn tail(&self, after: Seq) -> Result<BoxStream<'static, TailEvent>, StoreError>;

    /// Current events that match, as of one seq. A store that reads by itself does it in turns with other requesters.
    async fn find(
        &self,
        requester: &Requester,
        query: &Arc<Query>,
    ) -> Result<QueryResult, StoreError>;

    /// Events as of change `at`, which is in the log: those that match, and of these those that the query may tell of by
    /// what they are [now](Query::seen_now). "Now" is when an event is read: never before the call began.
    ///
    /// Costs a few look-ups for each event that ever existed (in the order of ids, for each from the cursor on),
    /// however long the log is, and whatever came after `at`. What they are now costs no more on the embedded store, where
    /// the scan has it in hand, and spares the look-ups for what is not seen; on MongoDB it costs another query for each
    /// batch, of those events that match as of `at`.
    async fn find_at(
        &self,
        requester: &Requester,
        query: &Arc<Query>,
        at: Seq,
    ) -> Result<QueryResult, StoreError>;

    /// Sends broadcasts to every node, in this order. On `Ok` the store has them.
    async fn publish(&self, broadcasts: &[Broadcast]) -> Result<(), PublishError>;

    /// Checks the indexes, such as those of command ids and of events' histories, against the log, in both directions.
    /// One line of text for each finding. Reads the whole log, without a deadline.
    async fn check(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// Gives the log another identity, if its head is still `head`: the last step of copying a log, after which
    /// positions in the original are valid here. If the head has moved on, the call is refused and changes nothing.
    ///
    /// Nodes that have the store open, this one too, must open it again: their log's identity is not the store's any
    /// more.
    async fn adopt(&self, epoch: Epoch, head: Seq) -> Result<(), StoreError>;

    /// Keeps these indexes and no others. What is new is built meanwhile, and used once it is whole: so an answer is the
    /// same whatever is declared.
    ///
    /// One that is unique is whole on `Ok`, and no two events hold the same in it; from then on every node that appends
    /// must keep it so, by its [rules](Self::index_rules). A node that was opened with others cannot append any more: its
    /// store has [`failed`](Self::failed). If events do hold the same, or one holds too much, the call is refused, and says
    /// which events. It reads all events once, the first time.
    async fn declare_indexes(&self, indexes: &[Index]) -> Result<(), StoreError>;

    /// What every change that is appended must keep to: by what was declared, or, if nothing was since the store was
    /// opened, by what it is known to hold to.
    fn index_rules(&self) -> IndexRules;

    /// Who holds these keys of a unique index that is declared here: the place of each key that some event holds, and the
    /// event, in any order.
    ///
    /// Reflects every change that was durable when the call began.
    async fn holders(
        &self,
        index: &Index,
        keys: &[Arc<UniqueKey>],
    ) -> Result<Vec<(usize, EventId)>, StoreError>;

    /// The indexes that are declared, and which of them are whole.
    fn indexes(&self) -> Vec<IndexStatus>;

    /// The note of this name, if there is one: a few words that work beside the log keeps with it.
    async fn note(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Writes the note of this name, in the place of the one before. On `Ok` it is durable.
    async fn write_note(&self, name: &str, text: &str) -> Result<(), StoreError>;

    /// Redacts all changes of an event up to its deletion at `upto`, for good: what [`Change::redact`] leaves of them
    /// stays in the log. Returns how many of them had contents.
    ///
    /// Every node's tail yields [`TailEvent::Redaction`] in the end. Calling it again continues an earlier call that
    /// failed.
    async fn redact(&self, id: &EventId, upto: Seq) -> Result<u64, StoreError>;

    /// What the view holds that no livelog wrote, one line of text each, at most a hundred: documents that are not
    /// events, which reads of the view skip, and events that neither the caller knows nor the log names.
    async fn foreign_documents(
        &self,
        is_known: &(dyn for<'a> Fn(&'a EventId) -> bool + Sync),
    ) -> Result<Vec<String>, StoreError>;

    /// Begins to rebuild the view from the log, beside the live one.
    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, StoreError>;

    /// Waits until the store has failed, because a task of its own has ended although nobody closed the store. Returns
    /// which one and why, for the operator. Never returns while the store works.
    async fn failed(&self) -> String;

    /// Closes the store: nothing is written after this.
    async fn close(&self);
}

/// The event, if it matches the query.
fn admitted(query: &Query, event: Event) -> Result<Option<Event>, StoreError> {
    let steps = Steps::new(limits::MATCH_STEPS_MAX);
    Ok(query.admits(&event, &steps)?.then_some(event))
}

/// Whether a read of the past may tell of an event that is `current` now.
fn is_seen_now(query: &Query, current: Option<&Event>) -> Result<bool, StoreError> {
    let steps = Steps::new(limits::MATCH_STEPS_MAX);
    Ok(query.is_seen_now(current, &steps)?)
}

/// Why a store whose head has moved on refuses [`Store::adopt`].
fn not_at(head: Seq) -> StoreError {
    StoreError::Refused(format!("its head is not {head} any more"))
}

/// A view being rebuilt. Dropping it before [`swap`](Self::swap) leaves the live view unchanged.
#[async_trait]
pub trait Rebuild: Send {
    /// Applies the next changes, contiguous with those before. The caller makes sure that each follows from the state
    /// of its event: a store need not check that.
    async fn apply(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError>;

    /// Builds what cannot be built beforehand, once most changes are applied: others may follow. May take long.
    async fn index(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Holds the writers of all nodes until [`swap`](Self::swap), and returns the head at which they are held. The
    /// caller applies what is missing up to it without delay.
    async fn hold(&mut self) -> Result<Seq, StoreError>;

    /// Replaces the live view by the new one and releases the writers.
    ///
    /// `Err(StoreError::Unavailable)` means that the hold may be lost: begin the rebuild again.
    async fn swap(self: Box<Self>) -> Result<(), StoreError>;
}
