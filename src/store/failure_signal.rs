//! Supervising a store's own tasks: the store has failed once one of them panics or ends unasked.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::panics::cause_of;

/// Whether the store has failed, and why. A failure is final.
#[derive(Debug, Default)]
pub(super) struct FailureSignal {
    failure: watch::Sender<Option<String>>,
}

impl FailureSignal {
    /// The store has failed. Only the first reason is kept.
    pub(super) fn fail(&self, reason: impl Into<String>) {
        self.failure.send_if_modified(|failure| {
            let is_first = failure.is_none();
            if is_first {
                *failure = Some(reason.into());
            }
            is_first
        });
    }

    #[cfg_attr(
        not(feature = "mongodb"),
        expect(dead_code, reason = "the embedded store asks its own thread")
    )]
    pub(super) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// See [`Store::failed`](super::Store::failed).
    pub(super) async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        let failure = failure.wait_for(Option::is_some).await;
        let failure = failure.expect("this keeps the sender");
        failure.clone().expect("it was waited for")
    }

    /// Runs a task of the store, which fails if the task panics, or ends before `stop` is cancelled.
    #[cfg_attr(
        not(any(feature = "mongodb", test)),
        expect(dead_code, reason = "the embedded store has no task of its own")
    )]
    pub(super) async fn guard(
        &self,
        name: &str,
        stop: &CancellationToken,
        task: impl Future<Output = ()>,
    ) {
        match AssertUnwindSafe(task).catch_unwind().await {
            Ok(()) if stop.is_cancelled() => {}
            Ok(()) => self.fail(format!("{name} ended")),
            Err(panic) => self.fail(format!("{name} panicked: {}", cause_of(&*panic))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn failure_of(stopped: bool, task: impl Future<Output = ()>) -> Option<String> {
        let (failure_signal, stop) = (FailureSignal::default(), CancellationToken::new());
        if stopped {
            stop.cancel();
        }
        failure_signal.guard("the task", &stop, task).await;
        failure_signal.failed().now_or_never()
    }

    #[tokio::test]
    async fn a_task_that_panics_or_ends_unasked_fails_its_store_with_the_cause() {
        let panicked = failure_of(false, async { panic!("planted {}", 7) }).await;
        assert_eq!(panicked.as_deref(), Some("the task panicked: planted 7"));
        let panicked = failure_of(true, async { panic!("planted") }).await;
        assert_eq!(panicked.as_deref(), Some("the task panicked: planted"));
        let ended = failure_of(false, async {}).await;
        assert_eq!(ended.as_deref(), Some("the task ended"));
        assert_eq!(failure_of(true, async {}).await, None, "it was told to");
    }

    #[tokio::test]
    async fn the_first_reason_is_kept_and_told_to_all() {
        let failure_signal = FailureSignal::default();
        failure_signal.fail("first");
        failure_signal.fail("second");
        assert_eq!(failure_signal.failed().await, "first");
        assert_eq!(failure_signal.failed().await, "first");
    }
}
