//! Appending a batch: one transaction on the log, the view and the head.
//!
//! Promises: all or nothing; `Failed`, `Moved` and `Replaced` only where this call wrote nothing; `Unknown` where that
//! cannot be told. All transactions of a node run on one session, because a new transaction makes the server abort,
//! or have finished, the transaction before it on the same session: that is what makes appending a batch in doubt
//! again safe.
//!
//! # One call
//!
//! Each call runs as a task of its own ([`AppendTask`]), so that its transaction goes on when the caller's deadline
//! passes. The task owns the node's session and announces its batch to the tail as in flight; both last until it ends.
//!
//! | phase ([`CommitPhase`]) | caller | session, in flight | the task | the caller is answered |
//! |---|---|---|---|---|
//! | `PREPARING` | waits | an earlier task's | waits for the session | `Failed`: deadline, closed |
//! | `PREPARING` | waits | this task's | writes, or pauses between two attempts | `Moved`, `Replaced`, `Failed` |
//! | `COMMITTING` | waits | this task's | commits | appended, `Unknown` |
//! | `ABANDONED` | left with `Failed` | an earlier task's, or this task's | aborts its transaction and ends | – |
//! | `COMMITTING` | left with `Unknown` | this task's | finishes the commit | – |
//! | `PREPARING` | left with `Unknown` | this task's | its commit had no effect: may try again until the deadline | – |
//!
//! - The task moves `PREPARING` to `COMMITTING` before each commit, and back when the commit certainly had no effect.
//! - The caller moves `PREPARING` to `ABANDONED` at its deadline. After that nothing is committed.
//!
//! # Between attempts
//!
//! | why the head was not moved | seen by | then |
//! |---|---|---|
//! | it is beyond the batch's `after` | its `seq` | `Moved`; after many losses in a row the node claims the [`WriteLease`] |
//! | the view was replaced | its `view` | `Replaced` |
//! | a rebuild pauses the writers | its `hold` | again, and an expired hold is removed |
//! | another node has the write lease | its `turn` | again, and an expired lease is removed |
//! | another transaction has locked it | a write conflict | again; after [`BLOCKED_MAX`](super::transaction) the other nodes' sessions are ended |
//!
//! A commit ends this node's lease and its count of losses.
//!
//! # In doubt
//!
//! | in doubt before | the call ended as | answered | in doubt after |
//! |---|---|---|---|
//! | none | appended, `Moved`, `Replaced`, `Failed` | the same | none |
//! | none | `Unknown` | `Unknown` | this batch |
//! | this batch | appended, `Moved`, `Replaced` | the same | none |
//! | this batch | `Failed`, `Unknown` | `Unknown` | this batch |
//! | another batch | not called: the caller settles one batch before it appends the next | | |
//!
//! `Moved` and `Replaced` settle a batch in doubt because the transaction that found them made the server end the
//! earlier one: whether the log holds the batch is then final.

use std::sync::Arc;
use std::sync::Mutex as Lock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use bson::Document;
use mongodb::ClientSession;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::commit_phase::CommitPhase;
use super::transaction::AppendTask;
use super::write_errors::WriteErrors;
use super::write_lease::WriteLease;
use super::writer_sessions;
use crate::limits;
use crate::store::mongo::head;
use crate::store::mongo::tail::notifier::StreamNotifier;
use crate::store::mongo::wire::call;
use crate::store::{AppendError, Batch, StoreError};
use crate::telemetry::Throttle;

/// The one writer of this node.
#[derive(Debug)]
pub(crate) struct Appender {
    pub(super) log: head::OpenedLog,
    /// `None` once closed.
    pub(super) session: Arc<Mutex<Option<ClientSession>>>,
    pub(super) session_id: Document,
    /// Which view this node writes to. The view that a rebuild puts in its place has the next number.
    pub(super) view: AtomicI64,
    /// The batch whose outcome is not known.
    in_doubt: Lock<Option<Uuid>>,
    pub(super) notifier: Arc<StreamNotifier>,
    pub(super) lease: WriteLease,
    pub(super) write_errors: WriteErrors,
    /// When the session was last registered.
    registered: Lock<Instant>,
    pub(super) warnings: AppendWarnings,
}

