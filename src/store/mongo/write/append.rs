//! Appending a batch: one transaction on the log, the view and the head.
//!
//! Promises: all or nothing; `Failed` and `Moved` only where nothing was written; `Unknown` where that
//! cannot be told. All transactions of a node run on one session, because a new transaction makes the
//! server abort, or have finished, whatever went before it on the same session: that is what makes
//! appending a batch of unknown outcome again safe.

use std::sync::Arc;
use std::sync::Mutex as Lock;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bson::Document;
use mongodb::ClientSession;
use mongodb::error::{Error, TRANSIENT_TRANSACTION_ERROR};
use mongodb::options::{ReadConcern, ReadPreference, SelectionCriteria, TransactionOptions};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::fairness::WriteTurn;
use super::fencing;
use super::refusals::{Refusals, RefusedWrite};
use crate::limits;
use crate::store::mongo::tail::notifier::StreamNotifier;
use crate::store::mongo::wire::call;
use crate::store::mongo::wire::call::{CALL_DEADLINE, backoff};
use crate::store::mongo::wire::commands;
use crate::store::mongo::wire::commands::RawCommand;
use crate::store::mongo::{durable, head};
use crate::store::{AppendError, Batch, StoreError};

/// How often a commit without an answer is sent again before its outcome is called unknown.
const COMMITS_MAX: u32 = 4;

/// How long the server may work on one commit, waiting for the majority included.
const COMMIT_DEADLINE: Duration = Duration::from_secs(5);

/// The one writer of this node.
#[derive(Debug)]
pub(crate) struct Appender {
    log: head::OpenedLog,
    /// `None` once closed.
    session: Arc<Mutex<Option<ClientSession>>>,
    /// Which view this node writes to. A view replaced by a rebuild has the next number.
    view: AtomicI64,
    /// The batch whose outcome is not known.
    doubt: Lock<Option<Uuid>>,
    hub: Arc<StreamNotifier>,
    turn: WriteTurn,
    refusals: Refusals,
    /// The session's id, and when it was last written down.
    name: Document,
    registered: Lock<Instant>,
}

impl Appender {
    pub(crate) fn new(
        log: head::OpenedLog,
        session: ClientSession,
        view: i64,
        hub: Arc<StreamNotifier>,
    ) -> Self {
        Self {
            refusals: Refusals::new(log.database.clone()),
            log,
            name: session.id().clone(),
            registered: Lock::new(Instant::now()),
            session: Arc::new(Mutex::new(Some(session))),
            view: AtomicI64::new(view),
            doubt: Lock::new(None),
            hub,
            turn: WriteTurn::new(),
        }
    }

    /// See [`Store::append`](crate::store::Store::append).
    pub(crate) async fn append(self: &Arc<Self>, batch: &Arc<Batch>) -> Result<(), AppendError> {
        let stage = Arc::new(CommitPhase::default());
        let work = Work {
            appender: Arc::clone(self),
            batch: Arc::clone(batch),
            stage: Arc::clone(&stage),
            until: Instant::now() + limits::APPEND_DEADLINE,
        };
        let running = tokio::spawn(work.run());
        let outcome = match tokio::time::timeout(limits::APPEND_DEADLINE, running).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(stage.give_up()),
        };
        self.settle(batch.id, outcome)
    }

    /// Until a batch of unknown outcome is appended or overtaken, no failure to append it again is
    /// certain: the first attempt may still be on its way.
    fn settle(&self, id: Uuid, outcome: Result<(), AppendError>) -> Result<(), AppendError> {
        let mut doubt = self.doubt.lock().expect("nothing panics while it is held");
        match outcome {
            Err(AppendError::Failed(error)) if *doubt == Some(id) => {
                Err(AppendError::Unknown(error.to_string()))
            }
            Err(AppendError::Unknown(_)) => {
                *doubt = Some(id);
                outcome
            }
            Ok(()) | Err(_) => {
                *doubt = None;
                outcome
            }
        }
    }

    /// Waits for the append in progress, and allows no other.
    pub(crate) async fn close(&self) {
        let closing = async { self.session.lock().await.take() };
        // A session that hangs is left to its own: what it does cannot be undone from here.
        let _ = tokio::time::timeout(limits::APPEND_DEADLINE, closing).await;
        let _ = fencing::remove(&self.log.database, &self.name).await;
    }

    /// Renews what other nodes know of this one, now and then and beside the append.
    fn renew(self: &Arc<Self>) {
        let mut registered = self
            .registered
            .lock()
            .expect("nothing panics while it is held");
        if registered.elapsed() < fencing::RENEWAL {
            return;
        }
        *registered = Instant::now();
        let appender = Arc::clone(self);
        tokio::spawn(async move {
            let _ = fencing::register(&appender.log.database, &appender.name).await;
        });
    }
}

