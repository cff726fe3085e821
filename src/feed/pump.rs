//! The task that follows the log.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;

use super::fanout::Fanout;
use super::live::LiveWindow;
use super::log::SharedLog;
use crate::metrics::Metrics;
use crate::store::TailEvent;

/// Publishes everything that the store's tail tells, for as long as the node lives.
///
/// Into the window first: what the audience is told of must be there to be found.
pub(super) async fn run(
    mut tail: BoxStream<'static, TailEvent>,
    live: Arc<LiveWindow>,
    audience: Arc<Fanout>,
    log: Arc<SharedLog>,
    metrics: Arc<Metrics>,
) {
    while let Some(tidings) = tail.next().await {
        match tidings {
            TailEvent::Changes(changes) => {
                live.publish(&changes);
                let mut rest = &changes[..];
                while !rest.is_empty() {
                    rest = &rest[audience.judge(rest)..];
                    if !rest.is_empty() {
                        tokio::task::yield_now().await;
                    }
                }
            }
            TailEvent::Broadcast(broadcast) => live.broadcast(&broadcast),
            TailEvent::Unreadable(seq) => {
                log.note_unreadable(seq);
                live.skip(seq);
                audience.skip(seq);
            }
            TailEvent::Redaction => forget(&live, &log),
            TailEvent::Reopened => {
                metrics.reopenings.inc();
                forget(&live, &log);
            }
        }
    }
}

/// What is remembered may tell what was erased since: everyone reads it anew.
fn forget(live: &LiveWindow, log: &SharedLog) {
    live.forget();
    log.forget();
}
