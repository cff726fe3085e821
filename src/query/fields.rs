//! Projection: the fields of an event that a client asks for.

use super::hidden::Hidden;
use super::path::{FieldPath, Segment};
use crate::limits;
use crate::value::{Document, Invalid, Record, Value, ValueRef, expect_array, expect_text, join};

/// The selected fields: all of them, or `_id` and a tree of paths; without those that are hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    pub(crate) selected: Option<FieldTree>,
    pub(crate) hidden: Hidden,
    /// Whether it is told who caused a change.
    pub(crate) has_authors: bool,
}

/// The selected fields of one document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldTree {
    fields: Vec<(String, Selection)>,
}

/// How much of a field is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    Whole,
    Part(FieldTree),
}

impl Fields {
    /// Parses a list of paths such as `["title", "author.name"]`; `at` is its path in the message.
    ///
    /// # Errors
    /// The first offender, with its path. No path may reach into another, as in MongoDB.
    pub fn parse(value: &Value, at: &str) -> Result<Self, Invalid> {
        let paths = expect_array(value, at)?;
        if paths.len() > limits::PROJECTION_FIELDS_MAX {
            let reason = format!("more than {} fields", limits::PROJECTION_FIELDS_MAX);
            return Err(Invalid::new(at, reason));
        }
        let mut selected = FieldTree::default();
        for (index, path) in paths.iter().enumerate() {
            let at = join(at, &index.to_string());
            let text = expect_text(path, &at)?;
            let path = FieldPath::parse(text, &at)?;
            if !selected.add(path.segments()) {
                return Err(Invalid::new(
                    at,
                    format!("{text} overlaps with another path"),
                ));
            }
        }
        Ok(Self {
            selected: Some(selected),
            hidden: Hidden::nothing(),
            has_authors: true,
        })
    }

    /// This field alone.
    pub(super) fn of(path: &FieldPath) -> Self {
        let mut selected = FieldTree::default();
        selected.add(path.segments());
        Self {
            selected: Some(selected),
            ..Self::all()
        }
    }

    /// Every field.
    pub fn all() -> Self {
        Self {
            selected: None,
            hidden: Hidden::nothing(),
            has_authors: true,
        }
    }

    /// Whether every field is selected and none hidden, so that projecting only copies.
    pub fn is_all(&self) -> bool {
        self.selected.is_none() && self.hidden.is_nothing()
    }

    /// Whether it is told who caused a change, beside the fields of its event.
    pub fn has_authors(&self) -> bool {
        self.has_authors
    }

    /// The same, and who caused a change only if so.
    pub(crate) fn with_authors(self, has_authors: bool) -> Self {
        Self {
            has_authors,
            ..self
        }
    }

    /// The fields that are left out in any case.
    pub(crate) fn hidden(&self) -> &Hidden {
        &self.hidden
    }

    /// The selected fields in the record's order, and always `_id`; without those that are hidden.
    ///
    /// As in MongoDB a path reaches into every document of an array, at any depth of arrays, and other elements are
    /// left out. A number is the name of a field, never an index of an array.
    pub fn project(&self, record: &impl Record) -> Document {
        let Some(tree) = &self.selected else {
            return self.hidden.strip(record);
        };
        let fields = record.fields().filter_map(|(name, value)| {
            let selection = match name {
                "_id" => &Selection::Whole,
                _ => tree.get(name)?,
            };
            selection.of(value).map(|value| (name, value))
        });
        let selected: Document = fields.collect();
        match self.hidden.is_nothing() {
            true => selected,
            false => self.hidden.strip(&selected),
        }
    }
}

impl FieldTree {
    pub(crate) fn get(&self, name: &str) -> Option<&Selection> {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, selection)| selection)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The paths that it was made of.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for (name, selection) in &self.fields {
            match selection {
                Selection::Whole => paths.push(name.clone()),
                Selection::Part(tree) => {
                    let inner = tree.paths().into_iter();
                    paths.extend(inner.map(|path| format!("{name}.{path}")));
                }
            }
        }
        paths
    }

    /// Adds a path; `false` if it leads into another, or another into it.
    pub(super) fn add(&mut self, path: &[Segment]) -> bool {
        let Some((first, beyond)) = path.split_first() else {
            return false;
        };
        let known = self.fields.iter_mut().find(|(name, _)| *name == first.name);
        match known {
            Some((_, Selection::Whole)) => false,
            Some((_, Selection::Part(tree))) => tree.add(beyond),
            None if beyond.is_empty() => {
                self.fields.push((first.name.clone(), Selection::Whole));
                true
            }
            None => {
                let mut tree = Self::default();
                tree.add(beyond);
                self.fields
                    .push((first.name.clone(), Selection::Part(tree)));
                true
            }
        }
    }

    pub(crate) fn project(&self, document: &Document) -> Document {
        document
            .iter()
            .filter_map(|(name, value)| {
                let value = self.get(name)?.of(value.borrow())?;
                Some((name, value))
            })
            .collect()
    }
}

