//! Preconditions: what a request demands of the event's version beside its payload (HTTP's `If-Match` and
//! `If-None-Match`).

use super::decide::{EventState, Rejection};

/// A precondition of a write. It is checked when the write is decided, so no other write can come between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The event exists, at one of these versions.
    pub is_at: Option<Versions>,
    /// The event does not exist, or is at none of these versions.
    pub is_not_at: Option<Versions>,
}

/// A set of versions of an existing event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// Every version.
    Any,
    /// These; may be empty.
    Of(Vec<u64>),
}

impl Versions {
    /// Whether the set has this version.
    pub fn contain(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Of(versions) => versions.contains(&version),
        }
    }
}

impl Precondition {
    /// Whether the write may go on.
    ///
    /// # Errors
    /// With the current event, if it exists.
    pub fn check(&self, state: &EventState) -> Result<(), Rejection> {
        let current = state.current.as_ref();
        let version = current.map(|event| event.version);
        match self.is_met(version) && !self.is_excluded(version) {
            true => Ok(()),
            false => Err(Rejection::PreconditionFailed {
                id: state.id.clone(),
                current: current.cloned(),
            }),
        }
    }

    /// Whether this version, `None` of an event that does not exist, is one of those demanded.
    pub fn is_met(&self, version: Option<u64>) -> bool {
        let wanted = self.is_at.as_ref();
        wanted.is_none_or(|wanted| version.is_some_and(|version| wanted.contain(version)))
    }

    /// Whether it is one of those excluded.
    pub fn is_excluded(&self, version: Option<u64>) -> bool {
        let unwanted = self.is_not_at.as_ref();
        unwanted.is_some_and(|unwanted| version.is_some_and(|version| unwanted.contain(version)))
    }
}
