//! The query language: MongoDB's filters, typed and bounded, with one meaning in every store.
//!
//! A query is parsed once into trees. They are evaluated in memory (`matching`, `sort`, `fields`) and, where the view
//! is in MongoDB, translated for it (`store::mongo`). MongoDB narrows, the tree decides: no JSON of a client reaches
//! the database, and no document reaches a client that the tree did not match. The tests compare both with a real
//! MongoDB.
//!
//! ```text
//! parse -> tree <- matching, index      filter = parse + matching; element: the conditions of $pull
//! path, pattern, verdict                below all of them
//! sort, cursor, fields, hidden, shape   order, pages, projection, what nothing may touch, what logs say
//! count, grouping                       how many match, of which values, and what they sum up to
//! ```
//!
//! Pure: no async, no clock, no IO. Nothing here knows requests or answers.
//!
//! | name | value |
//! |---|---|
//! | `filter` | `{"price": {"$lt": 5}, "tags": "new", "author.name": {"$exists": true}}` |
//! | `sort` | `{"price": -1}`, at most [`limits::SORT_FIELDS_MAX`] fields; `_id` decides between equals |
//! | `limit` | a number of at least 1, or 0 beside `count` |
//! | `count` | `true`: it is told as well how many match in all |
//! | `cursor` | the `next` of the page before |
//! | `fields` | `["price", "author.name"]`; `_id` is always among them |
//!
//! Start with [`Query::parse`], then `filter`.

mod count;
mod cursor;
mod element;
mod fields;
mod filter;
mod grouping;
mod hidden;
mod index;
mod matching;
mod memory;
mod parse;
mod path;
mod pattern;
mod shape;
mod sort;
mod tree;
mod verdict;

use std::cmp::Ordering;

use crate::limits;
use crate::value::{
    Document, Invalid, Record, Steps, TooCostly, Value, ValueRef, expect_flag, expected, join,
};
use cursor::CursorToken;

pub use count::Count;
pub(crate) use cursor::not_ours;
pub use cursor::{Cursor, LastRecord};
pub use element::{Conditions, ElementCondition};
pub use fields::Fields;
pub(crate) use fields::{FieldTree, Selection, part_of};
pub use filter::Filter;
pub use grouping::{Group, GroupError, Grouping, Groups};
pub use hidden::{HIDDEN, Hidden};
pub use index::FilterIndex;
pub use memory::filter_bytes;
pub use sort::{Direction, Sort};

/// What an index, and a translation into another language, read of a query.
pub(crate) use self::{
    path::{FieldPath, Leaf, Segment},
    pattern::Pattern,
    sort::{KeyValue, SortKey},
    tree::{Clause, FilterNode, Relation, Test, Type},
};

/// The records of an answer: which, in which order, and which fields of each.
#[derive(Debug, Clone)]
pub struct Query {
    /// Which events.
    pub filter: Filter,
    /// Their order.
    pub sort: Sort,
    /// The most records, at least 1 unless they are counted; the caller has a bound of its own.
    pub limit: Option<usize>,
    /// Whether it is told as well how many records match the filter, before and after the cursor and beyond the limit.
    pub counts: bool,
    /// The position in the order that the answer begins after.
    pub cursor: Option<Cursor>,
    /// Set instead of `cursor` if the token names a record: whoever has the store looks up its keys, and calls `from`.
    pub ends_after: Option<LastRecord>,
    /// The fields of each event.
    pub fields: Fields,
    /// Of a read of the past: only what there is now as well, and what this matches as it is now.
    pub seen_now: Option<Filter>,
}

