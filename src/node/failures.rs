//! What clients hear of what the parts of a node say.

use crate::engine::Refused;
use crate::feed::Interrupted;
use crate::limits;
use crate::protocol::{Code, Details, Failure};
use crate::store::{Spot, StoreError};
use crate::value::TooCostly;

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        match refused {
            Refused::Rejected(rejection, None) => Self::from(rejection),
            Refused::Rejected(rejection, Some(at)) => {
                Self::from(rejection).within(&format!("payload.commands.{at}"))
            }
            Refused::Busy => Self::new(Code::Busy, message),
            Refused::Unavailable => Self::new(Code::Unavailable, message),
            Refused::StorageFull => Self::new(Code::StorageFull, message),
            Refused::StorageFailed => Self::new(Code::StorageFailed, message),
            Refused::Internal => Self::new(Code::Internal, message),
            Refused::ShuttingDown => Self::new(Code::ShuttingDown, message),
            Refused::Unknown => Self::new(Code::OutcomeUnknown, message),
        }
    }
}

impl From<Interrupted> for Failure {
    fn from(interrupted: Interrupted) -> Self {
        match interrupted {
            Interrupted::Store(error) => error.into(),
            Interrupted::FilterTooSlow => TooCostly.into(),
            Interrupted::TooSlow => {
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
