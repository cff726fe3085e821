//! Projecting a patch to the fields that a client selected, without those that are hidden from it.

use super::{Patch, Path};
use crate::query::{FieldTree, Fields, Selection, part_of};
use crate::value::{Document, Value};

impl Fields {
    /// The patch for a client that has only the selected fields; `patch` made `after` of `before`.
    ///
    /// Invariant: applied to the projection of `before` it makes the projection of `after`. Inside an array indexes
    /// shift, because elements that are no documents are left out, so the selected part of the whole array is set. An
    /// object that the patch creates on the way to a field is set where a part of it is selected, even if that field is
    /// not.
    pub fn project_patch(&self, patch: &Patch, before: &Document, after: &Document) -> Patch {
        let Some(tree) = &self.selected else {
            return self.hidden.strip_patch(patch, before, after).into_owned();
        };
        let part = tree.project_patch(patch, before, after);
        if self.hidden.is_nothing() {
            return part;
        }
        let (before, after) = (tree.project(before), tree.project(after));
        self.hidden.strip_patch(&part, &before, &after).into_owned()
    }
}

impl FieldTree {
    fn project_patch(&self, patch: &Patch, before: &Document, after: &Document) -> Patch {
        let tree = self;
        let mut part = Patch::default();
        for (path, value) in &patch.set {
            if let Some((at, value)) = tree.created(path.as_str(), before, after) {
                set_once(&mut part, at, value);
                continue;
            }
            match tree.reach(path.as_str(), after) {
                Reach::Outside => {}
                Reach::Inside => part.set.push((path.clone(), value.clone())),
                Reach::Part(tree) => match part_of(value.borrow(), tree) {
                    Some(value) => part.set.push((path.clone(), value)),
                    None => part.unset.push(path.clone()),
                },
                Reach::Array(at, value) => set_once(&mut part, at, value),
            }
        }
        for path in &patch.unset {
            match tree.reach(path.as_str(), after) {
                Reach::Outside => {}
                Reach::Inside | Reach::Part(_) => part.unset.push(path.clone()),
                Reach::Array(at, value) => set_once(&mut part, at, value),
            }
        }
        part
    }
}

/// Sets the path unless it is set already: several paths of a patch can lead into the same array.
fn set_once(part: &mut Patch, path: Path, value: Value) {
    if !part.set.iter().any(|(known, _)| *known == path) {
        part.set.push((path, value));
    }
}

/// What a path leads to, relative to the selected fields.
enum Reach<'a> {
    /// To a field that is not selected.
    Outside,
    /// Into a field that is selected whole.
    Inside,
    /// To a field of which a part is selected.
    Part(&'a FieldTree),
    /// Into an array of which a part is selected: the array's path, and that part.
    Array(Path, Value),
}

impl FieldTree {
    /// The first object that the patch created on the way to `path`, if a part of it is selected: the object's path,
    /// and that part.
    fn created(&self, path: &str, before: &Document, after: &Document) -> Option<(Path, Value)> {
        let (parent, _) = path.rsplit_once('.')?;
        let (mut tree, mut old, mut new) = (self, before, after);
        let mut end = 0;
        for name in parent.split('.') {
            end += name.len();
            let Selection::Part(inner) = tree.get(name)? else {
                return None;
            };
            tree = inner;
            match (old.get(name), new.get(name)?) {
                (None, created) => {
                    let at =
                        Path::parse(&parent[..end]).expect("the beginning of a path is a path");
                    return Some((at, part_of(created.borrow(), tree)?));
                }
                (Some(Value::Object(known)), Value::Object(same)) => (old, new) = (known, same),
                _ => return None,
            }
            end += 1;
        }
        None
    }

