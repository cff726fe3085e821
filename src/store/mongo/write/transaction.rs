//! The task of one append: it tries the transaction until it is committed, cannot be, or nobody waits any longer.
//!
//! The states that it moves through are those of [`append`](super::append). Each attempt writes the head first, by
//! compare-and-set on all that the batch rests on, then the log, then the view; so of two writers that race one
//! loses at its first statement.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mongodb::ClientSession;
use mongodb::error::{Error, TRANSIENT_TRANSACTION_ERROR};
use mongodb::options::{ReadConcern, ReadPreference, SelectionCriteria, TransactionOptions};

use super::append::Appender;
use super::commit_phase::CommitPhase;
use super::write_errors::WriteErrorKind;
use super::writer_sessions;
use crate::store::mongo::durable;
use crate::store::mongo::head;
use crate::store::mongo::wire::call;
use crate::store::mongo::wire::call::{CALL_DEADLINE, backoff, warn_if_failed};
use crate::store::mongo::wire::commands;
use crate::store::mongo::wire::commands::RawCommand;
use crate::store::{AppendError, Batch, StoreError};

/// How often a commit without an answer is sent again before its outcome is called unknown.
const COMMITS_MAX: u32 = 4;

/// How long the server may work on one commit, waiting for the majority included.
const COMMIT_DEADLINE: Duration = Duration::from_secs(5);

/// The longest pause between two attempts; about what another node's transaction takes.
const PAUSE_MAX: Duration = Duration::from_millis(4);

/// How long the head may stay locked without moving before the writer that locks it is considered dead.
/// Longer than any batch takes, and short enough for the commands that wait.
const BLOCKED_MAX: Duration = Duration::from_secs(1);

/// How one attempt ended.
enum AttemptEnd {
    Committed,
    /// Not committed, and worth another attempt if the head allows.
    Again(String),
    /// Not committed, and would not be next time.
    Refused(StoreError),
    Unknown(String),
}

/// One append, as a task that goes on when its caller has given up.
pub(super) struct AppendTask {
    pub(super) appender: Arc<Appender>,
    pub(super) batch: Arc<Batch>,
    pub(super) phase: Arc<CommitPhase>,
    pub(super) deadline: Instant,
}

impl AppendTask {
    pub(super) async fn run(self) -> Result<(), AppendError> {
        let mut session = Arc::clone(&self.appender.session).lock_owned().await;
        let Some(session) = session.as_mut() else {
            let closed = StoreError::Unavailable("it is closed".to_owned());
            return Err(AppendError::Failed(closed));
        };
        self.appender.renew_registration();
        self.appender.notifier.append_begins(self.batch.id);
        let outcome = self.attempts(session).await;
        self.appender
            .notifier
            .append_ended(&self.batch, outcome.is_ok());
        outcome
    }

    async fn attempts(&self, session: &mut ClientSession) -> Result<(), AppendError> {
        let mut writes = Vec::new();
        let mut tries = 0;
        let mut blocked_since = Instant::now();
        loop {
            if writes.is_empty() {
                writes = self.writes();
            }
            let reason = match self.transaction(session, &mut writes).await {
                AttemptEnd::Committed => {
                    self.appender.lease.won();
                    return Ok(());
                }
                AttemptEnd::Refused(error) => return Err(AppendError::Failed(error)),
                AttemptEnd::Unknown(reason) => return Err(AppendError::Unknown(reason)),
                AttemptEnd::Again(reason) => self.check_head(reason).await?,
            };
            if self.phase.is_abandoned() || Instant::now() > self.deadline {
                return Err(AppendError::Failed(StoreError::Unavailable(reason)));
            }
            if blocked_since.elapsed() > BLOCKED_MAX {
                self.end_other_writers().await;
                blocked_since = Instant::now();
            }
            tokio::time::sleep(backoff(tries, Duration::from_millis(1), PAUSE_MAX)).await;
            tries += 1;
        }
    }

    /// The commands on the log and the view.
    fn writes(&self) -> Vec<RawCommand> {
        let changes = &self.batch.changes;
        let mut writes = commands::log(self.batch.id, changes);
        writes.extend(commands::view(changes));
        writes
    }

    /// Without the right to do so, a writer that died inside a transaction blocks all others for a minute.
    async fn end_other_writers(&self) {
        let appender = &self.appender;
        let ended = writer_sessions::end_others(&appender.log.database, &appender.session_id).await;
        let what = "the head stays locked, and the sessions of other writers cannot be ended";
        warn_if_failed(&appender.warnings.fencing, what, ended);
    }

    /// Uses up `writes` once the head is moved. They can be megabytes, and the driver takes them by value: they are
    /// encoded again for a rare second attempt, so that the first need not copy them.
    async fn transaction(
        &self,
        session: &mut ClientSession,
        writes: &mut Vec<RawCommand>,
    ) -> AttemptEnd {
        if let Err(error) = session.start_transaction().with_options(options()).await {
            return AttemptEnd::Again(call::describe(&error));
        }
        let ended = match self.write(session, writes).await {
            Ok(()) if self.phase.begin_commit() => None,
            Ok(()) => Some(AttemptEnd::Again("the caller gave up".to_owned())),
            Err(ended) => Some(ended),
        };
        if let Some(ended) = ended {
            abort(session).await;
            return ended;
        }
        let ended = commit(session).await;
        if matches!(ended, AttemptEnd::Again(_) | AttemptEnd::Refused(_)) {
            self.phase.undo_commit();
        }
        ended
    }

