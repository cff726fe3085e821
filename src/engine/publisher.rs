//! Sends broadcasts, in the order they came, a batch at a time.

use std::sync::Arc;

use super::SubmitError;
use super::mailbox::Mailbox;
use crate::store::{Broadcast, PublishError, Store, StoreError};

pub(super) struct BroadcastPublisher {
    store: Arc<dyn Store>,
    mailbox: Mailbox<Broadcast, ()>,
}

impl BroadcastPublisher {
    pub(super) fn new(store: Arc<dyn Store>, mailbox: Mailbox<Broadcast, ()>) -> Self {
        Self { store, mailbox }
    }

    /// Runs until the last [`super::Engine`] is dropped.
    pub(super) async fn run(mut self) {
        while let Some(letters) = self.mailbox.take_batch().await {
            let broadcasts: Vec<Broadcast> = letters
                .iter()
                .map(|letter| letter.content.clone())
                .collect();
            let sending = self.store.publish(&broadcasts);
            let outcome = self.mailbox.attend(sending).await;
            let outcome = outcome.map_err(|error| refused(&error));
            if outcome.is_ok() {
                self.mailbox.note_progress();
            }
            for letter in letters {
                let _ = letter.reply.send(outcome.clone());
            }
        }
    }
}

fn refused(error: &PublishError) -> SubmitError {
    match error {
        PublishError::Failed(StoreError::Unavailable(_)) => SubmitError::Unavailable,
        PublishError::Failed(error) => {
            tracing::error!(%error, "the store refused a broadcast");
            SubmitError::Internal
        }
        PublishError::Unknown(_) => SubmitError::Unknown,
    }
}