/// How far an append is, seen by the one who waits for it and the task that does it.
#[derive(Debug, Default)]
struct CommitPhase(AtomicU8);

const PREPARING: u8 = 0;
const COMMITTING: u8 = 1;
const ABANDONED: u8 = 2;

impl CommitPhase {
    /// `false` if nobody waits any more: then nothing may be committed.
    fn may_commit(&self) -> bool {
        self.turn(PREPARING, COMMITTING)
    }

    /// The commit certainly had no effect.
    fn not_committed(&self) {
        self.turn(COMMITTING, PREPARING);
    }

    fn abandoned(&self) -> bool {
        self.0.load(Ordering::SeqCst) == ABANDONED
    }

    /// Forbids a commit that was not yet begun; what that means for the caller.
    fn give_up(&self) -> AppendError {
        let late = format!("no answer in {:?}", limits::APPEND_DEADLINE);
        if self.turn(PREPARING, ABANDONED) || self.abandoned() {
            AppendError::Failed(StoreError::Unavailable(late))
        } else {
            AppendError::Unknown(late)
        }
    }

    fn turn(&self, from: u8, to: u8) -> bool {
        let turned = self
            .0
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst);
        turned.is_ok()
    }
}

/// How one transaction ended.
enum AttemptEnd {
    Committed,
    /// Not committed, and worth another try if the head allows.
    Again(String),
    /// Not committed, and would not be next time.
    Refused(StoreError),
    Unknown(String),
}

/// One append, as a task that goes on when the caller does not wait any longer.
struct Work {
    appender: Arc<Appender>,
    batch: Arc<Batch>,
    stage: Arc<CommitPhase>,
    until: Instant,
}

impl Work {
    async fn run(self) -> Result<(), AppendError> {
        let mut session = Arc::clone(&self.appender.session).lock_owned().await;
        let Some(session) = session.as_mut() else {
            let closed = StoreError::Unavailable("it is closed".to_owned());
            return Err(AppendError::Failed(closed));
        };
        self.appender.renew();
        self.appender.hub.begin(self.batch.id);
        let outcome = self.attempts(session).await;
        self.appender.hub.end(&self.batch, outcome.is_ok());
        outcome
    }

    async fn attempts(&self, session: &mut ClientSession) -> Result<(), AppendError> {
        let changes = &self.batch.changes;
        let mut writes = commands::log(self.batch.id, changes);
        writes.extend(commands::view(changes));
        let mut tries = 0;
        let mut stuck = Instant::now();
        loop {
            let reason = match self.transaction(session, &writes).await {
                AttemptEnd::Committed => {
                    self.appender.turn.won();
                    return Ok(());
                }
                AttemptEnd::Refused(error) => return Err(AppendError::Failed(error)),
                AttemptEnd::Unknown(reason) => return Err(AppendError::Unknown(reason)),
                AttemptEnd::Again(reason) => self.look(reason).await?,
            };
            if self.stage.abandoned() || Instant::now() > self.until {
                return Err(AppendError::Failed(StoreError::Unavailable(reason)));
            }
            if stuck.elapsed() > STUCK {
                let _ = fencing::end_others(&self.appender.log.database, &self.appender.name).await;
                stuck = Instant::now();
            }
            tokio::time::sleep(backoff(tries, Duration::from_millis(1), MAX_PAUSE)).await;
            tries += 1;
        }
    }