    fn reach(&self, path: &str, after: &Document) -> Reach<'_> {
        let mut tree = self;
        let mut container: Option<&Value> = None;
        let mut from = 0;
        for name in path.split('.') {
            if let Some(items @ Value::Array(_)) = container {
                let at = &path[..from - 1];
                let at = Path::parse(at).expect("the beginning of a path is a path");
                let part = part_of(items.borrow(), tree);
                return Reach::Array(at, part.expect("an array has a part"));
            }
            container = match container {
                None if from == 0 => after.get(name),
                Some(Value::Object(document)) => document.get(name),
                _ => None,
            };
            from += name.len() + 1;
            tree = match tree.get(name) {
                None => return Reach::Outside,
                Some(Selection::Whole) => return Reach::Inside,
                Some(Selection::Part(tree)) => tree,
            };
        }
        Reach::Part(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).expect("the test's own JSON")
    }

    /// The patch that leads from `before` to `after` as `set` and `unset` say, seen through `fields`.
    fn patched(fields: &str, before: &str, set: &str, unset: &[&str]) -> String {
        let fields = Fields::parse(&value(fields), "payload.fields").expect("good fields");
        let set: Document = serde_json::from_str(set).expect("the test's own JSON");
        let path = |text: &str| Path::parse(text).expect("the test's own path");
        let patch = Patch {
            set: set
                .iter()
                .map(|(name, value)| (path(name), value.clone()))
                .collect(),
            unset: unset.iter().map(|name| path(name)).collect(),
        };
        let before: Document = serde_json::from_str(before).expect("the test's own JSON");
        let after = patch.apply(&before).expect("it fits");
        let part = fields.project_patch(&patch, &before, &after);
        assert_eq!(
            part.apply(&fields.project(&before)),
            Ok(fields.project(&after)),
            "what was wanted before, patched, is what is wanted after"
        );
        serde_json::to_string(&part).expect("a patch is JSON")
    }

    #[test]
    fn a_patch_is_cut_to_the_wanted_fields() {
        for (fields, before, set, unset, part) in [
            (
                r#"["a"]"#,
                r#"{"a":1,"b":1}"#,
                r#"{"a":2,"b":2}"#,
                &[][..],
                r#"{"set":{"a":2},"unset":[]}"#,
            ),
            (
                r#"["b"]"#,
                r#"{"a":1}"#,
                r#"{"a":2}"#,
                &["c"],
                r#"{"set":{},"unset":[]}"#,
            ),
            (
                r#"["a"]"#,
                r#"{"a":{"b":1}}"#,
                r#"{"a.b":2}"#,
                &["a.c"],
                r#"{"set":{"a.b":2},"unset":["a.c"]}"#,
            ),
            (
                r#"["a.b"]"#,
                r#"{"a":{"b":1}}"#,
                r#"{"a":{"b":2,"c":3}}"#,
                &[],
                r#"{"set":{"a":{"b":2}},"unset":[]}"#,
            ),
            (
                r#"["a.b"]"#,
                r#"{"a":{"b":1}}"#,
                r#"{"a":7}"#,
                &[],
                r#"{"set":{},"unset":["a"]}"#,
            ),
            (
                r#"["a.b"]"#,
                r#"{"a":{"b":1}}"#,
                r#"{"a.c":2}"#,
                &["a.b"],
                r#"{"set":{},"unset":["a.b"]}"#,
            ),
            (
                r#"["a.b"]"#,
                r#"{"a":[1,{"b":1,"c":1}]}"#,
                r#"{"a.1.b":2,"a.0":{"b":3}}"#,
                &[],
                r#"{"set":{"a":[{"b":3},{"b":2}]},"unset":[]}"#,
            ),
            (
                r#"["a.b"]"#,
                r#"{"a":[{"b":1}]}"#,
                "{}",
                &["a.0.b"],
                r#"{"set":{"a":[{}]},"unset":[]}"#,
            ),
            (
                r#"["a.b","c"]"#,
                r#"{"d":1}"#,
                r#"{"a.c":1,"a.b":2,"c.d":3}"#,
                &[],
                r#"{"set":{"a":{"b":2},"c.d":3},"unset":[]}"#,
            ),
            (
                r#"["a.b.c"]"#,
                r#"{"a":{}}"#,
                r#"{"a.b.d.e":1,"a.c":1}"#,
                &[],
                r#"{"set":{"a.b":{}},"unset":[]}"#,
            ),
            (
                r#"["a"]"#,
                r#"{"a":[1,2]}"#,
                r#"{"a.1":3}"#,
                &[],
                r#"{"set":{"a.1":3},"unset":[]}"#,
            ),
        ] {
            assert_eq!(
                patched(fields, before, set, unset),
                part,
                "{fields} {before}"
            );
        }
    }
}