impl Query {
    /// Parses `filter`, `sort`, `limit`, `count`, `cursor` and `fields` of a request; the caller checks all other names. `at` is
    /// the path of the request, e.g. `payload`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(request: &Document, at: &str) -> Result<Self, Invalid> {
        let mut query = Self::everything();
        if let Some(filter) = request.get("filter") {
            query.filter = Filter::parse(filter, &join(at, "filter"))?;
        }
        if let Some(sort) = request.get("sort") {
            query.sort = Sort::parse(sort, &join(at, "sort"))?;
        }
        if let Some(count) = request.get("count") {
            query.counts = expect_flag(count, &join(at, "count"))?;
        }
        if let Some(limit) = request.get("limit") {
            query.limit = Some(parse_limit(limit, query.counts, &join(at, "limit"))?);
        }
        if let Some(cursor) = request.get("cursor") {
            let at = join(at, "cursor");
            match CursorToken::parse(cursor, &query.filter, &query.sort, &at)? {
                CursorToken::Keys(cursor) => query.cursor = Some(cursor),
                CursorToken::Record(last) => query.ends_after = Some(last),
            }
        }
        if let Some(fields) = request.get("fields") {
            query.fields = Fields::parse(fields, &join(at, "fields"))?;
        }
        Ok(query)
    }

    /// Every event, by `_id`.
    pub fn everything() -> Self {
        Self {
            filter: Filter::all(),
            sort: Sort::by_id(),
            limit: None,
            counts: false,
            cursor: None,
            ends_after: None,
            fields: Fields::all(),
            seen_now: None,
        }
    }

    /// Whether the record is in the answer: the filter matches, and it comes after the cursor.
    ///
    /// # Errors
    /// If the steps run out before.
    pub fn admits(&self, record: &impl Record, steps: &Steps) -> Result<bool, TooCostly> {
        Ok(self.filter.matches(record, steps)? && self.is_ahead(record, steps)?)
    }

    /// Whether a read of the past may tell of a record, by what it is now; `None` is one that is gone.
    ///
    /// # Errors
    /// If the steps run out before.
    pub fn is_seen_now(
        &self,
        current: Option<&impl Record>,
        steps: &Steps,
    ) -> Result<bool, TooCostly> {
        match (&self.seen_now, current) {
            (None, _) => Ok(true),
            (Some(_), None) => Ok(false),
            (Some(rule), Some(current)) => rule.matches(current, steps),
        }
    }

    /// The same query, which goes on after this position in its order.
    pub fn after(&self, cursor: Cursor) -> Self {
        Self {
            cursor: Some(cursor),
            ends_after: None,
            ..self.clone()
        }
    }

    /// The same query, which goes on after this record.
    ///
    /// # Errors
    /// If the steps run out before the record's keys are known.
    pub fn from(&self, record: &impl Record, steps: &Steps) -> Result<Self, TooCostly> {
        Ok(self.after(self.cursor_of(record, steps)?))
    }

    /// The token of the page that goes on after this record, which is as of `seq`.
    pub fn cursor_token(&self, record: &impl Record, seq: u64) -> String {
        let keys = self
            .sort
            .keys_of(record, &Steps::new(limits::MATCH_STEPS_INLINE));
        let id = match record.field("_id") {
            Some(ValueRef::String(id)) => id,
            _ => "",
        };
        CursorToken::token(keys.as_ref().ok(), (id, seq), &self.filter, &self.sort)
    }

    /// The order of two records in the answer, however many steps it takes.
    pub fn compare(&self, a: &impl Record, b: &impl Record) -> Ordering {
        self.sort.compare(a, b)
    }

    /// The record's position in the answer, which outlives the record.
    ///
    /// # Errors
    /// If the steps run out before its keys are known.
    pub fn cursor_of(&self, record: &impl Record, steps: &Steps) -> Result<Cursor, TooCostly> {
        Ok(Cursor::after(
            &self.sort.keys_of(record, steps)?,
            &self.sort,
        ))
    }

    /// The order of two positions.
    pub fn compare_cursors(&self, a: &Cursor, b: &Cursor) -> Ordering {
        self.sort
            .compare_keys(&a.keys(), &b.keys(), self.sort.all_keys())
    }

    /// The order of a record and a position.
    ///
    /// # Errors
    /// If the steps run out before.
    pub fn compare_with_cursor(
        &self,
        record: &impl Record,
        cursor: &Cursor,
        steps: &Steps,
    ) -> Result<Ordering, TooCostly> {
        self.sort.compare_with(record, &cursor.keys(), steps)
    }

    /// The direction of the answer, if ids alone decide its order.
    pub fn id_order(&self) -> Option<Direction> {
        let first = self.sort.keys().first()?;
        first.is_id().then_some(first.direction)
    }

    /// Whether more than one field beside the id decides the order.
    pub fn sorts_by_several(&self) -> bool {
        self.sort.keys().iter().filter(|key| !key.is_id()).count() > 1
    }

    /// The id that an answer in the order of ids begins after.
    pub fn after_id(&self) -> Option<&str> {
        self.id_order()?;
        self.cursor.as_ref()?.first_text()
    }

    /// Whether every event must be looked at: not only those with some ids, or the next ones in the order of ids.
    pub fn scans_all_events(&self) -> bool {
        self.filter.pinned_ids().is_none()
            && (self.id_order().is_none() || !self.filter.is_everything())
    }

    /// Whether answering it may take looking at every event: for the page, or to count them.
    pub fn may_scan(&self) -> bool {
        self.scans_all_events() || (self.counts && self.filter.pinned_ids().is_none())
    }

    /// The query of all that it counts, in any order.
    pub(crate) fn of_all_matches(&self) -> Self {
        Self {
            filter: self.filter.clone(),
            seen_now: self.seen_now.clone(),
            ..Self::everything()
        }
    }

    fn is_ahead(&self, record: &impl Record, steps: &Steps) -> Result<bool, TooCostly> {
        let Some(cursor) = &self.cursor else {
            return Ok(true);
        };
        let order = self.sort.compare_with(record, &cursor.keys(), steps)?;
        Ok(order.is_gt())
    }
}

