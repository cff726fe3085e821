//! What a token or a key says of who shows it.

use super::policy::PolicyError;
use crate::value::{Document, Value};

/// The claims of one principal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims(Document);

impl Claims {
    /// These claims.
    pub fn new(claims: Document) -> Self {
        Self(claims)
    }

    /// The claim of this name, or else the one at this dotted path: each name but the last leads into an object. Some
    /// providers name their claims by addresses, `https://app.example/role`.
    pub fn get(&self, path: &str) -> Option<&Value> {
        if let Some(claim) = self.0.get(path) {
            return Some(claim);
        }
        let mut names = path.split('.');
        let first = self.0.get(names.next()?)?;
        names.try_fold(first, |value, name| value.as_object()?.get(name))
    }

    /// The filter that a token carries. What is not understood beside it is refused: a word misspelt must not widen what is
    /// read.
    ///
    /// # Errors
    /// If there is something, and no filter.
    pub(super) fn narrower(&self) -> Result<Option<&Value>, PolicyError> {
        let Some(claim) = self.0.get("livelog") else {
            return Ok(None);
        };
        let given = claim.as_object().filter(|given| given.len() == 1);
        match given.and_then(|given| given.get("read")) {
            Some(filter) => Ok(Some(filter)),
            None => Err(PolicyError::BadFilter(
                "the claim livelog takes read, a filter, and nothing else".to_owned(),
            )),
        }
    }

    /// The claim, if it is a single value that a field can have.
    pub(super) fn scalar(&self, path: &str) -> Option<&Value> {
        self.get(path).filter(|value| is_scalar(value))
    }

    /// The claim, if it is a list of such values.
    pub(super) fn list(&self, path: &str) -> Option<&[Value]> {
        match self.get(path)? {
            Value::Array(items) if items.iter().all(is_scalar) => Some(items),
            _ => None,
        }
    }
}

/// `null` is none: a claim that says nothing must not find what has no owner.
fn is_scalar(value: &Value) -> bool {
    matches!(
        value,
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_)
    )
}
