//! Patches: the effect of an update on a document, as paths set and paths unset.

use std::collections::HashMap;
use std::fmt;

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use crate::limits;
use crate::value::name_offence;
use crate::value::{Document, Value};

/// A dotted path into a document, e.g. `address.city` or `tags.0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path(String);

impl Path {
    /// Parses a path that a client wrote.
    ///
    /// # Errors
    /// The reason.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with('_') {
            return Err("names beginning with _ are reserved for the server");
        }
        if text.split('.').count() > limits::PATH_SEGMENTS_MAX {
            return Err("a path with too many segments");
        }
        match text.split('.').find_map(name_offence) {
            Some(reason) => Err(reason),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// Parses a path of a stored patch, by the bounds of every earlier livelog; `None` if none can have written it.
    pub fn stored(text: &str) -> Option<Self> {
        let fits = text.split('.').count() <= limits::STORED_DEPTH_MAX;
        (fits && !text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The path with its dots.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number of its names.
    pub fn depth(&self) -> usize {
        self.0.split('.').count()
    }

    /// The value that it leads to in a document.
    ///
    /// # Errors
    /// If the path leads through a scalar or through an array by name.
    pub(super) fn find<'a>(&self, document: &'a Document) -> Result<Location<'a>, PatchError> {
        let mut names = self.0.split('.');
        let first = names.next().expect("split yields at least one piece");
        let mut value = document.get(first);
        let mut is_in_array = false;
        let mut reached = first.len();
        for name in names {
            let Some(container) = value else {
                break;
            };
            is_in_array |= matches!(container, Value::Array(_));
            value = step(container, name).map_err(|error| error.at(self, &self.0[..reached]))?;
            reached += 1 + name.len();
        }
        Ok(Location { value, is_in_array })
    }

    /// Whether one of the two leads into the other, or equals it.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0
            .split('.')
            .zip(other.0.split('.'))
            .all(|(mine, theirs)| mine == theirs)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a path leads to in a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Location<'a> {
    pub(super) value: Option<&'a Value>,
    /// Whether the path leads through an array, whether or not there is a value.
    pub(super) is_in_array: bool,
}

/// The effect of an update as the log keeps it: values, no operators, so replaying it needs no rule but `apply`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch {
    /// Paths and their new values, in the order in which they are applied.
    pub set: Vec<(Path, Value)>,
    /// Paths that are removed, after all sets.
    pub unset: Vec<Path>,
}

/// Why a patch does not fit a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The path leads through a value that has no fields.
    #[error("cannot reach {path}: {at} is {found}")]
    #[expect(missing_docs, reason = "the message says it")]
    NotAContainer {
        path: Path,
        at: String,
        found: &'static str,
    },
    /// An array was addressed by something other than a small index.
    #[error("cannot reach {path}: {at} is an array, which takes an index up to {max}", max = limits::ARRAY_INDEX_MAX)]
    #[expect(missing_docs, reason = "the message says it")]
    NotAnIndex { path: Path, at: String },
}

impl PatchError {
    /// The path of the patch that did not fit.
    pub fn path(&self) -> &Path {
        match self {
            Self::NotAContainer { path, .. } | Self::NotAnIndex { path, .. } => path,
        }
    }
}

impl Patch {
    /// What gives a document the top-level fields of another; their order may differ. The names of both are paths.
    pub(super) fn between(from: &Document, to: &Document) -> Self {
        let path = |name: &str| Path(name.to_owned());
        let (old, new): (HashMap<_, _>, HashMap<_, _>) =
            (from.iter().collect(), to.iter().collect());
        let set = to
            .iter()
            .filter(|(name, value)| old.get(name) != Some(value));
        let unset = from.iter().filter(|(name, _)| !new.contains_key(name));
        Self {
            set: set
                .map(|(name, value)| (path(name), value.clone()))
                .collect(),
            unset: unset.map(|(name, _)| path(name)).collect(),
        }
    }

