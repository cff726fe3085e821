//! Merge patches (RFC 7396): a document in the shape of the changes to another.
//!
//! A `null` removes a field, an object is merged into the object in its place, and anything else replaces the value in
//! its place. So a merge patch cannot store a `null`, and cannot reach into an array. Its effect depends on the current
//! document, so it is decided into a [`Patch`] of values.

use super::patch::{Patch, Path};
use crate::limits;
use crate::value::{Document, Value};
use crate::value::{Invalid, check_document, join};

/// A checked merge patch.
#[derive(Debug, Clone)]
pub(super) struct MergePatch(Document);

impl MergePatch {
    /// Checks the merge patch at the path `at`.
    pub(super) fn parse(patch: Document, at: &str) -> Result<Self, Invalid> {
        check_document(&patch, at)?;
        if members(&patch) > limits::UPDATE_PATHS_MAX {
            let reason = format!("more than {} members", limits::UPDATE_PATHS_MAX);
            return Err(Invalid::new(at, reason));
        }
        Ok(Self(patch))
    }

    /// The paths that it may set, from the top down to what it replaces.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        add_paths(&self.0, "", &mut paths);
        paths
    }

    /// Its effect on a document.
    pub(super) fn effect(&self, before: &Document) -> Patch {
        let mut patch = Patch::default();
        merge(&self.0, before, "", &mut patch);
        patch
    }
}

fn add_paths(patch: &Document, at: &str, paths: &mut Vec<String>) {
    for (name, value) in patch.iter() {
        let path = join(at, name);
        match value.as_object().filter(|patch| !patch.is_empty()) {
            Some(patch) => add_paths(patch, &path, paths),
            None => paths.push(path),
        }
    }
}

/// The number of names at all depths: each may become a path of the effect.
fn members(patch: &Document) -> usize {
    let nested = |value: &Value| value.as_object().map_or(0, members);
    patch.iter().map(|(_, value)| 1 + nested(value)).sum()
}

fn merge(patch: &Document, before: &Document, at: &str, effect: &mut Patch) {
    for (name, value) in patch.iter() {
        let path = join(at, name);
        match (value, before.get(name)) {
            (Value::Null, None) => {}
            (Value::Null, Some(_)) => effect.unset.push(checked(&path)),
            (Value::Object(patch), Some(Value::Object(before))) => {
                merge(patch, before, &path, effect);
            }
            (Value::Object(patch), _) => effect
                .set
                .push((checked(&path), without_nulls(patch).into())),
            _ => effect.set.push((checked(&path), value.clone())),
        }
    }
}

fn checked(path: &str) -> Path {
    Path::parse(path).expect("every name on the path was checked")
}

/// The result of merging into a missing value.
fn without_nulls(patch: &Document) -> Document {
    let kept = patch.iter().filter(|(_, value)| **value != Value::Null);
    let fields = kept.map(|(name, value)| {
        let value = match value {
            Value::Object(patch) => without_nulls(patch).into(),
            _ => value.clone(),
        };
        (name.to_owned(), value)
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(json: &str) -> Document {
        serde_json::from_str(json).expect("the test's own JSON")
    }

    /// The examples of RFC 7396, appendix A, whose patch and target are objects, and some more.
    #[test]
    fn what_a_merge_patch_does_is_what_the_rfc_says() {
        for (before, patch, after) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (r#"{"a":1}"#, r#"{"a":{"b":2}}"#, r#"{"a":{"b":2}}"#),
            (r#"{"a":{"0":1}}"#, r#"{"a":{"0":2}}"#, r#"{"a":{"0":2}}"#),
            (r#"{"a":{"b":1}}"#, r#"{"a":{}}"#, r#"{"a":{"b":1}}"#),
            (r#"{"a":[1]}"#, r#"{"a":[null]}"#, r#"{"a":[null]}"#),
            (r#"{"a":1}"#, "{}", r#"{"a":1}"#),
        ] {
            let merge = MergePatch::parse(document(patch), "patch").expect("a good patch");
            let before = document(before);
            let found = merge.effect(&before).apply(&before).expect("it fits");
            assert_eq!(found, document(after), "{before:?} {patch}");
        }
    }

    #[test]
    fn names_and_numbers_of_members_are_bounded() {
        let path = |patch: &str| MergePatch::parse(document(patch), "p").unwrap_err().path;
        assert_eq!(path(r#"{"_id":null}"#), "p._id");
        assert_eq!(path(r#"{"a":{"$set":null}}"#), "p.a.$set");
        assert_eq!(path(r#"{"a.b":1}"#), "p.a.b");
        let many = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!(r#""n{n}":1"#)).collect();
            format!(r#"{{"a":{{{}}}}}"#, names.join(","))
        };
        assert_eq!(path(&many(limits::UPDATE_PATHS_MAX)), "p");
        assert!(MergePatch::parse(document(&many(limits::UPDATE_PATHS_MAX - 1)), "p").is_ok());
    }
}
