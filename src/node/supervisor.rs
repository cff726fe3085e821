//! The one owner of a node's life: the tasks that it cannot do without, and what is known when one ends.
//!
//! Lower layers hand their tasks up and know nothing of this. Nothing is started again within the process: what a
//! task was in the middle of nobody can tell, so the node ends, and whatever runs it starts it anew.

use std::sync::{Arc, OnceLock};

use futures::future::select_all;
use tokio::task::{JoinError, JoinHandle};

use crate::store::{Store, cause_of};

/// Why a node cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the node has failed: {0}")]
pub struct NodeFailed(Arc<str>);

/// How a node is, for whoever asks. It fails once, for good.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    failure: Arc<OnceLock<NodeFailed>>,
}

impl Health {
    pub(super) fn failure(&self) -> Option<&NodeFailed> {
        self.failure.get()
    }
}

/// Watches over a node.
#[derive(Debug)]
pub struct Supervisor {
    tasks: Vec<Vital>,
    store: Arc<dyn Store>,
    health: Health,
}

/// A task that ends only when the node does.
#[derive(Debug)]
struct Vital {
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
            tasks: tasks.map(|(name, task)| Vital { name, task }).collect(),
            store: Arc::clone(store),
            health,
        }
    }

    /// Waits until a task of the node, or of its store, ends though nobody asked it to. From then on the node says
    /// that it has failed.
    pub async fn failed(&mut self) -> NodeFailed {
        let reason = tokio::select! {
            reason = first_to_end(&mut self.tasks) => reason,
            reason = self.store.failed() => reason,
        };
        tracing::error!(reason, "the node has failed and ends");
        let failed = NodeFailed(reason.into());
        self.health.failure.get_or_init(|| failed).clone()
    }

    /// Waits until all tasks have ended: they do when the last of the node's services is dropped.
    pub async fn finish(self) {
        for Vital { name, task } in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(
                    reason = why(name, error),
                    "a task failed while the node ended"
                );
            }
        }
    }
}

/// Takes out the first task that ends, and says how it ended.
async fn first_to_end(tasks: &mut Vec<Vital>) -> String {
    if tasks.is_empty() {
        std::future::pending::<()>().await;
    }
    let (ended, at, _) = select_all(tasks.iter_mut().map(|vital| &mut vital.task)).await;
    let Vital { name, .. } = tasks.remove(at);
    match ended {
        Ok(()) => format!("the {name} ended"),
        Err(error) => why(name, error),
    }
}

fn why(name: &str, error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("the {name} panicked: {}", cause_of(&*panic)),
        Err(_) => format!("the {name} was stopped"),
    }
}