    /// Whether it sets and unsets nothing.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.unset.is_empty()
    }

    /// The document after this patch. Missing objects on a path are created, as MongoDB's `$set` does.
    ///
    /// # Errors
    /// If a path leads through a scalar or through an array by name.
    pub fn apply(&self, document: &Document) -> Result<Document, PatchError> {
        let mut result = document.clone();
        for (path, value) in &self.set {
            set(&mut result, path, value)?;
        }
        for path in &self.unset {
            unset(&mut result, path);
        }
        Ok(result)
    }

    /// Roughly the bytes this takes in memory.
    pub fn approx_bytes(&self) -> usize {
        let set: usize = self
            .set
            .iter()
            .map(|(path, value)| 24 + path.0.len() + value.approx_bytes())
            .sum();
        set + self
            .unset
            .iter()
            .map(|path| 24 + path.0.len())
            .sum::<usize>()
    }
}

fn set(document: &mut Document, path: &Path, value: &Value) -> Result<(), PatchError> {
    let mut names = path.0.split('.');
    let first = names.next().expect("split yields at least one piece");
    let mut target = child(document, first);
    let mut reached = first.len();
    for name in names {
        target = descend(target, name).map_err(|error| error.at(path, &path.0[..reached]))?;
        reached += 1 + name.len();
    }
    *target = value.clone();
    Ok(())
}

/// The field `name`, created as an object if it is missing.
fn child<'a>(document: &'a mut Document, name: &str) -> &'a mut Value {
    if document.get(name).is_none() {
        document.push(name, Value::Object(Document::new()));
    }
    document.get_mut(name).expect("pushed when it was missing")
}

enum Obstacle {
    Scalar(&'static str),
    Array,
}

impl Obstacle {
    fn at(self, path: &Path, at: &str) -> PatchError {
        let (path, at) = (path.clone(), at.to_owned());
        match self {
            Self::Scalar(found) => PatchError::NotAContainer { path, at, found },
            Self::Array => PatchError::NotAnIndex { path, at },
        }
    }
}

fn step<'a>(container: &'a Value, name: &str) -> Result<Option<&'a Value>, Obstacle> {
    match container {
        Value::Object(document) => Ok(document.get(name)),
        Value::Array(items) => index(name)
            .map(|index| items.get(index))
            .ok_or(Obstacle::Array),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {
            Err(Obstacle::Scalar(container.kind()))
        }
    }
}

fn descend<'a>(container: &'a mut Value, name: &str) -> Result<&'a mut Value, Obstacle> {
    match container {
        Value::Object(document) => Ok(child(document, name)),
        Value::Array(items) => {
            let index = index(name).ok_or(Obstacle::Array)?;
            if index >= items.len() {
                // MongoDB fills the elements between with null.
                items.resize(index, Value::Null);
                items.push(Value::Object(Document::new()));
            }
            Ok(&mut items[index])
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {
            Err(Obstacle::Scalar(container.kind()))
        }
    }
}

