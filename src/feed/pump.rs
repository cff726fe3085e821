//! The task that follows the log.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;

use super::audience::Audience;
use super::live::Live;
use super::log::Log;
use crate::metrics::Metrics;
use crate::store::Tidings;

/// Publishes everything that the store's tail tells, for as long as the node lives.
///
/// Into the window first: what the audience is told of must be there to be found.
pub(super) async fn run(
    mut tail: BoxStream<'static, Tidings>,
    live: Arc<Live>,
    audience: Arc<Audience>,
    log: Arc<Log>,
    metrics: Arc<Metrics>,
) {
    while let Some(tidings) = tail.next().await {
        match tidings {
            Tidings::Changes(changes) => {
                live.publish(&changes);
                let mut rest = &changes[..];
                while !rest.is_empty() {
                    rest = &rest[audience.judge(rest)..];
                    if !rest.is_empty() {
                        tokio::task::yield_now().await;
                    }
                }
            }
            Tidings::Broadcast(broadcast) => live.broadcast(&broadcast),
            Tidings::Unreadable(seq) => {
                log.note_unreadable(seq);
                live.skip(seq);
                audience.skip(seq);
            }
            Tidings::Redaction => forget(&live, &log),
            Tidings::Reopened => {
                metrics.reopenings.inc();
                forget(&live, &log);
            }
        }
    }
}

/// What is remembered may tell what was erased since: everyone reads it anew.
fn forget(live: &Live, log: &Log) {
    live.forget();
    log.forget();
}
