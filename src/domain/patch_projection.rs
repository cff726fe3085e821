//! A patch, cut to the fields that a client wants to see.

use super::{Patch, Path};
use crate::query::{Branch, Fields, Wanted, part_of};
use crate::value::{Document, Value};

impl Fields {
    /// What the patch does to the wanted fields; it made `after` of `before`.
    ///
    /// Applied to the wanted fields as they were it makes them what they are. Inside an array places
    /// move, because other elements are left out; so the wanted part of the whole array is set. And an
    /// object that is made on the way to a field is seen where a part of it is wanted, if not that field.
    pub fn project_patch(&self, patch: &Patch, before: &Document, after: &Document) -> Patch {
        let Some(branch) = &self.wanted else {
            return patch.clone();
        };
        let mut part = Patch::default();
        for (path, value) in &patch.set {
            if let Some((at, value)) = branch.made(path.as_str(), before, after) {
                set_once(&mut part, at, value);
                continue;
            }
            match branch.reach(path.as_str(), after) {
                Reach::Outside => {}
                Reach::Inside => part.set.push((path.clone(), value.clone())),
                Reach::Part(branch) => match part_of(value.borrow(), branch) {
                    Some(value) => part.set.push((path.clone(), value)),
                    None => part.unset.push(path.clone()),
                },
                Reach::Array(at, value) => set_once(&mut part, at, value),
            }
        }
        for path in &patch.unset {
            match branch.reach(path.as_str(), after) {
                Reach::Outside => {}
                Reach::Inside | Reach::Part(_) => part.unset.push(path.clone()),
                Reach::Array(at, value) => set_once(&mut part, at, value),
            }
        }
        part
    }
}

/// Several paths of a patch can lead into the same array.
fn set_once(part: &mut Patch, path: Path, value: Value) {
    if !part.set.iter().any(|(known, _)| *known == path) {
        part.set.push((path, value));
    }
}

/// Where a path leads, seen from the wanted fields.
enum Reach<'a> {
    /// To nothing that is wanted.
    Outside,
    /// To something wanted as a whole.
    Inside,
    /// To something of which a part is wanted.
    Part(&'a Branch),
    /// Into an array of which a part is wanted: where it is, and that part.
    Array(Path, Value),
}

impl Branch {
    /// The first object that has to be made on the way to `path`, if a part of it is wanted: where it is, and
    /// that part.
    fn made(&self, path: &str, before: &Document, after: &Document) -> Option<(Path, Value)> {
        let (way, _) = path.rsplit_once('.')?;
        let (mut branch, mut old, mut new) = (self, before, after);
        let mut end = 0;
        for name in way.split('.') {
            end += name.len();
            let Wanted::Part(inner) = branch.get(name)? else {
                return None;
            };
            branch = inner;
            match (old.get(name), new.get(name)?) {
                (None, made) => {
                    let at = Path::parse(&way[..end]).expect("the beginning of a path is a path");
                    return Some((at, part_of(made.borrow(), branch)?));
                }
                (Some(Value::Object(known)), Value::Object(same)) => (old, new) = (known, same),
                _ => return None,
            }
            end += 1;
        }
        None
    }

    fn reach(&self, path: &str, after: &Document) -> Reach<'_> {
        let mut branch = self;
        let mut holder: Option<&Value> = None;
        let mut from = 0;
        for name in path.split('.') {
            if let Some(items @ Value::Array(_)) = holder {
                let at = &path[..from - 1];
                let at = Path::parse(at).expect("the beginning of a path is a path");
                let part = part_of(items.borrow(), branch);
                return Reach::Array(at, part.expect("an array has a part"));
            }
            holder = match holder {
                None if from == 0 => after.get(name),
                Some(Value::Object(document)) => document.get(name),
                _ => None,
            };
            from += name.len() + 1;
            branch = match branch.get(name) {
                None => return Reach::Outside,
                Some(Wanted::Whole) => return Reach::Inside,
                Some(Wanted::Part(branch)) => branch,
            };
        }
        Reach::Part(branch)
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
