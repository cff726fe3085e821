//! Where the writer's thread is asked, and where it is let go of.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::thread::{Appended, Writer, WriterTask};
use crate::limits;
use crate::store::embedded::shared::Shared;
use crate::store::{AppendError, Batch, StoreError, cause_of};

/// What a caller hears late whose batch is in doubt: the engine asks again at once.
const DOUBT_PAUSE: Duration = Duration::from_secs(1);

/// Closing waits this long for the transaction in progress.
const CLOSE_DEADLINE: Duration = limits::COMMAND_DEADLINE;

/// The way to the writer's thread. Dropping it ends the thread, and waits for its end, so that the
/// file is free afterwards.
pub(crate) struct WriterHandle {
    shared: Arc<Shared>,
    /// `None` once closed.
    tasks: Mutex<Option<Sender<WriterTask>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for WriterHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl WriterHandle {
    pub(crate) fn open(writer: Writer) -> std::io::Result<Self> {
        let shared = Arc::clone(&writer.shared);
        let (tasks, asked) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("livelog-writer".to_owned())
            .spawn(move || work(writer, &asked))?;
        Ok(Self {
            shared,
            tasks: Mutex::new(Some(tasks)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// `false` if nobody is there to do it.
    pub(crate) fn tell(&self, task: WriterTask) -> bool {
        let tasks = self.tasks();
        tasks.as_ref().is_some_and(|tasks| tasks.send(task).is_ok())
    }

    /// The writer's answer. `Err` if it is closed or died.
    pub(crate) async fn ask<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<T>) -> WriterTask,
    ) -> Result<T, StoreError> {
        answered(self.order(task)?).await
    }

    /// The same for who has other things to do meanwhile: the answer is what [`answered`] waits for.
    pub(crate) fn order<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<T>) -> WriterTask,
    ) -> Result<oneshot::Receiver<T>, StoreError> {
        let (reply, answer) = oneshot::channel();
        match self.tell(task(reply)) {
            true => Ok(answer),
            false => Err(gone()),
        }
    }

    /// See [`Store::append`](crate::store::Store::append).
    pub(crate) async fn append(&self, batch: &Arc<Batch>) -> Result<(), AppendError> {
        let deadline = Instant::now() + limits::APPEND_DEADLINE;
        let mut held = self.shared.held.subscribe();
        loop {
            match self.append_once(batch, deadline).await {
                Appended::Done(outcome) => {
                    if matches!(outcome, Err(AppendError::Unknown(_))) {
                        tokio::time::sleep(DOUBT_PAUSE).await;
                    }
                    return outcome;
                }
                Appended::Held => {
                    let released = timeout_at(deadline, held.wait_for(|held| !held)).await;
                    if released.is_err() {
                        let reason = "a rebuild holds the writers off".to_owned();
                        return Err(AppendError::Failed(StoreError::Unavailable(reason)));
                    }
                }
            }
        }
    }

    async fn append_once(&self, batch: &Arc<Batch>, deadline: Instant) -> Appended {
        // Before the thread is asked: it may be opening the file anew, which takes as long as the file is large.
        if let Some(refusal) = self.shared.refusal(batch.id) {
            return Appended::Done(Err(refusal));
        }
        let (reply, answer) = oneshot::channel();
        if !self.tell(WriterTask::Append(Arc::clone(batch), reply)) {
            return Appended::Done(Err(AppendError::Failed(gone())));
        }
        match timeout_at(deadline, answer).await {
            Ok(Ok(appended)) => appended,
            // It panicked in the middle of it.
            Ok(Err(_)) => {
                self.shared.stop(gone());
                self.shared.doubt(batch.id);
                Appended::Done(Err(AppendError::Unknown(gone().to_string())))
            }
            Err(_) => {
                let late = format!("no answer in {:?}", limits::APPEND_DEADLINE);
                Appended::Done(Err(AppendError::Unknown(late)))
            }
        }
    }

    /// Waits for the transaction in progress, allows no other, and lets go of the file.
    pub(crate) async fn close(&self) {
        let Some(tasks) = self.tasks().take() else {
            return;
        };
        // It answers when the file is free. Should it hang, nobody waits for it a second time.
        drop(self.thread().take());
        let (reply, closed) = oneshot::channel();
        if tasks.send(WriterTask::Close(reply)).is_ok() {
            // A disk that hangs is left to its own: what it does cannot be undone from here.
            let _ = tokio::time::timeout(CLOSE_DEADLINE, closed).await;
        }
    }

    fn thread(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Option<Sender<WriterTask>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread. A panic is nobody's to catch but here, and the store ends with it: what it was in the middle of
/// nobody can tell.
fn work(writer: Writer, asked: &Receiver<WriterTask>) {
    let shared = Arc::clone(&writer.shared);
    let working = panic::catch_unwind(AssertUnwindSafe(|| writer.run(asked)));
    if let Err(panic) = working {
        let reason = format!("the writer's thread panicked: {}", cause_of(&*panic));
        shared.stop(StoreError::Unavailable(reason.clone()));
        shared.fate.fail(reason);
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        drop(self.tasks().take());
        if let Some(thread) = self.thread().take() {
            // It may have panicked; then it has let go of the file all the same.
            drop(thread.join());
        }
    }
}

/// The writer's answer. `Err` if it died over it.
pub(crate) async fn answered<T>(answer: oneshot::Receiver<T>) -> Result<T, StoreError> {
    answer.await.map_err(|_| gone())
}

fn gone() -> StoreError {
    StoreError::Unavailable("it is closed".to_owned())
}
