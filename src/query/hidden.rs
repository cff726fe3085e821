//! Fields that are hidden from a client: what it reads has them nowhere, and what it asks must not touch them.

use std::sync::Arc;

use super::fields::{FieldTree, Fields, Selection};
use super::filter::Filter;
use super::path::{FieldPath, Segment};
use super::sort::Sort;
use super::tree::FilterNode;
use crate::limits;
use crate::value::{Document, Invalid, Record, Value, ValueRef, expect_array, expect_text, join};

/// Paths that are hidden, with all that they lead to. As in [`Fields`] a path reaches into every document of an array,
/// and a number is the name of a field. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hidden {
    tree: Option<Arc<FieldTree>>,
}

impl Hidden {
    /// Parses a list of paths such as `["secret", "owner.email"]`; `at` is its path in the file.
    ///
    /// # Errors
    /// The first offender, with its path. What the server says of an event, such as `_id`, cannot be hidden.
    pub fn parse(value: &Value, at: &str) -> Result<Self, Invalid> {
        let paths = expect_array(value, at)?;
        if paths.len() > limits::PROJECTION_FIELDS_MAX {
            let reason = format!("more than {} paths", limits::PROJECTION_FIELDS_MAX);
            return Err(Invalid::new(at, reason));
        }
        let mut tree = FieldTree::default();
        for (index, path) in paths.iter().enumerate() {
            let at = join(at, &index.to_string());
            let text = expect_text(path, &at)?;
            if text.starts_with('_') {
                let reason = format!("{text} is the server's own and cannot be hidden");
                return Err(Invalid::new(at, reason));
            }
            if !tree.add(FieldPath::parse(text, &at)?.segments()) {
                let reason = format!("{text} overlaps with another path");
                return Err(Invalid::new(at, reason));
            }
        }
        Ok(Self {
            tree: (!tree.is_empty()).then(|| Arc::new(tree)),
        })
    }

    /// No fields.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Whether no field is hidden.
    pub fn is_nothing(&self) -> bool {
        self.tree.is_none()
    }

    /// The paths, in the order in which they were given.
    pub fn paths(&self) -> Vec<String> {
        self.tree
            .as_ref()
            .map(|tree| tree.paths())
            .unwrap_or_default()
    }

    pub(crate) fn tree(&self) -> Option<&FieldTree> {
        self.tree.as_deref()
    }

    /// Whether a path leads to a hidden field, out of one, or towards one: whoever reads or sets what is there reads or
    /// sets what is hidden. A number may be a place in an array, which hides as its elements do.
    pub fn is_touched_by(&self, path: &str) -> bool {
        let segments: Vec<Segment> = path.split('.').map(Segment::new).collect();
        self.touches(&segments)
    }

    fn touches(&self, segments: &[Segment]) -> bool {
        self.tree()
            .is_some_and(|tree| tree.is_touched(segments, true))
    }

    /// Refuses a filter that touches a hidden field; `at` is its path in the message.
    ///
    /// # Errors
    /// The path that it must not name.
    pub fn check_filter(&self, filter: &Filter, at: &str) -> Result<(), Invalid> {
        match self.tree() {
            None => Ok(()),
            Some(_) => refuse(self.path_in(&filter.root), at),
        }
    }

    /// The same of an order.
    ///
    /// # Errors
    /// The path that it must not name.
    pub fn check_sort(&self, sort: &Sort, at: &str) -> Result<(), Invalid> {
        let mut paths = sort.keys().iter().map(|key| &key.path);
        let touched = paths.find(|path| self.touches(path.segments()));
        refuse(touched.map(FieldPath::as_str), at)
    }

    /// The first path of a condition that touches a hidden field. What is asked of elements of an array need not be looked
    /// at: the path to an array touches what is hidden in its elements.
    fn path_in<'a>(&self, node: &'a FilterNode) -> Option<&'a str> {
        match node {
            FilterNode::And(nodes) | FilterNode::Or(nodes) | FilterNode::Nor(nodes) => {
                nodes.iter().find_map(|node| self.path_in(node))
            }
            FilterNode::Field { path, .. } => {
                self.touches(path.segments()).then_some(path.as_str())
            }
        }
    }

    /// The fields of a record without those that are hidden.
    pub fn strip(&self, record: &impl Record) -> Document {
        record
            .fields()
            .filter_map(|(name, value)| {
                let selection = self.tree().and_then(|tree| tree.get(name));
                without(value, selection).map(|value| (name, value))
            })
            .collect()
    }
}

fn refuse(touched: Option<&str>, at: &str) -> Result<(), Invalid> {
    match touched {
        None => Ok(()),
        Some(path) => Err(Invalid::new(join(at, path), HIDDEN)),
    }
}

/// The same whether or not there is such a field.
pub const HIDDEN: &str = "your role may not touch this field";

impl FieldTree {
    fn is_touched(&self, path: &[Segment], is_top: bool) -> bool {
        let Some((first, beyond)) = path.split_first() else {
            return true;
        };
        let is_named = match self.get(&first.name) {
            None => false,
            Some(Selection::Whole) => true,
            Some(Selection::Part(tree)) => tree.is_touched(beyond, false),
        };
        is_named || (first.index.is_some() && !is_top && self.is_touched(beyond, false))
    }

    /// A document without the fields of this tree.
    pub(crate) fn strip(&self, document: &Document) -> Document {
        let fields = document.iter();
        let left = fields
            .filter_map(|(name, value)| Some((name, without(value.borrow(), self.get(name))?)));
        left.collect()
    }

