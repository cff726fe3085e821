//! What carries changes from the log to sessions.
//!
//! One pump a node follows the store's tail into a live window that all sessions share. A
//! subscription reads from the window, and from the log whenever it is behind it; so a slow session
//! costs reads, never memory, and never delays another.
//!
//! Knows nothing of the engine: a change that this node wrote arrives like any other.
//!
//! Start with [`Feed::subscribe`], then `subscription`.

mod live;
mod pump;
mod subscription;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use crate::domain::Seq;
use crate::limits;
use crate::store::{Store, StoreError};
pub use live::Interest;
use live::Live;
pub use subscription::Subscription;

/// The node's feed. Cheap to clone; the pump ends with the last clone.
#[derive(Debug, Clone)]
pub struct Feed {
    live: Arc<Live>,
    log: Log,
    _pump: Arc<AbortOnDropHandle<()>>,
}

/// The log as subscriptions read it to catch up: a bounded number at a time.
#[derive(Debug, Clone)]
struct Log {
    store: Arc<dyn Store>,
    turns: Arc<Semaphore>,
}

impl Feed {
    /// Starts to follow the log from its head.
    ///
    /// # Errors
    /// If the store cannot tell its head.
    pub async fn open(store: &Arc<dyn Store>) -> Result<Self, StoreError> {
        let live = Arc::new(Live::new(store.head().await?));
        let tail = store.tail(live.seq()).await?;
        let pump = tokio::spawn(pump::run(tail, Arc::clone(&live)));
        let log = Log {
            store: Arc::clone(store),
            turns: Arc::new(Semaphore::new(limits::CATCH_UPS_MAX)),
        };
        Ok(Self {
            live,
            log,
            _pump: Arc::new(AbortOnDropHandle::new(pump)),
        })
    }

    /// The last change that reached this node.
    pub fn seq(&self) -> Seq {
        self.live.seq()
    }

    /// Everything of `interest` after `after`, or from now on.
    pub fn subscribe(&self, after: Option<Seq>, interest: Interest) -> Subscription {
        Subscription::new(Arc::clone(&self.live), self.log.clone(), after, interest)
    }
}
