//! The task that follows the log.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;

use super::live::Live;
use crate::store::Tidings;

/// Publishes everything that the store's tail tells, for as long as the node lives.
pub(super) async fn run(mut tail: BoxStream<'static, Tidings>, live: Arc<Live>) {
    while let Some(tidings) = tail.next().await {
        live.publish(tidings);
    }
}
