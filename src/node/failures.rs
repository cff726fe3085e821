//! Turns the errors of a node's parts into what clients are told.
//!
//! Clients learn no cause that lies in the store. Here is where it is dropped, so here it is logged, now and then: an
//! outage fails every read.

use crate::engine::SubmitError;
use crate::feed::SubscriptionError;
use crate::limits;
use crate::protocol::{Code, Details, Failure};
use crate::store::{CorruptAt, StoreError};
use crate::telemetry::Throttle;
use crate::value::TooCostly;

static UNAVAILABLE_THROTTLE: Throttle = Throttle::new();
// Apart: a client that reads a damaged entry again and again hides no other fault.
static CORRUPT_THROTTLE: Throttle = Throttle::new();
static REFUSED_THROTTLE: Throttle = Throttle::new();

impl From<SubmitError> for Failure {
    /// The cause is in the log already: the engine logs it where it decides to refuse.
    fn from(error: SubmitError) -> Self {
        let message = error.to_string();
        match error {
            SubmitError::Rejected(rejection, None) => Self::from(rejection),
            SubmitError::Rejected(rejection, Some(index)) => {
                Self::from(rejection).within(&format!("payload.commands.{index}"))
            }
            SubmitError::Busy => Self::new(Code::Busy, message),
            SubmitError::Unavailable => Self::new(Code::Unavailable, message),
            SubmitError::StorageFull => Self::new(Code::StorageFull, message),
            SubmitError::StorageFailed => Self::new(Code::StorageFailed, message),
            SubmitError::Internal => Self::new(Code::Internal, message),
            SubmitError::ShuttingDown => Self::new(Code::ShuttingDown, message),
            SubmitError::Unknown => Self::new(Code::OutcomeUnknown, message),
        }
    }
}

impl From<SubscriptionError> for Failure {
    fn from(error: SubscriptionError) -> Self {
        match error {
            SubscriptionError::Store(error) => error.into(),
            SubscriptionError::FilterTooSlow => TooCostly.into(),
            SubscriptionError::TooSlow => {
                let message = format!(
                    "the snapshot was not taken in {:?}",
                    limits::SNAPSHOT_DEADLINE
                );
                Self::new(Code::TooSlow, message)
            }
            SubscriptionError::Failed(failure) => failure,
            SubscriptionError::ListTooLarge => {
                let most = limits::LIST_BYTES_MAX / 1024 / 1024;
                let message =
                    format!("the events of the list take more than {most} MiB: ask for fewer");
                Self::new(Code::BadRequest, message)
            }
            SubscriptionError::NoRoom => Self::new(
                Code::Busy,
                "the lists that are kept take too much memory: try again",
            ),
            SubscriptionError::Panicked => Self::new(Code::Internal, "the list cannot be kept"),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) => {
                UNAVAILABLE_THROTTLE.log(|suppressed| {
                    tracing::warn!(%error, suppressed, "a read was not answered");
                });
                Self::new(Code::Unavailable, "the store is unavailable")
            }
            StoreError::Full(_) => Self::new(Code::StorageFull, "the disk is full"),
            StoreError::Unwritable(_) => {
                Self::new(Code::StorageFailed, "the disk cannot be written")
            }
            StoreError::QueryTooSlow => Self::new(Code::QueryTooSlow, error.to_string()),
            StoreError::Redacted => Self::new(Code::Redacted, error.to_string()),
            StoreError::FilterTooSlow(costly) => (*costly).into(),
            StoreError::Corrupt { at, .. } => {
                log_failed_read(&CORRUPT_THROTTLE, &error);
                let message = format!("what is stored at {at} cannot be read");
                let seq = match at {
                    CorruptAt::Log(seq) => Some(Details::Unreadable { seq: *seq }),
                    CorruptAt::Other(_) => None,
                };
                Self {
                    details: seq,
                    ..Self::new(Code::Corrupt, message)
                }
            }
            StoreError::Refused(_) => {
                log_failed_read(&REFUSED_THROTTLE, &error);
                Self::new(Code::Internal, "the store could not answer")
            }
        }
    }
}

fn log_failed_read(throttle: &Throttle, error: &StoreError) {
    throttle.log(|suppressed| {
        tracing::error!(%error, suppressed, "a read failed");
    });
}
