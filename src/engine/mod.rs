//! The single writer of a node.
//!
//! Commands wait in one mailbox, bounded in bytes and fair to those who sent them; one task
//! decides them, appends each batch to the log, and only then answers: refusals too wait until the state they
//! rest on is durable. While one append is under way the next group of commands gathers, so group commit needs no timer.
//!
//! Two things are called a batch elsewhere. What a client submits together is a [`CommandBatch`], here `commands`; a
//! `Submission` is a group of them. What is appended together is a [`Batch`](crate::store::Batch) of changes, here `batch`.
//!
//! Knows nothing of sessions or of the feed: a change reaches them through the log.
//!
//! Start with [`Engine::submit`], then `committer`.

mod cache;
mod clock;
mod committer;
mod context;
mod deciding;
mod holders;
mod loading;
mod mailbox;
mod publisher;
mod submission;

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::access::Grant;
use crate::domain::{Change, Command, CommandBatch, Rejection};
use crate::fairness::Requester;
use crate::metrics::Metrics;
use crate::store::{Broadcast, Store};
use committer::Committer;
use mailbox::{Mailbox, Sender};
use publisher::BroadcastPublisher;

/// The writer's front end. Cheap to clone; the writer ends when the last one is dropped
/// and what was submitted is answered.
#[derive(Debug, Clone)]
pub struct Engine {
    commands: Sender<Order, Done>,
    broadcasts: Sender<Broadcast, ()>,
}

/// What runs as long as there is an [`Engine`], and ends when what was submitted is answered.
#[derive(Debug)]
pub struct Tasks {
    /// Decides, appends and answers.
    pub committer: JoinHandle<()>,
    /// Publishes broadcasts.
    pub publisher: JoinHandle<()>,
}

/// A command batch, and what who submitted it may do.
#[derive(Debug)]
pub struct Order {
    /// To be carried out together.
    pub commands: CommandBatch,
    /// By it each command is judged, on the event as it is then.
    pub grant: Grant,
}

/// The outcome of a command batch.
pub type Outcome = Result<Done, SubmitError>;

/// What a command batch did.
#[derive(Debug, Clone)]
pub struct Done {
    /// The change of each command, one after the other in the log.
    pub changes: Vec<Arc<Change>>,
    /// Whether it was carried out before, and is only answered again.
    pub is_repeated: bool,
}

impl Done {
    /// The change of a batch of one command.
    pub fn change(&self) -> &Arc<Change> {
        let last = self.changes.last();
        last.expect("a command batch has at least one command")
    }
}

/// Why a command batch was not carried out, as far as is known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// A command was rejected, with its index if there are several. Certainly no effect of any.
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

impl Order {
    /// One that nobody guards: of livelog's own commands.
    pub fn unguarded(commands: CommandBatch) -> Self {
        let grant = Grant::open();
        Self { commands, grant }
    }
}

impl Engine {
    /// Starts the writer, and returns its tasks: an engine whose tasks have ended takes nothing.
    pub fn start(store: &Arc<dyn Store>, metrics: &Arc<Metrics>) -> (Self, Tasks) {
        let (commands, mailbox) = Mailbox::new();
        let committer = Committer::new(Arc::clone(store), mailbox, Arc::clone(metrics));
        let (broadcasts, mailbox) = Mailbox::new();
        let publisher = BroadcastPublisher::new(Arc::clone(store), mailbox);
        let engine = Self {
            commands,
            broadcasts,
        };
        let tasks = Tasks {
            committer: tokio::spawn(committer.run()),
            publisher: tokio::spawn(publisher.run()),
        };
        (engine, tasks)
    }

    /// Queues a command batch. Its outcome arrives within [`crate::limits::COMMAND_DEADLINE`] of its
    /// turn; until then others are served, and after [`crate::limits::COMMAND_QUEUE_DEADLINE`] it is refused.
    ///
    /// A command batch with a key has its effect once, however often and to whichever node it is submitted.
    /// The batches of one requester are decided, and their outcomes arrive, in the order in which they were submitted.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] or [`SubmitError::ShuttingDown`], at once.
    pub fn submit(
        &self,
        requester: &Requester,
        order: Order,
    ) -> Result<oneshot::Receiver<Outcome>, SubmitError> {
        let CommandBatch {
            approx_bytes,
            commands,
            ..
        } = &order.commands;
        let bytes = *approx_bytes;
        // An event that others changed may have grown large; the size of a new one is known.
        let has_known_cost = commands.iter().all(Command::is_create);
        self.commands.send(requester, order, bytes, has_known_cost)
    }

    /// Queues a broadcast; the answer means that the store has it.
    ///
    /// # Errors
    /// [`SubmitError::Busy`] or [`SubmitError::ShuttingDown`], at once.
    pub fn publish(
        &self,
        requester: &Requester,
        broadcast: Broadcast,
    ) -> Result<oneshot::Receiver<Result<(), SubmitError>>, SubmitError> {
        let bytes = broadcast.payload.get().len();
        self.broadcasts.send(requester, broadcast, bytes, true)
    }
}