    /// A value without what this tree selects in it.
    pub(crate) fn strip_value(&self, value: ValueRef<'_>) -> Value {
        match value {
            ValueRef::Object(document) => self.strip(document).into(),
            ValueRef::Array(items) => {
                let items = items.iter().map(|item| self.strip_value(item.borrow()));
                Value::Array(items.collect())
            }
            scalar => scalar.to_value(),
        }
    }
}

/// A value without what is selected of it; `None` if that is all.
fn without(value: ValueRef<'_>, selection: Option<&Selection>) -> Option<Value> {
    match selection {
        None => Some(value.to_value()),
        Some(Selection::Whole) => None,
        Some(Selection::Part(tree)) => Some(tree.strip_value(value)),
    }
}

impl Fields {
    /// The same fields without those that are hidden.
    ///
    /// # Errors
    /// If one was asked for by name; `at` is the path of the list in the message.
    pub fn without(&self, hidden: &Hidden, at: &str) -> Result<Self, Invalid> {
        if let Some(tree) = &self.selected {
            let paths = tree.paths();
            let touched = paths.iter().find(|path| hidden.is_touched_by(path));
            refuse(touched.map(String::as_str), at)?;
        }
        Ok(Self {
            selected: self.selected.clone(),
            hidden: hidden.clone(),
            has_authors: self.has_authors,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).expect("the test's own JSON")
    }

    fn hidden(json: &str) -> Hidden {
        Hidden::parse(&value(json), "hide").expect("good paths")
    }

    #[test]
    fn what_is_hidden_is_nowhere_also_not_in_arrays() {
        let hidden = hidden(r#"["secret","owner.email","tags.0"]"#);
        let record = r#"{"a":1,"secret":{"x":1},"owner":[{"email":1,"name":2},[{"email":3}],4],"tags":["x",{"0":1}]}"#;
        let record: Document = serde_json::from_str(record).expect("the test's own JSON");
        let left = serde_json::to_string(&hidden.strip(&record)).expect("JSON");
        assert_eq!(
            left,
            r#"{"a":1,"owner":[{"name":2},[{}],4],"tags":["x",{}]}"#
        );
        assert_eq!(Hidden::nothing().strip(&record), record);
    }

    #[test]
    fn a_path_touches_what_is_hidden_from_above_below_and_through_arrays() {
        let hidden = hidden(r#"["secret","owner.email"]"#);
        for path in [
            "secret",
            "secret.x",
            "secret.0",
            "owner",
            "owner.email",
            "owner.email.x",
            "owner.0",
            "owner.0.email",
            "owner.3.1.email.x",
        ] {
            assert!(hidden.is_touched_by(path), "{path}");
        }
        for path in [
            "a",
            "owner.name",
            "owner.0.name",
            "0",
            "0.secret",
            "email",
            "secrets",
        ] {
            assert!(!hidden.is_touched_by(path), "{path}");
        }
    }

    #[test]
    fn a_filter_that_touches_what_is_hidden_is_refused_with_the_path() {
        let hidden = hidden(r#"["secret","items.price"]"#);
        let refused = |json: &str| {
            let filter = Filter::parse(&value(json), "payload.filter").expect("a good filter");
            let checked = hidden.check_filter(&filter, "payload.filter");
            checked.err().map(|invalid| invalid.path)
        };
        for (filter, path) in [
            (r#"{"secret":1}"#, "secret"),
            (r#"{"secret.x":{"$exists":false}}"#, "secret.x"),
            (
                r#"{"$or":[{"a":1},{"$nor":[{"secret":{"$gt":1}}]}]}"#,
                "secret",
            ),
            (r#"{"items":{"$size":2}}"#, "items"),
            (r#"{"items":{"$elemMatch":{"price":1}}}"#, "items"),
            (
                r#"{"items.3":{"$not":{"$elemMatch":{"price":1}}}}"#,
                "items.3",
            ),
            (r#"{"items.0.price":1}"#, "items.0.price"),
            (
                r#"{"a":{"$not":{"$elemMatch":{"b":1}}},"items.price":1}"#,
                "items.price",
            ),
        ] {
            let at = format!("payload.filter.{path}");
            assert_eq!(refused(filter), Some(at), "{filter}");
        }
        for filter in [
            "{}",
            r#"{"a":1}"#,
            r#"{"items.name":1}"#,
            r#"{"items.name":{"$elemMatch":{"price":1}}}"#,
        ] {
            assert_eq!(refused(filter), None, "{filter}");
        }
    }

    #[test]
    fn orders_and_selections_that_touch_what_is_hidden_are_refused() {
        let hidden = hidden(r#"["secret","owner.email"]"#);
        let sort = |json: &str| Sort::parse(&value(json), "sort").expect("a good order");
        assert!(
            hidden
                .check_sort(&sort(r#"{"a":1,"owner.name":-1}"#), "sort")
                .is_ok()
        );
        let refused = hidden.check_sort(&sort(r#"{"a":1,"owner":-1}"#), "sort");
        assert_eq!(refused.unwrap_err().path, "sort.owner");
        let fields = |json: &str| Fields::parse(&value(json), "fields").expect("good fields");
        assert!(
            fields(r#"["a","owner.name"]"#)
                .without(&hidden, "fields")
                .is_ok()
        );
        for (json, path) in [
            (r#"["a","secret"]"#, "fields.secret"),
            (r#"["owner"]"#, "fields.owner"),
        ] {
            let refused = fields(json).without(&hidden, "fields");
            assert_eq!(refused.unwrap_err().path, path);
        }
    }

    #[test]
    fn what_the_server_says_cannot_be_hidden() {
        for json in [
            r#"["_id"]"#,
            r#"["a","a.b"]"#,
            r#"[1]"#,
            r#""a""#,
            r#"["a..b"]"#,
        ] {
            assert!(Hidden::parse(&value(json), "hide").is_err(), "{json}");
        }
    }
}
