//! Supervises the tasks that a node cannot do without, and ends the node when one of them ends.
//!
//! Lower layers return their tasks and know nothing of this. Nothing is restarted within the process: the state that a
//! task left behind is unknown, so the node ends, and its process manager starts it anew.

use std::sync::{Arc, OnceLock};

use futures::future::select_all;
use tokio::task::{JoinError, JoinHandle};

use crate::panics::cause_of;
use crate::store::Store;

/// Why a node cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the node has failed: {0}")]
pub struct NodeFailed(Arc<str>);

/// Whether a node has failed. It fails once, for good.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    failure: Arc<OnceLock<NodeFailed>>,
}

impl Health {
    pub(super) fn failure(&self) -> Option<&NodeFailed> {
        self.failure.get()
    }
}

/// Watches the tasks of a node and of its store.
#[derive(Debug)]
pub struct Supervisor {
    tasks: Vec<VitalTask>,
    store: Arc<dyn Store>,
    health: Health,
}

/// A task that ends only when the node does.
#[derive(Debug)]
struct VitalTask {
    name: &'static str,
    task: JoinHandle<()>,
}

impl Supervisor {
    pub(super) fn new(
        store: &Arc<dyn Store>,
        health: Health,
        tasks: impl IntoIterator<Item = (&'static str, JoinHandle<()>)>,
    ) -> Self {
        let tasks = tasks.into_iter();
        Self {
            tasks: tasks.map(|(name, task)| VitalTask { name, task }).collect(),
            store: Arc::clone(store),
            health,
        }
    }

    /// Waits until a task of the node, or of its store, ends though the node was not stopped. From then on the node
    /// reports that it has failed.
    pub async fn failed(&mut self) -> NodeFailed {
        let reason = tokio::select! {
            reason = first_to_end(&mut self.tasks) => reason,
            reason = self.store.failed() => reason,
        };
        tracing::error!(reason, "the node has failed and ends");
        let failed = NodeFailed(reason.into());
        self.health.failure.get_or_init(|| failed).clone()
    }

    /// Waits until all tasks have ended: they do when the last clone of the [`Node`](super::Node) is dropped.
    pub async fn finish(self) {
        for VitalTask { name, task } in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(
                    reason = reason_of(name, error),
                    "a task failed while the node ended"
                );
            }
        }
    }
}

/// Removes the first task that ends; returns how it ended.
async fn first_to_end(tasks: &mut Vec<VitalTask>) -> String {
    if tasks.is_empty() {
        std::future::pending::<()>().await;
    }
    let (result, index, _) = select_all(tasks.iter_mut().map(|vital| &mut vital.task)).await;
    let VitalTask { name, .. } = tasks.remove(index);
    match result {
        Ok(()) => format!("the {name} ended"),
        Err(error) => reason_of(name, error),
    }
}

fn reason_of(name: &str, error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("the {name} panicked: {}", cause_of(&*panic)),
        Err(_) => format!("the {name} was stopped"),
    }
}
