//! A rule: which events somebody may see, make, change or delete. A filter, so it means the same on every path.

use super::claims::Claims;
use super::explain::Explained;
use super::template::Template;
use crate::query::Filter;
use crate::value::{Invalid, Value};

/// `true`, `false`, or a filter with claims in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum AccessRule {
    Always,
    Never,
    Where(Template),
}

impl AccessRule {
    /// Parses a rule at the path `at`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub(super) fn parse(value: &Value, at: &str) -> Result<Self, Invalid> {
        match value {
            Value::Bool(true) => Ok(Self::Always),
            Value::Bool(false) => Ok(Self::Never),
            Value::Object(_) => Template::parse(value, at).map(Self::Where),
            other => {
                let reason = format!("expected a filter, true or false, found {}", other.kind());
                Err(Invalid::new(at, reason))
            }
        }
    }

    /// What it is for who has these claims, in words.
    pub(super) fn explain(&self, claims: &Claims) -> Explained {
        match self {
            Self::Always => Explained::Everything,
            Self::Never => Explained::Nothing,
            Self::Where(template) => match template.filled(claims) {
                Some(filter) => Explained::Where(filter),
                None => Explained::ClaimMissing,
            },
        }
    }

    /// The filter that it is for who has these claims.
    pub(super) fn fill(&self, claims: &Claims) -> Filter {
        match self {
            Self::Always => Filter::all(),
            Self::Never => Filter::nothing(),
            Self::Where(template) => template.fill(claims),
        }
    }
}
