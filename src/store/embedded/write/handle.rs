//! The handle to the writer's thread: sends it tasks, awaits its replies, and joins it.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::task::{Appended, WriterTask};
use super::thread::Writer;
use crate::limits;
use crate::panics::cause_of;
use crate::store::embedded::shared::Shared;
use crate::store::{AppendError, Batch, StoreError};

/// An append whose outcome is unknown is reported this much later, because the engine retries at once.
const DOUBT_PAUSE: Duration = Duration::from_secs(1);

/// Closing waits this long for the transaction in progress.
const CLOSE_DEADLINE: Duration = limits::COMMAND_DEADLINE;

/// The handle to the writer's thread. Dropping it ends the thread and joins it, so that the file is closed afterwards.
pub(crate) struct WriterHandle {
    shared: Arc<Shared>,
    /// `None` once closed.
    tasks: Mutex<Option<Sender<WriterTask>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for WriterHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WriterHandle")
            .finish_non_exhaustive()
    }
}

impl WriterHandle {
    pub(crate) fn open(writer: Writer) -> std::io::Result<Self> {
        let shared = Arc::clone(&writer.shared);
        let (tasks, receiver) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("livelog-writer".to_owned())
            .spawn(move || run(writer, &receiver))?;
        Ok(Self {
            shared,
            tasks: Mutex::new(Some(tasks)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Sends a task; `false` if the thread has ended.
    pub(super) fn send(&self, task: WriterTask) -> bool {
        let tasks = self.tasks();
        tasks.as_ref().is_some_and(|tasks| tasks.send(task).is_ok())
    }

    /// Sends a task and awaits the reply. `Err` if the thread has ended, or panics.
    pub(crate) async fn call<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<T>) -> WriterTask,
    ) -> Result<T, StoreError> {
        await_reply(self.submit(task)?).await
    }

    /// Sends a task; [`await_reply`] awaits the reply, later.
    pub(super) fn submit<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<T>) -> WriterTask,
    ) -> Result<oneshot::Receiver<T>, StoreError> {
        let (sender, reply) = oneshot::channel();
        match self.send(task(sender)) {
            true => Ok(reply),
            false => Err(closed()),
        }
    }

    /// See [`Store::append`](crate::store::Store::append).
    pub(crate) async fn append(&self, batch: &Arc<Batch>) -> Result<(), AppendError> {
        let deadline = Instant::now() + limits::APPEND_DEADLINE;
        let mut writers_held = self.shared.writers_held.subscribe();
        loop {
            match self.append_once(batch, deadline).await {
                Appended::Done(outcome) => {
                    if matches!(outcome, Err(AppendError::Unknown(_))) {
                        tokio::time::sleep(DOUBT_PAUSE).await;
                    }
                    return outcome;
                }
                Appended::Held => {
                    let released = timeout_at(deadline, writers_held.wait_for(|held| !held)).await;
                    if released.is_err() {
                        let reason = "a rebuild holds the writers off".to_owned();
                        return Err(AppendError::Failed(StoreError::Unavailable(reason)));
                    }
                }
            }
        }
    }

    async fn append_once(&self, batch: &Arc<Batch>, deadline: Instant) -> Appended {
        // The thread itself may be reopening the file, which takes the longer the larger the file is.
        if let Some(refusal) = self.shared.refusal(batch.id) {
            return Appended::Done(Err(refusal));
        }
        let (sender, reply) = oneshot::channel();
        if !self.send(WriterTask::Append(Arc::clone(batch), sender)) {
            return Appended::Done(Err(AppendError::Failed(closed())));
        }
        match timeout_at(deadline, reply).await {
            Ok(Ok(appended)) => appended,
            // The thread panicked during the append; `run` logs why.
            Ok(Err(_)) => {
                self.shared.stop_writes(closed());
                self.shared.mark_in_doubt(batch.id);
                Appended::Done(Err(AppendError::Unknown(closed().to_string())))
            }
            Err(_) => {
                let reason = format!("no answer in {:?}", limits::APPEND_DEADLINE);
                Appended::Done(Err(AppendError::Unknown(reason)))
            }
        }
    }

    /// Waits for the transaction in progress, refuses later ones, and closes the file.
    pub(crate) async fn close(&self) {
        let Some(tasks) = self.tasks().take() else {
            return;
        };
        // The thread replies when the file is closed. If the disk hangs, neither this nor `drop` waits for it forever.
        drop(self.thread().take());
        let (sender, closed) = oneshot::channel();
        if tasks.send(WriterTask::Close(sender)).is_ok()
            && tokio::time::timeout(CLOSE_DEADLINE, closed).await.is_err()
        {
            tracing::warn!("the data file is not closed after {CLOSE_DEADLINE:?}");
        }
    }

    fn thread(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Option<Sender<WriterTask>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the thread. After a panic the store has failed, because what the thread had written by then is unknown.
fn run(writer: Writer, tasks: &Receiver<WriterTask>) {
    let shared = Arc::clone(&writer.shared);
    let result = panic::catch_unwind(AssertUnwindSafe(|| writer.run(tasks)));
    if let Err(panic) = result {
        let reason = format!("the writer's thread panicked: {}", cause_of(&*panic));
        shared.stop_writes(StoreError::Unavailable(reason.clone()));
        shared.failure_signal.fail(reason);
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        drop(self.tasks().take());
        if let Some(thread) = self.thread().take() {
            // `run` has logged a panic, and unwinding closed the file.
            drop(thread.join());
        }
    }
}

/// The thread's reply. `Err` if the thread panics over the task.
pub(super) async fn await_reply<T>(reply: oneshot::Receiver<T>) -> Result<T, StoreError> {
    reply.await.map_err(|_| closed())
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".to_owned())
}
