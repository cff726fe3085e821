//! What a token or a key says of who shows it.

use crate::value::{Document, Value};

/// The claims of one principal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims(Document);

impl Claims {
    /// These claims.
    pub fn new(claims: Document) -> Self {
        Self(claims)
    }

    /// The claim at a dotted path: each name but the last leads into an object.
    pub fn get(&self, path: &str) -> Option<&Value> {
        let mut names = path.split('.');
        let first = self.0.get(names.next()?)?;
        names.try_fold(first, |value, name| value.as_object()?.get(name))
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