impl Selection {
    fn of(&self, value: ValueRef<'_>) -> Option<Value> {
        match self {
            Self::Whole => Some(value.to_value()),
            Self::Part(tree) => part_of(value, tree),
        }
    }
}

/// The selected part of a value; `None` of a scalar, which has no fields.
pub(crate) fn part_of(value: ValueRef<'_>, tree: &FieldTree) -> Option<Value> {
    match value {
        ValueRef::Object(document) => Some(tree.project(document).into()),
        ValueRef::Array(items) => {
            let parts = items.iter().filter_map(|item| part_of(item.borrow(), tree));
            Some(Value::Array(parts.collect()))
        }
        ValueRef::Null
        | ValueRef::Bool(_)
        | ValueRef::Int(_)
        | ValueRef::Float(_)
        | ValueRef::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).expect("the test's own JSON")
    }

    fn projected(fields: &str, record: &str) -> String {
        let fields = Fields::parse(&value(fields), "payload.fields").expect("good fields");
        let record: Document = serde_json::from_str(record).expect("the test's own JSON");
        serde_json::to_string(&fields.project(&record)).expect("a document is JSON")
    }

    fn refused(fields: &str) -> Invalid {
        Fields::parse(&value(fields), "payload.fields").expect_err("it is refused")
    }

    #[test]
    fn the_selected_fields_come_in_the_records_order_and_the_id_always() {
        let record = r#"{"_id":"e","a":1,"b":{"c":2,"d":3},"e":4}"#;
        for (fields, answer) in [
            (r#"["e","a"]"#, r#"{"_id":"e","a":1,"e":4}"#),
            (r#"["b.d","b.c"]"#, r#"{"_id":"e","b":{"c":2,"d":3}}"#),
            (r#"["b.x"]"#, r#"{"_id":"e","b":{}}"#),
            (r#"["a.x"]"#, r#"{"_id":"e"}"#),
            (r#"["_id"]"#, r#"{"_id":"e"}"#),
            ("[]", r#"{"_id":"e"}"#),
        ] {
            assert_eq!(projected(fields, record), answer, "{fields}");
        }
    }

    #[test]
    fn a_path_reaches_into_the_documents_of_arrays_and_drops_the_rest() {
        let record = r#"{"a":[1,{"b":2,"c":3},[{"b":4},5],{}]}"#;
        assert_eq!(
            projected(r#"["a.b"]"#, record),
            r#"{"a":[{"b":2},[{"b":4}],{}]}"#
        );
        assert_eq!(projected(r#"["a.1"]"#, record), r#"{"a":[{},[{}],{}]}"#);
    }

    #[test]
    fn all_fields_are_a_copy() {
        let record: Document = serde_json::from_str(r#"{"a":[{"b":1}]}"#).expect("JSON");
        assert_eq!(Fields::all().project(&record), record);
    }

    #[test]
    fn paths_that_overlap_are_refused_with_their_path() {
        for fields in [
            r#"["a","a.b"]"#,
            r#"["a.b","a"]"#,
            r#"["a.b.c","a.b"]"#,
            r#"["a","a"]"#,
        ] {
            assert_eq!(refused(fields).path, "payload.fields.1", "{fields}");
        }
        assert_eq!(
            refused(r#"["a",1]"#).to_string(),
            "payload.fields.1: expected a string, found an integer"
        );
        assert_eq!(
            refused(r#""a""#).to_string(),
            "payload.fields: expected an array, found a string"
        );
    }

    #[test]
    fn the_number_of_fields_is_bounded_exactly() {
        let fields = |count: usize| {
            Value::Array((0..count).map(|n| Value::String(format!("f{n}"))).collect())
        };
        assert!(Fields::parse(&fields(limits::PROJECTION_FIELDS_MAX), "").is_ok());
        assert!(Fields::parse(&fields(limits::PROJECTION_FIELDS_MAX + 1), "").is_err());
    }
}
