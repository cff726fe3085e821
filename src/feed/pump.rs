//! The task that follows the log.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;

use super::audience::Audience;
use super::live::Live;
use crate::store::Tidings;

/// Publishes everything that the store's tail tells, for as long as the node lives.
///
/// Into the window first: what the audience is told of must be there to be found.
pub(super) async fn run(
    mut tail: BoxStream<'static, Tidings>,
    live: Arc<Live>,
    audience: Arc<Audience>,
) {
    while let Some(tidings) = tail.next().await {
        live.publish(&tidings);
        if let Tidings::Changes(changes) = &tidings {
            audience.judge(changes);
        }
    }
}
