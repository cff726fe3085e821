//! A patch without what it does to fields that are hidden from a client.

use std::borrow::Cow;

use super::{Change, Move, Patch, Path, VisibleKind};
use crate::query::{FieldTree, Fields, Hidden, Selection};
use crate::value::{Document, Value};

impl Fields {
    /// Whether a change that a filter sees as this is to be told to who gets these fields. One that lets the event enter or
    /// leave is, also if the filter is a rule on a hidden field, and that alone was altered.
    pub fn tell(&self, change: &Change, seen: VisibleKind) -> bool {
        seen != VisibleKind::Update || !self.hidden().hides(change)
    }

    /// The same of a step of a live list: one at which nothing is another to who gets these fields is not told.
    pub fn tell_move(&self, step: &Move) -> bool {
        let Move::Stay {
            before,
            event,
            is_moved,
            ..
        } = step
        else {
            return true;
        };
        let hidden = self.hidden();
        *is_moved
            || hidden.is_nothing()
            || before.created_at != event.created_at
            || hidden.strip(&before.fields) != hidden.strip(&event.fields)
    }
}

impl Hidden {
    /// Whether the change alters hidden fields alone: to who does not see them, nothing has happened.
    ///
    /// It is about one change. Several changes of an event come to nothing where each of them does, and not already where the
    /// event looks as it did before: who follows it was told of each, and it may have been deleted in between.
    fn hides(&self, change: &Change) -> bool {
        let both = change.before().zip(change.after());
        let Some((patch, (before, after))) = change.patch().zip(both) else {
            return false;
        };
        // Also if it alters nothing at all: a RESTORE does or does not, by what is hidden.
        !self.is_nothing()
            && self
                .strip_patch(patch, &before.fields, &after.fields)
                .is_empty()
    }

    /// The patch for a client that does not see the hidden fields; `patch` made `after` of `before`.
    ///
    /// Invariant: applied to what the client sees of `before`, it makes what the client sees of `after`. An object that
    /// the patch creates on the way to a hidden field is set without it; one of which it replaces hidden fields alone is
    /// not set.
    pub fn strip_patch<'a>(
        &self,
        patch: &'a Patch,
        before: &Document,
        after: &Document,
    ) -> Cow<'a, Patch> {
        let Some(tree) = self.tree() else {
            return Cow::Borrowed(patch);
        };
        let mut left = Patch::default();
        for (path, value) in &patch.set {
            match tree.sight(path, before, after) {
                PatchSight::Clear => left.set.push((path.clone(), value.clone())),
                PatchSight::None => {}
                PatchSight::Partial(tree, old) => {
                    let value = tree.strip_value(value.borrow());
                    if old.is_none_or(|old| tree.strip_value(old.borrow()) != value) {
                        left.set.push((path.clone(), value));
                    }
                }
                PatchSight::Created(at, value) => {
                    if !left.set.iter().any(|(known, _)| *known == at) {
                        left.set.push((at, value));
                    }
                }
            }
        }
        let unset = patch.unset.iter();
        let seen =
            unset.filter(|path| !matches!(tree.sight(path, before, after), PatchSight::None));
        left.unset.extend(seen.cloned());
        Cow::Owned(left)
    }
}

/// What is seen of the place that a path leads to.
enum PatchSight<'a> {
    /// All of it.
    Clear,
    /// Nothing: it is hidden.
    None,
    /// What this tree does not select of it; and what was there.
    Partial(&'a FieldTree, Option<&'a Value>),
    /// The patch created an object on the way, of which something is hidden: the object's path, and what is seen of it.
    Created(Path, Value),
}

impl FieldTree {
    fn sight<'a>(
        &'a self,
        path: &Path,
        before: &'a Document,
        after: &'a Document,
    ) -> PatchSight<'a> {
        let text = path.as_str();
        let mut tree = self;
        let (mut old, mut new) = (HiddenPlace::Top(before), HiddenPlace::Top(after));
        let mut end = 0;
        for name in text.split('.') {
            end += name.len() + usize::from(end > 0);
            if !matches!(new, HiddenPlace::In(Value::Array(_))) {
                tree = match tree.get(name) {
                    None => return PatchSight::Clear,
                    Some(Selection::Whole) => return PatchSight::None,
                    Some(Selection::Part(inner)) => inner,
                };
            }
            let was = old.step(name);
            let Some(inner) = new.step(name).filter(|_| end < text.len()) else {
                return PatchSight::Partial(tree, was);
            };
            match was.map(HiddenPlace::In).filter(|was| was.is_container()) {
                Some(was) => old = was,
                None => {
                    let at = Path::parse(&text[..end]).expect("the beginning of a path is a path");
                    return PatchSight::Created(at, tree.strip_value(inner.borrow()));
                }
            }
            new = HiddenPlace::In(inner);
        }
        unreachable!("the last name of a path ends it")
    }
}

