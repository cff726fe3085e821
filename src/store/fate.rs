//! Supervising a store's own tasks: the store has failed once one of them panics or ends unasked.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Whether the store has failed, and why. A failure is final.
#[derive(Debug, Default)]
pub(super) struct Fate {
    failure: watch::Sender<Option<String>>,
}

impl Fate {
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

/// The message of a panic.
pub fn cause_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason was given")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fate_of(stopped: bool, task: impl Future<Output = ()>) -> Option<String> {
        let (fate, stop) = (Fate::default(), CancellationToken::new());
        if stopped {
            stop.cancel();
        }
        fate.guard("the task", &stop, task).await;
        fate.failed().now_or_never()
    }

    #[tokio::test]
    async fn a_task_that_panics_or_ends_unasked_fails_its_store_with_the_cause() {
        let panicked = fate_of(false, async { panic!("planted {}", 7) }).await;
        assert_eq!(panicked.as_deref(), Some("the task panicked: planted 7"));
        let panicked = fate_of(true, async { panic!("planted") }).await;
        assert_eq!(panicked.as_deref(), Some("the task panicked: planted"));
        let ended = fate_of(false, async {}).await;
        assert_eq!(ended.as_deref(), Some("the task ended"));
        assert_eq!(fate_of(true, async {}).await, None, "it was told to");
    }

    #[tokio::test]
    async fn the_first_reason_is_kept_and_told_to_all() {
        let fate = Fate::default();
        fate.fail("first");
        fate.fail("second");
        assert_eq!(fate.failed().await, "first");
        assert_eq!(fate.failed().await, "first");
    }
}