    /// All writes of the transaction; the head goes first, so that losing a race costs little.
    async fn write(
        &self,
        session: &mut ClientSession,
        writes: &mut Vec<RawCommand>,
    ) -> Result<(), AttemptEnd> {
        let after = self.batch.after;
        let to = after.plus(self.batch.changes.len());
        let view = self.appender.view.load(Ordering::Relaxed);
        let (epoch, writer) = (self.appender.log.epoch, self.appender.lease.writer());
        let move_head = commands::move_head(after, to, epoch, view, writer);
        if self.command(session, move_head).await? != 1 {
            return Err(AttemptEnd::Again("the head is elsewhere".to_owned()));
        }
        for write in writes.drain(..) {
            let expected = write.count;
            if self.command(session, write).await? != expected {
                return Err(AttemptEnd::Refused(torn()));
            }
        }
        Ok(())
    }

    /// Runs one write command; returns how many documents it reports as written.
    async fn command(
        &self,
        session: &mut ClientSession,
        write: RawCommand,
    ) -> Result<usize, AttemptEnd> {
        let appender = &self.appender;
        let run = appender.log.database.run_raw_command(write.body);
        let answer = run.session(session).await.map_err(|error| ended(&error))?;
        // Refused documents come in an answer that is otherwise good.
        let Some(error) = call::write_error(&answer) else {
            return Ok(call::count(&answer));
        };
        let kind = appender.write_errors.classify(&write.collection, error);
        Err(match kind {
            WriteErrorKind::Transient(reason) => AttemptEnd::Again(reason),
            WriteErrorKind::Permanent(reason) => AttemptEnd::Refused(StoreError::Refused(reason)),
            WriteErrorKind::OwnKeyTaken => AttemptEnd::Refused(torn()),
        })
    }

    /// Why the head could not be moved. `Ok`, with the reason, if that is worth another attempt.
    async fn check_head(&self, reason: String) -> Result<String, AppendError> {
        let log = &self.appender.log;
        let head = match log.head(CALL_DEADLINE).await {
            Ok(head) => head,
            Err(error) if log.failure_signal.has_failed() => {
                return Err(AppendError::Failed(error));
            }
            Err(error) => return Ok(format!("{reason}; then {error}")),
        };
        let view = self.appender.view.swap(head.view, Ordering::Relaxed);
        if head.view != view {
            return Err(AppendError::Replaced);
        }
        if head.seq != self.batch.after {
            self.appender.lease.lost(&log.database).await;
            return Err(AppendError::Moved);
        }
        if head.hold.is_some() {
            self.clear_expired("hold").await;
            return Ok("the view is being rebuilt".to_owned());
        }
        let ours = self.appender.lease.writer();
        if head.lease.is_some_and(|writer| writer != ours) {
            self.clear_expired("turn").await;
        }
        Ok(reason)
    }

    async fn clear_expired(&self, field: &'static str) {
        let cleared = head::clear_expired(&self.appender.log.database, field).await;
        let what = "cannot remove what a writer or a rebuild that died left in the head";
        warn_if_failed(&self.appender.warnings.expired, what, cleared);
    }
}

/// The head moved, yet the log or the view did not take what must follow it.
fn torn() -> StoreError {
    StoreError::Corrupt {
        at: "the log's end or the view".into(),
        reason: "it is not what the head says; `livelog verify` finds what others wrote there"
            .to_owned(),
    }
}

fn options() -> TransactionOptions {
    TransactionOptions::builder()
        .read_concern(ReadConcern::local())
        .write_concern(durable())
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .max_commit_time(COMMIT_DEADLINE)
        .build()
}

/// What an error before the commit means: nothing is written in any case.
fn ended(error: &Error) -> AttemptEnd {
    if error.contains_label(TRANSIENT_TRANSACTION_ERROR) {
        return AttemptEnd::Again(call::describe(error));
    }
    match call::store_error(error) {
        StoreError::Unavailable(reason) => AttemptEnd::Again(reason),
        refused => AttemptEnd::Refused(refused),
    }
}

/// If the abort is lost, the next transaction of this session makes the server abort this one.
async fn abort(session: &mut ClientSession) {
    if let Err(error) = session.abort_transaction().await {
        let reason = call::describe(&error);
        tracing::debug!(reason, "the abort of a transaction did not arrive");
    }
}

/// Commits, and asks again after any error: the server answers a commit that had its effect as it did the first
/// time, and a commit that it does not know with the transient label.
async fn commit(session: &mut ClientSession) -> AttemptEnd {
    let mut tries = 0;
    loop {
        let Err(error) = session.commit_transaction().await else {
            return AttemptEnd::Committed;
        };
        if error.contains_label(TRANSIENT_TRANSACTION_ERROR) {
            // The primary has no such transaction, and a majority of primaries to come has not either.
            return AttemptEnd::Again(call::describe(&error));
        }
        tries += 1;
        if tries == COMMITS_MAX {
            return AttemptEnd::Unknown(call::describe(&error));
        }
        tokio::time::sleep(backoff(tries, Duration::from_millis(20), PAUSE_MAX)).await;
    }
}
