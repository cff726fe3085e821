//! Which broadcasts somebody hears.

use crate::query::Filter;
use crate::value::{Document, Steps};

/// A filter on the payloads of broadcasts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hearing {
    rule: Filter,
}

impl Hearing {
    /// Those whose payload this matches.
    pub fn new(rule: Filter) -> Self {
        Self { rule }
    }

    /// Every broadcast.
    pub fn everything() -> Self {
        Self::new(Filter::all())
    }

    /// Whether every broadcast is heard, so that none need be looked into.
    pub fn is_everything(&self) -> bool {
        self.rule.is_everything()
    }

    /// Whether none is.
    pub fn is_nothing(&self) -> bool {
        self.rule.pinned_ids().is_some_and(|ids| ids.is_empty())
    }

    /// Whether a broadcast with this payload is heard. One that is no object is heard by who hears everything, and one that
    /// takes too long to judge by nobody else.
    pub fn hears(&self, payload: Option<&Document>, steps: &Steps) -> bool {
        match payload {
            _ if self.is_everything() => true,
            None => false,
            Some(payload) => self.rule.matches(payload, steps).unwrap_or(false),
        }
    }

    /// By it they are told apart.
    pub fn digest(&self) -> [u8; 32] {
        self.rule.digest()
    }
}
