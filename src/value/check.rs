//! Validation of documents: names of fields, and depth of nesting.

use super::{Document, Value};
use crate::limits;

/// Why something that a client sent is refused, and where in it the fault is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Invalid {
    /// Dotted path from the message's root, e.g. `payload.tags.0.$x`.
    pub path: String,
    /// One sentence without a full stop.
    pub reason: String,
}

impl Invalid {
    /// An offender at `path`.
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            reason: reason.into(),
        }
    }
}

/// Checks the fields of an event: their names, and how deep they nest. `path` is the document's own.
///
/// Top-level names beginning with `_` belong to the server. At any depth, names beginning with `$`
/// are operators to MongoDB, dots separate path segments, and NUL ends a name in BSON.
///
/// # Errors
/// The first offender, with its path.
pub fn check_document(document: &Document, path: &str) -> Result<(), Invalid> {
    check_fields(document, path, limits::DOCUMENT_DEPTH_MAX)
}

/// Checks the fields of an event in an export, by the bounds of every earlier livelog.
///
/// # Errors
/// The first offender, with its path.
pub fn check_stored(document: &Document) -> Result<(), Invalid> {
    check_fields(document, "", limits::STORED_DEPTH_MAX)
}

fn check_fields(document: &Document, path: &str, deepest: usize) -> Result<(), Invalid> {
    if let Some((name, _)) = document.iter().find(|(name, _)| name.starts_with('_')) {
        return Err(Invalid::new(
            join(path, name),
            "names beginning with _ are reserved for the server",
        ));
    }
    check_names(document, path, 1, deepest)
}

/// Checks one value that is stored `depth` levels deep in an event if it is a list or a document.
pub(crate) fn check_value(value: &Value, path: &str, depth: usize) -> Result<(), Invalid> {
    check_within(value, path, depth, limits::DOCUMENT_DEPTH_MAX)
}

fn check_within(value: &Value, path: &str, depth: usize, deepest: usize) -> Result<(), Invalid> {
    let is_nested = matches!(value, Value::Array(_) | Value::Object(_));
    if is_nested && depth > deepest {
        let reason = format!("nested deeper than {deepest} levels");
        return Err(Invalid::new(path, reason));
    }
    match value {
        Value::Object(document) => check_names(document, path, depth, deepest),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .filter(|(_, item)| matches!(item, Value::Array(_) | Value::Object(_)))
            .try_for_each(|(index, item)| {
                check_within(item, &join(path, &index.to_string()), depth + 1, deepest)
            }),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => Ok(()),
    }
}

/// Why `name` cannot be the name of a field, at any depth.
pub(crate) fn name_offence(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("names must not be empty"),
        _ if name.starts_with('$') => Some("names must not begin with $"),
        _ if name.contains('.') => Some("names must not contain a dot"),
        _ if name.contains('\0') => Some("names must not contain NUL"),
        _ => None,
    }
}

fn check_names(
    document: &Document,
    path: &str,
    depth: usize,
    deepest: usize,
) -> Result<(), Invalid> {
    for (name, value) in document.iter() {
        if let Some(reason) = name_offence(name) {
            return Err(Invalid::new(join(path, name), reason));
        }
        if matches!(value, Value::Array(_) | Value::Object(_)) {
            check_within(value, &join(path, name), depth + 1, deepest)?;
        }
    }
    Ok(())
}

/// `name` below `path`; an empty path is the root.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<(), String> {
        let document: Document = serde_json::from_str(json).expect("the test's own JSON");
        check_document(&document, "payload").map_err(|invalid| invalid.path)
    }

    #[test]
    fn ordinary_fields_pass_and_nested_underscores_are_the_users_own() {
        assert_eq!(
            check(r#"{"a":1,"b":{"_id":2,"c":[{"d":null},[1,2]]}}"#),
            Ok(())
        );
    }

    #[test]
    fn offenders_are_named_by_path() {
        for (json, path) in [
            (r#"{"_version":1}"#, "payload._version"),
            (r#"{"$set":1}"#, "payload.$set"),
            (r#"{"a":{"$x":1}}"#, "payload.a.$x"),
            (r#"{"a":[0,{"b":[{"c.d":1}]}]}"#, "payload.a.1.b.0.c.d"),
            (r#"{"a":{"":1}}"#, "payload.a."),
            ("{\"a\":{\"n\\u0000\":1}}", "payload.a.n\0"),
        ] {
            assert_eq!(check(json), Err(path.to_owned()), "{json}");
        }
    }

    #[test]
    fn depth_is_bounded_exactly() {
        let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert_eq!(check(&nested(limits::DOCUMENT_DEPTH_MAX)), Ok(()));
        assert!(check(&nested(limits::DOCUMENT_DEPTH_MAX + 1)).is_err());
    }
}