/// Where a path has come to in a document.
#[derive(Clone, Copy)]
enum HiddenPlace<'a> {
    Top(&'a Document),
    In(&'a Value),
}

impl<'a> HiddenPlace<'a> {
    fn step(self, name: &str) -> Option<&'a Value> {
        match self {
            Self::Top(document) | Self::In(Value::Object(document)) => document.get(name),
            Self::In(Value::Array(items)) => items.get(name.parse::<usize>().ok()?),
            Self::In(_) => None,
        }
    }

    fn is_container(self) -> bool {
        matches!(
            self,
            Self::Top(_) | Self::In(Value::Object(_) | Value::Array(_))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Fields;

    fn document(json: &str) -> Document {
        serde_json::from_str(json).expect("the test's own JSON")
    }

    fn value(json: &str) -> Value {
        serde_json::from_str(json).expect("the test's own JSON")
    }

    fn path(text: &str) -> Path {
        Path::parse(text).expect("the test's own path")
    }

    /// The patch as who does not see `hide` gets it.
    fn stripped(hide: &str, before: &str, set: &str, unset: &[&str]) -> String {
        let hidden = Hidden::parse(&value(hide), "hide").expect("good paths");
        let set = document(set).into_iter();
        let patch = Patch {
            set: set.map(|(name, value)| (path(&name), value)).collect(),
            unset: unset.iter().map(|name| path(name)).collect(),
        };
        let before = document(before);
        let after = patch.apply(&before).expect("it fits");
        let left = hidden.strip_patch(&patch, &before, &after);
        assert_eq!(
            left.apply(&hidden.strip(&before)),
            Ok(hidden.strip(&after)),
            "what was seen before, patched, is what is seen after"
        );
        let fields = Fields::all()
            .without(&hidden, "")
            .expect("no field is named");
        assert_eq!(fields.project_patch(&patch, &before, &after), *left);
        serde_json::to_string(&*left).expect("a patch is JSON")
    }

    #[test]
    fn a_patch_says_nothing_of_what_is_hidden() {
        for (hide, before, set, unset, left) in [
            (
                r#"["s"]"#,
                r#"{"a":1,"s":1}"#,
                r#"{"a":2,"s":2}"#,
                &[][..],
                r#"{"set":{"a":2},"unset":[]}"#,
            ),
            (
                r#"["s"]"#,
                r#"{"s":{"x":1}}"#,
                r#"{"s.x":2}"#,
                &["s.y"],
                r#"{"set":{},"unset":[]}"#,
            ),
            (
                r#"["s"]"#,
                r#"{"s":1,"b":1}"#,
                "{}",
                &["s", "b"],
                r#"{"set":{},"unset":["b"]}"#,
            ),
            (
                r#"["o.s"]"#,
                r#"{"o":{"s":1}}"#,
                r#"{"o":{"s":2,"t":3}}"#,
                &[],
                r#"{"set":{"o":{"t":3}},"unset":[]}"#,
            ),
            (
                r#"["o.s"]"#,
                r#"{"o":{"s":1}}"#,
                r#"{"o":7}"#,
                &[],
                r#"{"set":{"o":7},"unset":[]}"#,
            ),
            (
                r#"["o.s"]"#,
                r#"{"o":{"s":1}}"#,
                "{}",
                &["o"],
                r#"{"set":{},"unset":["o"]}"#,
            ),
            (
                r#"["o.s"]"#,
                "{}",
                r#"{"o.s":2}"#,
                &[],
                r#"{"set":{"o":{}},"unset":[]}"#,
            ),
            (
                r#"["o.s"]"#,
                "{}",
                r#"{"o.s":2,"o.t":3}"#,
                &[],
                r#"{"set":{"o":{"t":3}},"unset":[]}"#,
            ),
            (
                r#"["o.p.s"]"#,
                r#"{"o":{}}"#,
                r#"{"o.p.s.x":2}"#,
                &[],
                r#"{"set":{"o.p":{}},"unset":[]}"#,
            ),
            (
                r#"["l.s"]"#,
                r#"{"l":[{"s":1,"t":1},5]}"#,
                r#"{"l.0.s":2,"l.0.t":2,"l.1":{"s":3}}"#,
                &[],
                r#"{"set":{"l.0.t":2,"l.1":{}},"unset":[]}"#,
            ),
            (
                r#"["o.s"]"#,
                r#"{"o":{"s":1,"t":1},"p":1}"#,
                r#"{"o":{"s":2,"t":1},"p":1}"#,
                &[],
                r#"{"set":{"p":1},"unset":[]}"#,
            ),
            (
                r#"["l.s"]"#,
                r#"{"l":[]}"#,
                r#"{"l.2.s":2}"#,
                &[],
                r#"{"set":{"l.2":{}},"unset":[]}"#,
            ),
            (
                r#"["l.s"]"#,
                r#"{"l":[{"s":1}]}"#,
                "{}",
                &["l.0.s"],
                r#"{"set":{},"unset":[]}"#,
            ),
            (
                r#"["l.s"]"#,
                r#"{"l":[[{"s":1}]]}"#,
                r#"{"l.0.0.s":2}"#,
                &["l.0.0.t"],
                r#"{"set":{},"unset":["l.0.0.t"]}"#,
            ),
            (
                r#"["o.0"]"#,
                r#"{"o":{"0":1,"1":1}}"#,
                r#"{"o.0":2,"o.1":2}"#,
                &[],
                r#"{"set":{"o.1":2},"unset":[]}"#,
            ),
        ] {
            assert_eq!(
                stripped(hide, before, set, unset),
                left,
                "{hide} {before} {set}"
            );
        }
    }
}
