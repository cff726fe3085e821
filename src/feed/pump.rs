//! The task that follows the log: publishes what the store's tail yields to the window, then to the groups.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;

use super::fanout::Fanout;
use super::live_window::LiveWindow;
use super::shared_log::SharedLog;
use crate::metrics::Metrics;
use crate::store::TailEvent;

/// Runs for as long as the node lives.
///
/// The window first, then the fan-out: a subscription that is woken looks for its match in the window.
pub(super) async fn run(
    mut tail: BoxStream<'static, TailEvent>,
    live: Arc<LiveWindow>,
    fanout: Arc<Fanout>,
    log: Arc<SharedLog>,
    metrics: Arc<Metrics>,
) {
    while let Some(event) = tail.next().await {
        match event {
            TailEvent::Changes(changes) => {
                live.publish(&changes);
                let mut unjudged = &changes[..];
                while !unjudged.is_empty() {
                    unjudged = &unjudged[fanout.judge(unjudged)..];
                    if !unjudged.is_empty() {
                        tokio::task::yield_now().await;
                    }
                }
            }
            TailEvent::Broadcast(broadcast) => live.broadcast(&broadcast),
            TailEvent::Unreadable(seq) => {
                log.note_unreadable(seq);
                live.skip(seq);
                fanout.skip(seq);
            }
            TailEvent::Redaction => invalidate(&live, &log),
            TailEvent::Reopened => {
                metrics.reopenings.inc();
                invalidate(&live, &log);
            }
        }
    }
}

/// Drops what is cached, which may hold contents that were redacted since: all readers read the log anew.
fn invalidate(live: &LiveWindow, log: &SharedLog) {
    live.clear();
    log.clear();
}
