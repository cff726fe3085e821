//! What a request says must hold of an event for a write to take place, beside what its payload says.

use super::decide::{EventState, Rejection};

/// Conditions on an event, decided together with the write that they guard: no other write comes between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The event is there, at one of these versions.
    pub is_at: Option<Versions>,
    /// The event is not there, or at none of these versions.
    pub is_not_at: Option<Versions>,
}

/// Versions of an event that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// All of them.
    Any,
    /// These; perhaps none.
    Of(Vec<u64>),
}

impl Versions {
    /// Whether an event at this version is meant.
    pub fn contain(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Of(versions) => versions.contains(&version),
        }
    }
}

impl Precondition {
    /// Whether the write may take place.
    ///
    /// # Errors
    /// With the event as it is, if it is there.
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

    /// Whether an event at this version, `None` if it is not there, is at one where it must be.
    pub fn is_met(&self, version: Option<u64>) -> bool {
        let wanted = self.is_at.as_ref();
        wanted.is_none_or(|wanted| version.is_some_and(|version| wanted.contain(version)))
    }

    /// Whether it is at one where it must not be.
    pub fn is_excluded(&self, version: Option<u64>) -> bool {
        let unwanted = self.is_not_at.as_ref();
        unwanted.is_some_and(|unwanted| version.is_some_and(|version| unwanted.contain(version)))
    }
}
