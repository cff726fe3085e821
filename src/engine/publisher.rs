//! Publishes broadcasts, in the order they came, several at a time.

use std::sync::Arc;

use super::SubmitError;
use super::mailbox::Mailbox;
use crate::store::{Broadcast, PublishError, Store, StoreError};
use crate::telemetry::Throttle;

pub(super) struct BroadcastPublisher {
    store: Arc<dyn Store>,
    mailbox: Mailbox<Broadcast, ()>,
    unavailable_throttle: Throttle,
    refused_throttle: Throttle,
    in_doubt_throttle: Throttle,
}

impl BroadcastPublisher {
    pub(super) fn new(store: Arc<dyn Store>, mailbox: Mailbox<Broadcast, ()>) -> Self {
        Self {
            store,
            mailbox,
            unavailable_throttle: Throttle::default(),
            refused_throttle: Throttle::default(),
            in_doubt_throttle: Throttle::default(),
        }
    }

    /// Runs until the last [`super::Engine`] is dropped.
    pub(super) async fn run(mut self) {
        while let Some(queued) = self.mailbox.take_group().await {
            let broadcasts: Vec<Broadcast> =
                queued.iter().map(|queued| queued.content.clone()).collect();
            let publishing = self.store.publish(&broadcasts);
            let published = self.mailbox.expire_while(publishing).await;
            let outcome = published.map_err(|error| self.submit_error(&error));
            if outcome.is_ok() {
                self.mailbox.note_progress();
            }
            for queued in queued {
                queued.answer(outcome.clone());
            }
        }
    }

    /// What clients are told; the log says why.
    fn submit_error(&self, error: &PublishError) -> SubmitError {
        match error {
            PublishError::Failed(StoreError::Unavailable(_)) => {
                self.unavailable_throttle.log(|suppressed| {
                    tracing::warn!(%error, suppressed, "broadcasts are not sent");
                });
                SubmitError::Unavailable
            }
            PublishError::Failed(error) => {
                self.refused_throttle.log(|suppressed| {
                    tracing::error!(%error, suppressed, "the store refused a broadcast");
                });
                SubmitError::Internal
            }
            PublishError::Unknown(_) => {
                self.in_doubt_throttle.log(|suppressed| {
                    tracing::warn!(%error, suppressed, "broadcasts may or may not have been sent");
                });
                SubmitError::Unknown
            }
        }
    }
}
