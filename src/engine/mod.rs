//! The single writer of a node.
//!
//! Commands wait in one mailbox, bounded in bytes, and are taken in turns of those who sent them; one task
//! decides them, appends each batch to the log, and only then answers: refusals too wait until the facts they
//! rest on are durable. While one append is under way the next batch gathers by itself, so there is no timer.
//!
//! Knows nothing of sessions or of the feed: a change reaches them through the log.
//!
//! Start with [`Engine::submit`], then `committer`.

mod cache;
mod clock;
mod committer;
mod context;
mod learning;
mod mailbox;
mod publisher;
mod round_robin;
mod submission;

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::domain::{Change, Command, CommandBatch, Rejection};
use crate::metrics::Metrics;
use crate::store::{Broadcast, Store};
use committer::Committer;
use mailbox::{Mailbox, Sender};
use publisher::BroadcastPublisher;
pub use round_robin::{Requester, RoundRobin, TURN_BYTES, Waiting};

/// Where commands and broadcasts go in. Cheap to clone; the writer ends when the last one is dropped
/// and what was submitted is answered.
#[derive(Debug, Clone)]
pub struct Engine {
    commands: Sender<CommandBatch, Done>,
    broadcasts: Sender<Broadcast, ()>,
}

/// What runs as long as there is an [`Engine`], and ends when what was submitted is answered.
#[derive(Debug)]
pub struct Tasks {
    /// Decides, appends and answers.
    pub committer: JoinHandle<()>,
    /// Sends broadcasts.
    pub announcer: JoinHandle<()>,
}

/// What became of an order.
pub type Outcome = Result<Done, SubmitError>;

/// What an order did.
#[derive(Debug, Clone)]
pub struct Done {
    /// The change of each command, one after the other in the log.
    pub changes: Vec<Arc<Change>>,
    /// Whether it was done before, and only answered now.
    pub is_repeated: bool,
}

impl Done {
    /// The change of an order of one command.
    pub fn change(&self) -> &Arc<Change> {
        let last = self.changes.last();
        last.expect("an order has at least one command")
    }
}

/// Why a command was not carried out, as far as is known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The rules say no to a command, and which of several it is. Certainly no effect of any.
    #[error("{0}")]
    Rejected(Rejection, Option<usize>),
    /// Too much is waiting, or it waited too long for its turn. Certainly no effect.
    #[error("too many commands are waiting")]
    Busy,
    /// The store could not be reached in time. Certainly no effect.
    #[error("the store is unavailable")]
    Unavailable,
    /// The disk has no room for it. Certainly no effect.
    #[error("the disk is full: nothing can be written until there is room")]
    StorageFull,
    /// The disk takes no writes. Certainly no effect.
    #[error("the disk cannot be written: nothing can be until it can")]
    StorageFailed,
    /// The store refused what it should take. Certainly no effect.
    #[error("the store refused the change")]
    Internal,
    /// The server is going away. Certainly no effect.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The store was lost while it committed: the command may have had its effect or not.
    #[error("the store was lost before it answered: the command may have been carried out")]
    Unknown,
}

impl Engine {
    /// Starts the writer, and hands up its tasks: an engine whose tasks have ended takes nothing.
    pub fn start(store: &Arc<dyn Store>, metrics: &Arc<Metrics>) -> (Self, Tasks) {
        let (commands, letters) = Mailbox::new();
        let committer = Committer::new(Arc::clone(store), letters, Arc::clone(metrics));
        let (broadcasts, letters) = Mailbox::new();
        let announcer = BroadcastPublisher::new(Arc::clone(store), letters);
        let engine = Self {
            commands,
            broadcasts,
        };
        let tasks = Tasks {
            committer: tokio::spawn(committer.run()),
            announcer: tokio::spawn(announcer.run()),
        };
        (engine, tasks)
    }

    /// Queues an order of roughly `bytes`. Its outcome arrives within [`crate::limits::COMMAND_DEADLINE`] of its
    /// turn; until then others are served, and after [`crate::limits::COMMAND_TURN_DEADLINE`] it is refused.
    ///
    /// An order with a key has its effect once, however often and to whichever node it is submitted.
    /// Orders of one source are decided, and their outcomes arrive, in the order in which they were submitted.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] or [`SubmitError::ShuttingDown`], at once.
    pub fn submit(
        &self,
        from: &Requester,
        order: CommandBatch,
    ) -> Result<oneshot::Receiver<Outcome>, SubmitError> {
        let bytes = order.weight;
        // What others do to an event may make it large; of a new one all is known.
        let is_plain = order.commands.iter().all(Command::is_create);
        self.commands.send(from, order, bytes, is_plain)
    }

    /// Queues a broadcast; the answer means that the store has it.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] or [`SubmitError::ShuttingDown`], at once.
    pub fn announce(
        &self,
        from: &Requester,
        broadcast: Broadcast,
    ) -> Result<oneshot::Receiver<Result<(), SubmitError>>, SubmitError> {
        let bytes = broadcast.payload.get().len();
        self.broadcasts.send(from, broadcast, bytes, true)
    }
}
