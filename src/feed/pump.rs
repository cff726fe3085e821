//! The task that follows the log.

use std::sync::Arc;

use futures::StreamExt;

use super::live::Live;
use crate::store::Store;

/// Publishes everything the store's tail tells, for as long as the node lives.
pub(super) async fn run(store: Arc<dyn Store>, live: Arc<Live>) {
    let mut tail = store.tail(live.seq());
    while let Some(tidings) = tail.next().await {
        live.publish(tidings);
    }
}
