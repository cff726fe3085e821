//! Dotted paths: parsed once, then followed through documents and arrays as MongoDB follows them.
//!
//! A path can lead to many values, because it fans out over the documents of an array. It can lead to a missing value,
//! or to none at all, which is not the same. Following a path allocates nothing.

use super::verdict::{Verdict, any};
use crate::limits;
use crate::value::{Document, Invalid, Record, Steps, TooCostly, Value, ValueRef};

/// Names that a look-up compares, or elements that are skipped, in about one step.
const PASSED_PER_STEP: usize = 4;

/// A path such as `a.0.b`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FieldPath {
    text: String,
    segments: Vec<Segment>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Segment {
    pub(crate) name: String,
    /// The index that the name may also mean in an array; `None` for `01`, which is not how an index is written.
    pub(crate) index: Option<usize>,
}

/// What happens where a path ends at an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// Its elements are visited, then the array itself.
    Elements,
    /// The array alone is visited.
    Whole,
}

/// Something with values by name: a record, or an array as a document of its elements by index.
pub(crate) trait Lookup {
    fn named(&self, segment: &Segment) -> Option<ValueRef<'_>>;

    /// How many names a look-up may compare.
    fn names(&self) -> usize;
}

impl<R: Record> Lookup for R {
    fn named(&self, segment: &Segment) -> Option<ValueRef<'_>> {
        self.field(&segment.name)
    }

    fn names(&self) -> usize {
        self.width()
    }
}

/// An array as a document whose fields are named `0`, `1`, `2` …
pub(super) struct IndexedArray<'a>(pub(super) &'a [Value]);

impl Lookup for IndexedArray<'_> {
    fn named(&self, segment: &Segment) -> Option<ValueRef<'_>> {
        self.0.get(segment.index?).map(Value::borrow)
    }

    fn names(&self) -> usize {
        0
    }
}

impl FieldPath {
    /// Parses a dotted path; `at` is its own path in the message.
    ///
    /// Refuses names that no stored document can have, instead of never finding them.
    pub(crate) fn parse(text: &str, at: &str) -> Result<Self, Invalid> {
        let segments: Vec<Segment> = text.split('.').map(Segment::new).collect();
        if segments.len() > limits::PATH_SEGMENTS_MAX {
            let reason = format!(
                "a path must not have more than {} segments",
                limits::PATH_SEGMENTS_MAX
            );
            return Err(Invalid::new(at, reason));
        }
        if let Some(reason) = segments.iter().find_map(|segment| offence(&segment.name)) {
            return Err(Invalid::new(at, reason));
        }
        let text = text.to_owned();
        Ok(Self { text, segments })
    }

    /// The path to the only field of a record that has one, whatever its name.
    pub(super) fn to_element() -> Self {
        let segments = vec![Segment::new("")];
        let text = String::new();
        Self { text, segments }
    }

    /// The path as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether any value that the path leads to passes; `None` is a missing one.
    ///
    /// A number on the path leads into an array twice, to the element of that index and to the fields of that name,
    /// so with arrays in arrays it can lead to very many values.
    pub(crate) fn any<F>(
        &self,
        root: &impl Lookup,
        leaf: Leaf,
        steps: &Steps,
        passes: &F,
    ) -> Verdict
    where
        F: Fn(Option<ValueRef<'_>>) -> Verdict,
    {
        let traversal = Traversal {
            leaf,
            steps,
            passes,
        };
        let (first, beyond) = self
            .segments
            .split_first()
            .expect("splitting text yields at least one segment");
        traversal.pass(root.names())?;
        match root.named(first) {
            None => traversal.visit(None),
            Some(value) => traversal.follow(value, beyond),
        }
    }
}

impl FieldPath {
    /// The value at the path, or that it is missing; `None` if there is an array on the way or at the end, so that there
    /// may be several.
    pub(crate) fn plain<'a>(&self, record: &'a impl Record) -> Option<Option<ValueRef<'a>>> {
        let (first, beyond) = self
            .segments
            .split_first()
            .expect("splitting text yields at least one segment");
        let mut value = record.field(&first.name);
        for segment in beyond {
            value = match value {
                Some(ValueRef::Object(document)) => document.get(&segment.name).map(Value::borrow),
                Some(ValueRef::Array(_)) => return None,
                _ => return Some(None),
            };
        }
        match value {
            Some(ValueRef::Array(_)) => None,
            plain => Some(plain),
        }
    }
}