/// A missing path is no error. An array keeps its length: its element becomes null.
fn unset(document: &mut Document, path: &Path) {
    let Some((parent, last)) = path.0.rsplit_once('.') else {
        document.remove(&path.0);
        return;
    };
    let mut names = parent.split('.');
    let mut container = names.next().and_then(|name| document.get_mut(name));
    for name in names {
        container = match container {
            Some(Value::Object(document)) => document.get_mut(name),
            Some(Value::Array(items)) => index(name).and_then(|index| items.get_mut(index)),
            _ => None,
        };
    }
    match container {
        Some(Value::Object(document)) => drop(document.remove(last)),
        Some(Value::Array(items)) => {
            if let Some(item) = index(last).and_then(|index| items.get_mut(index)) {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}

/// Whether MongoDB reads a name as a number: plain decimal, no sign, no leading zero.
pub(super) fn is_number(name: &str) -> bool {
    name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()))
}

fn index(name: &str) -> Option<usize> {
    name.parse()
        .ok()
        .filter(|index| is_number(name) && *index <= limits::ARRAY_INDEX_MAX)
}

impl Serialize for Patch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct SetEntries<'a>(&'a [(Path, Value)]);
        impl Serialize for SetEntries<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(self.0.len()))?;
                for (path, value) in self.0 {
                    map.serialize_entry(path.as_str(), value)?;
                }
                map.end()
            }
        }
        let unset: Vec<&str> = self.unset.iter().map(Path::as_str).collect();
        let mut patch = serializer.serialize_struct("Patch", 2)?;
        patch.serialize_field("set", &SetEntries(&self.set))?;
        patch.serialize_field("unset", &unset)?;
        patch.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(json: &str) -> Document {
        serde_json::from_str(json).expect("the test's own JSON")
    }

    fn apply(before: &str, set: &[(&str, &str)], unset: &[&str]) -> Result<String, PatchError> {
        let path = |text: &&str| Path::parse(text).expect("the test's own path");
        let patch = Patch {
            set: set
                .iter()
                .map(|(p, v)| {
                    (
                        path(p),
                        serde_json::from_str(v).expect("the test's own JSON"),
                    )
                })
                .collect(),
            unset: unset.iter().map(path).collect(),
        };
        let after = patch.apply(&document(before))?;
        Ok(serde_json::to_string(&after).expect("a document is JSON"))
    }

    #[test]
    fn sets_reach_inside_and_make_what_is_missing() {
        for (before, path, value, after) in [
            (r#"{"a":1}"#, "a", "2", r#"{"a":2}"#),
            (r#"{"a":1}"#, "b", "[1]", r#"{"a":1,"b":[1]}"#),
            (
                r#"{"a":{"b":1,"c":2}}"#,
                "a.b",
                "{}",
                r#"{"a":{"b":{},"c":2}}"#,
            ),
            (r"{}", "a.b.c", "1", r#"{"a":{"b":{"c":1}}}"#),
            (r#"{"a":[{"b":1}]}"#, "a.0.b", "2", r#"{"a":[{"b":2}]}"#),
            (r#"{"a":[1]}"#, "a.3", "4", r#"{"a":[1,null,null,4]}"#),
            (r#"{"a":[]}"#, "a.1.x", "4", r#"{"a":[null,{"x":4}]}"#),
        ] {
            assert_eq!(
                apply(before, &[(path, value)], &[]).as_deref(),
                Ok(after),
                "{before} {path}"
            );
        }
    }

    #[test]
    fn a_path_through_a_scalar_or_a_named_array_is_refused() {
        let refused = |before, path| apply(before, &[(path, "1")], &[]).unwrap_err().to_string();
        assert_eq!(
            refused(r#"{"a":{"b":"x"}}"#, "a.b.c"),
            "cannot reach a.b.c: a.b is a string"
        );
        assert_eq!(
            refused(r#"{"a":null}"#, "a.b"),
            "cannot reach a.b: a is null"
        );
        for path in ["a.x", "a.01", "a.-1", "a.99999999999999999999"] {
            assert!(
                refused(r#"{"a":[]}"#, path).contains("a is an array"),
                "{path}"
            );
        }
    }

    #[test]
    fn unsets_remove_fields_and_null_array_places() {
        for (before, path, after) in [
            (r#"{"a":1,"b":2}"#, "a", r#"{"b":2}"#),
            (r#"{"a":{"b":1}}"#, "a.b", r#"{"a":{}}"#),
            (r#"{"a":[1,2]}"#, "a.0", r#"{"a":[null,2]}"#),
            (r#"{"a":1}"#, "a.b.c", r#"{"a":1}"#),
        ] {
            assert_eq!(
                apply(before, &[], &[path]).as_deref(),
                Ok(after),
                "{before} {path}"
            );
        }
    }

    #[test]
    fn paths_overlap_when_one_reaches_into_the_other() {
        let overlap = |a, b| Path::parse(a).unwrap().overlaps(&Path::parse(b).unwrap());
        assert!(overlap("a", "a.b") && overlap("a.b.c", "a.b") && overlap("a", "a"));
        assert!(!overlap("a", "ab") && !overlap("a.b", "a.c"));
    }
}