/// One throttle for each kind of warning.
#[derive(Debug, Default)]
pub(super) struct AppendWarnings {
    pub(super) fencing: Throttle,
    pub(super) expired: Throttle,
}

impl Appender {
    pub(crate) fn new(
        log: head::OpenedLog,
        session: ClientSession,
        view: i64,
        notifier: Arc<StreamNotifier>,
    ) -> Self {
        Self {
            write_errors: WriteErrors::new(log.database.clone()),
            log,
            session_id: session.id().clone(),
            registered: Lock::new(Instant::now()),
            session: Arc::new(Mutex::new(Some(session))),
            view: AtomicI64::new(view),
            in_doubt: Lock::new(None),
            notifier,
            lease: WriteLease::new(),
            warnings: AppendWarnings::default(),
        }
    }

    /// From now on the view has this number, by this node's doing.
    pub(crate) fn writes_to(&self, view: i64) {
        self.view.store(view, Ordering::Relaxed);
    }

    /// See [`Store::append`](crate::store::Store::append).
    pub(crate) async fn append(self: &Arc<Self>, batch: &Arc<Batch>) -> Result<(), AppendError> {
        let phase = Arc::new(CommitPhase::default());
        let task = AppendTask {
            appender: Arc::clone(self),
            batch: Arc::clone(batch),
            phase: Arc::clone(&phase),
            deadline: Instant::now() + limits::APPEND_DEADLINE,
        };
        let running = tokio::spawn(task.run());
        let outcome = match tokio::time::timeout(limits::APPEND_DEADLINE, running).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(join)) => Err(phase.give_up(call::join_failure(&join).to_owned())),
            Err(_) => Err(phase.give_up(format!("no answer in {:?}", limits::APPEND_DEADLINE))),
        };
        self.settle(batch.id, outcome)
    }

    /// While a batch is in doubt a failed retry proves nothing, because the first attempt may still commit: the
    /// answer is `Unknown` until the batch is appended or the head has passed it.
    fn settle(&self, id: Uuid, outcome: Result<(), AppendError>) -> Result<(), AppendError> {
        let mut in_doubt = self
            .in_doubt
            .lock()
            .expect("nothing panics while it is held");
        debug_assert!(
            in_doubt.is_none_or(|known| known == id),
            "one batch is settled before the next is appended"
        );
        match outcome {
            Err(AppendError::Failed(error)) if *in_doubt == Some(id) => {
                Err(AppendError::Unknown(error.to_string()))
            }
            Err(AppendError::Unknown(_)) => {
                *in_doubt = Some(id);
                outcome
            }
            Ok(()) | Err(_) => {
                *in_doubt = None;
                outcome
            }
        }
    }

    /// Waits for the append in progress, and allows no other.
    pub(crate) async fn close(&self) {
        let closing = async { self.session.lock().await.take() };
        if tokio::time::timeout(limits::APPEND_DEADLINE, closing)
            .await
            .is_err()
        {
            // What the session does cannot be undone from here.
            tracing::warn!("an append is still under way and is left to end by itself");
        }
        if let Err(failure) = writer_sessions::remove(&self.log.database, &self.session_id).await {
            let error = StoreError::from(failure);
            tracing::warn!(%error, "the writer's session stays registered until it expires");
        }
    }

    /// Renews the registration of this node's session when it is due, beside the append.
    pub(super) fn renew_registration(self: &Arc<Self>) {
        let mut registered = self
            .registered
            .lock()
            .expect("nothing panics while it is held");
        if registered.elapsed() < writer_sessions::RENEWAL {
            return;
        }
        *registered = Instant::now();
        let appender = Arc::clone(self);
        tokio::spawn(async move {
            let renewed =
                writer_sessions::register(&appender.log.database, &appender.session_id).await;
            if let Err(failure) = renewed {
                let error = StoreError::from(failure);
                tracing::warn!(%error, "cannot renew the registration of the writer's session");
            }
        });
    }
}