fn offence(name: &str) -> Option<String> {
    match name {
        "" => Some("a path must not have empty segments".to_owned()),
        _ if name.starts_with('$') => Some(format!("{name} cannot be the name of a field")),
        _ if name.contains('\0') => Some("a path must not contain NUL".to_owned()),
        _ => None,
    }
}

impl Segment {
    pub(super) fn new(name: &str) -> Self {
        let canonical = name == "0" || !name.starts_with(['0', '+']);
        Self {
            name: name.to_owned(),
            index: canonical.then(|| name.parse().ok()).flatten(),
        }
    }
}

/// Following one path through one record.
struct Traversal<'a, F> {
    leaf: Leaf,
    steps: &'a Steps,
    passes: &'a F,
}

impl<F> Traversal<'_, F>
where
    F: Fn(Option<ValueRef<'_>>) -> Verdict,
{
    fn pass(&self, count: usize) -> Result<(), TooCostly> {
        self.steps.take(1 + (count / PASSED_PER_STEP) as u64)
    }

    /// Takes no step: the one to reach the value counts for it.
    fn visit(&self, value: Option<ValueRef<'_>>) -> Verdict {
        (self.passes)(value)
    }

    fn visit_each(&self, items: &[Value]) -> Verdict {
        any(items, |item| {
            self.steps.take(1)?;
            self.visit(Some(item.borrow()))
        })
    }

    fn follow(&self, value: ValueRef<'_>, rest: &[Segment]) -> Verdict {
        let Some((first, beyond)) = rest.split_first() else {
            return self.arrive(value);
        };
        match value {
            ValueRef::Object(document) => self.step(document, first, beyond),
            ValueRef::Array(items) => self.fan_out(items, rest),
            ValueRef::Null
            | ValueRef::Bool(_)
            | ValueRef::Int(_)
            | ValueRef::Float(_)
            | ValueRef::String(_) => self.visit(None),
        }
    }

    fn step(&self, document: &Document, to: &Segment, beyond: &[Segment]) -> Verdict {
        self.pass(document.len())?;
        match document.get(&to.name) {
            None => self.visit(None),
            Some(value) => self.follow(value.borrow(), beyond),
        }
    }

    fn arrive(&self, value: ValueRef<'_>) -> Verdict {
        if let (ValueRef::Array(items), Leaf::Elements) = (value, self.leaf)
            && self.visit_each(items)?
        {
            return Ok(true);
        }
        self.visit(Some(value))
    }

    /// A number on the path means both a field of the array's documents and an index of the array.
    ///
    /// NOTE: elements that are not documents lead to nothing, not even to a missing value.
    fn fan_out(&self, items: &[Value], rest: &[Segment]) -> Verdict {
        let (first, beyond) = rest
            .split_first()
            .expect("an array is fanned out only for what is left of a path");
        self.pass(items.len())?;
        let documents = items.iter().filter_map(Value::as_object);
        if any(documents, |document| self.step(document, first, beyond))? {
            return Ok(true);
        }
        match first.index.and_then(|index| items.get(index)) {
            Some(item) => self.at_index(item, beyond),
            None => Ok(false),
        }
    }

    /// An array that the path names by its index is not opened again: `a.0` is that array, not its elements.
    fn at_index(&self, item: &Value, rest: &[Segment]) -> Verdict {
        if rest.is_empty() {
            return self.visit(Some(item.borrow()));
        }
        match item {
            Value::Object(_) => self.follow(item.borrow(), rest),
            Value::Array(items) => self.fan_out(items, rest),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_as_arrays_write_it_is_an_index() {
        for (name, index) in [
            ("0", Some(0)),
            ("12", Some(12)),
            ("01", None),
            ("+1", None),
            ("-1", None),
            ("a", None),
        ] {
            assert_eq!(Segment::new(name).index, index, "{name}");
        }
    }

    #[test]
    fn paths_that_no_document_can_have_are_refused() {
        for text in ["", ".a", "a.", "a..b", "$a", "a.$b", "a\0"] {
            let invalid = FieldPath::parse(text, "payload.filter").expect_err("it is refused");
            assert_eq!(invalid.path, "payload.filter", "{text:?}");
        }
    }

    #[test]
    fn a_path_is_bounded_exactly() {
        let path = |segments: usize| vec!["a"; segments].join(".");
        assert!(FieldPath::parse(&path(limits::PATH_SEGMENTS_MAX), "").is_ok());
        assert!(FieldPath::parse(&path(limits::PATH_SEGMENTS_MAX + 1), "").is_err());
    }
}
