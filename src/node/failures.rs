//! What clients hear of what the parts of a node say.

use crate::engine::SubmitError;
use crate::feed::SnapshotError;
use crate::limits;
use crate::protocol::{Code, Details, Failure};
use crate::store::{Spot, StoreError};
use crate::value::TooCostly;

impl From<SubmitError> for Failure {
    fn from(refused: SubmitError) -> Self {
        let message = refused.to_string();
        match refused {
            SubmitError::Rejected(rejection, None) => Self::from(rejection),
            SubmitError::Rejected(rejection, Some(at)) => {
                Self::from(rejection).within(&format!("payload.commands.{at}"))
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

impl From<SnapshotError> for Failure {
    fn from(interrupted: SnapshotError) -> Self {
        match interrupted {
            SnapshotError::Store(error) => error.into(),
            SnapshotError::FilterTooSlow => TooCostly.into(),
            SnapshotError::TooSlow => {
                let message = format!(
                    "the snapshot was not taken in {:?}",
                    limits::SNAPSHOT_DEADLINE
                );
                Self::new(Code::TooSlow, message)
            }
        }
    }
}

/// What the store says of itself stays in the server's log.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) => Self::new(Code::Unavailable, "the store is unavailable"),
            StoreError::Full(_) => Self::new(Code::StorageFull, "the disk is full"),
            StoreError::Unwritable(_) => {
                Self::new(Code::StorageFailed, "the disk cannot be written")
            }
            StoreError::QueryTooSlow => Self::new(Code::QueryTooSlow, error.to_string()),
            StoreError::Erased => Self::new(Code::Redacted, error.to_string()),
            StoreError::FilterTooSlow(costly) => (*costly).into(),
            StoreError::Corrupt { at, .. } => {
                tracing::error!(%error, "a read failed");
                let message = format!("what is stored at {at} cannot be read");
                let seq = match at {
                    Spot::Log(seq) => Some(Details::Unreadable { seq: *seq }),
                    Spot::Other(_) => None,
                };
                Self {
                    details: seq,
                    ..Self::new(Code::Corrupt, message)
                }
            }
            StoreError::Refused(_) => {
                tracing::error!(%error, "a read failed");
                Self::new(Code::Internal, "the store could not answer")
            }
        }
    }
}