/// Who asks for a count may do without a page.
fn parse_limit(value: &Value, counts: bool, at: &str) -> Result<usize, Invalid> {
    match value {
        Value::Int(number @ 1..) => Ok(usize::try_from(*number).unwrap_or(usize::MAX)),
        Value::Int(0) if counts => Ok(0),
        Value::Int(0) => {
            let reason = "expected an integer of at least 1, or of 0 with count";
            Err(Invalid::new(at, reason))
        }
        Value::Int(_) => Err(Invalid::new(at, "expected an integer of at least 1")),
        _ => Err(expected("an integer of at least 1", value, at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Query, Invalid> {
        let request: Document = serde_json::from_str(json).expect("the test's own JSON");
        Query::parse(&request, "payload")
    }

    #[test]
    fn nothing_asked_is_everything_by_id() {
        let query = parse(r#"{"other":1}"#).expect("other names are the caller's");
        let record = |id: &str| Document::from_iter([("_id", Value::from(id))]);
        let steps = Steps::unbounded();
        assert_eq!(query.admits(&record("a"), &steps), Ok(true));
        assert!(query.fields.is_all() && query.limit.is_none());
        assert!(query.compare(&record("a"), &record("b")).is_lt());
    }

    #[test]
    fn a_limit_is_an_integer_of_at_least_one() {
        assert_eq!(
            parse(r#"{"limit":1}"#).expect("a good limit").limit,
            Some(1)
        );
        for limit in ["0", "-1", "1.0", r#""1""#, "null"] {
            let invalid = parse(&format!(r#"{{"limit":{limit}}}"#)).expect_err("it is refused");
            assert_eq!(invalid.path, "payload.limit");
            assert!(
                invalid
                    .reason
                    .starts_with("expected an integer of at least 1")
            );
        }
    }

    #[test]
    fn a_limit_may_be_nothing_where_events_are_counted() {
        let counted = parse(r#"{"limit":0,"count":true}"#).expect("a count alone");
        assert!(counted.counts && counted.limit == Some(0) && counted.may_scan());
        let ids = parse(r#"{"count":true,"filter":{"_id":"e"}}"#).expect("a count");
        assert!(!ids.may_scan(), "it looks the ids up");
        for request in [
            r#"{"limit":0,"count":false}"#,
            r#"{"limit":-1,"count":true}"#,
        ] {
            let invalid = parse(request).expect_err("it is refused");
            assert_eq!(invalid.path, "payload.limit", "{request}");
        }
        let invalid = parse(r#"{"count":1}"#).expect_err("it is refused");
        assert_eq!(
            invalid.to_string(),
            "payload.count: expected true or false, found an integer"
        );
    }

    #[test]
    fn offenders_are_named_from_the_messages_root() {
        for (json, path) in [
            (
                r#"{"filter":{"a":{"$where":"x"}}}"#,
                "payload.filter.a.$where",
            ),
            (r#"{"sort":{"a":0}}"#, "payload.sort.a"),
            (r#"{"cursor":"x"}"#, "payload.cursor"),
            (r#"{"cursor":1}"#, "payload.cursor"),
            (r#"{"fields":["a",""]}"#, "payload.fields.1"),
        ] {
            assert_eq!(parse(json).expect_err("it is refused").path, path, "{json}");
        }
    }
}