    async fn transaction(&self, session: &mut ClientSession, writes: &[RawCommand]) -> AttemptEnd {
        if let Err(error) = session.start_transaction().with_options(options()).await {
            return AttemptEnd::Again(call::describe(&error));
        }
        match self.write(session, writes).await {
            Ok(()) if self.stage.may_commit() => {}
            Ok(()) => {
                return self
                    .abort(session, AttemptEnd::Again("given up".to_owned()))
                    .await;
            }
            Err(ended) => return self.abort(session, ended).await,
        }
        let ended = commit(session).await;
        if matches!(ended, AttemptEnd::Again(_) | AttemptEnd::Refused(_)) {
            self.stage.not_committed();
        }
        ended
    }

    /// An abort that does not arrive is made up for by the next transaction of this session.
    async fn abort(&self, session: &mut ClientSession, ended: AttemptEnd) -> AttemptEnd {
        let _ = session.abort_transaction().await;
        ended
    }

    /// All writes of the transaction; the head goes first, so that losing a race costs little.
    async fn write(
        &self,
        session: &mut ClientSession,
        writes: &[RawCommand],
    ) -> Result<(), AttemptEnd> {
        let after = self.batch.after;
        let to = after.plus(self.batch.changes.len());
        let view = self.appender.view.load(Ordering::Relaxed);
        let (epoch, writer) = (self.appender.log.epoch, self.appender.turn.name());
        let move_head = commands::move_head(after, to, epoch, view, writer);
        if self.command(session, &move_head).await? != move_head.count {
            return Err(AttemptEnd::Again("the head is elsewhere".to_owned()));
        }
        for write in writes {
            let written = self.command(session, write).await?;
            if written != write.count {
                return Err(AttemptEnd::Refused(torn()));
            }
        }
        Ok(())
    }

    /// Runs one write command; how many documents it reports as written.
    async fn command(
        &self,
        session: &mut ClientSession,
        write: &RawCommand,
    ) -> Result<usize, AttemptEnd> {
        let appender = &self.appender;
        let run = appender.log.database.run_raw_command(write.body.clone());
        let answer = run.session(session).await.map_err(|error| ended(&error))?;
        // Refused documents come in an answer that is otherwise good.
        let Some(error) = call::write_error(&answer) else {
            return Ok(call::count(&answer));
        };
        Err(match appender.refusals.judge(write.collection(), error) {
            RefusedWrite::ForNow(reason) => AttemptEnd::Again(reason),
            RefusedWrite::ForGood(reason) => AttemptEnd::Refused(StoreError::Refused(reason)),
            RefusedWrite::Taken => AttemptEnd::Refused(torn()),
        })
    }

    /// Why the head could not be moved. `Ok`, with the reason, if it is worth another try.
    async fn look(&self, reason: String) -> Result<String, AppendError> {
        let log = &self.appender.log;
        let database = &log.database;
        let head = match log.head(CALL_DEADLINE).await {
            Ok(head) => head,
            Err(error) if log.fate.has_failed() => return Err(AppendError::Failed(error)),
            Err(_) => return Ok(reason),
        };
        let view = self.appender.view.swap(head.view, Ordering::Relaxed);
        if head.view != view {
            return Err(AppendError::Replaced);
        }
        if head.seq != self.batch.after {
            self.appender.turn.lost(database).await;
            return Err(AppendError::Moved);
        }
        if head.hold.is_some() {
            let _ = head::clear_expired(database, "hold").await;
            return Ok("the view is being rebuilt".to_owned());
        }
        if head
            .turn
            .is_some_and(|turn| turn != self.appender.turn.name())
        {
            let _ = head::clear_expired(database, "turn").await;
        }
        Ok(reason)
    }
}

/// The longest pause between two tries; about what another node's transaction takes.
const MAX_PAUSE: Duration = Duration::from_millis(4);

/// How long the head may resist without moving before the writer that locks it is taken for dead.
/// Longer than any batch takes, and short enough for those who wait.
const STUCK: Duration = Duration::from_secs(1);

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

/// Commits, and asks again after any error: a commit that had its effect is answered as the first
/// time, and one that is not known is answered with the transient label.
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
        tokio::time::sleep(backoff(tries, Duration::from_millis(20), MAX_PAUSE)).await;
    }
}
