//! The query language: MongoDB's filters, typed and bounded, with one meaning in every store.
//!
//! A query is parsed once into trees that cannot fail; the trees are evaluated in memory (`filter`,
//! `sort`, `fields`) and, where the view is in MongoDB, written down again for it (`store::mongo`). MongoDB
//! narrows, the tree decides: no JSON of a client reaches the database, and no document reaches a
//! client that the tree did not admit. A real MongoDB judges both in the tests.
//!
//! Pure: no async, no clock, no IO. Nothing here knows who asks or what an answer looks like.
//!
//! | asked | means |
//! |---|---|
//! | `filter` | `{"price": {"$lt": 5}, "tags": "new", "author.name": {"$exists": true}}` |
//! | `sort` | `{"price": -1}`, at most [`limits::SORT_FIELDS_MAX`](crate::limits::SORT_FIELDS_MAX) fields; `_id` decides between equals |
//! | `limit` | a number of at least 1 |
//! | `cursor` | the `next` of the page before |
//! | `fields` | `["price", "author.name"]`; `_id` always comes along |
//!
//! Start with [`Query::parse`], then `filter`.

mod cursor;
mod element;
mod fields;
mod filter;
mod follow;
mod footprint;
mod index;
mod keys;
mod operand;
mod parse;
mod path;
mod pattern;
#[cfg(test)]
mod refusals;
mod sort;
mod test;
mod verdict;

use std::cmp::Ordering;

use crate::limits;
use crate::value::{Document, Invalid, Record, Steps, TooCostly, Value, ValueRef, join};
use cursor::CursorToken;
use operand::expected;

pub use cursor::{Cursor, LastRecord};
pub use element::{Conditions, ElementCondition};
pub use fields::Fields;
pub(crate) use fields::{Branch, Wanted, part_of};
pub use filter::Filter;
pub use footprint::filter_bytes;
pub use index::FilterIndex;
pub use sort::{Direction, Sort};

/// The trees of a query, for who writes them down in another language.
#[cfg(feature = "mongodb")]
pub(crate) mod tree {
    pub(crate) use super::filter::{Clause, Node};
    pub(crate) use super::keys::KeyValue;
    pub(crate) use super::path::FieldPath;
    pub(crate) use super::sort::SortKey;
    pub(crate) use super::test::{Relation, Test, Type};
}

/// Which records, in which order, and what of each.
#[derive(Debug, Clone)]
pub struct Query {
    /// Which events.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// How many at most, at least 1; the caller has a bound of its own.
    pub limit: Option<usize>,
    /// After which event.
    pub cursor: Option<Cursor>,
    /// After which record, by its id, as it was after some change: to be looked up, and then its cursor is.
    pub ends_after: Option<LastRecord>,
    /// What of each event.
    pub fields: Fields,
}

impl Query {
    /// Reads `filter`, `sort`, `limit`, `cursor` and `fields`; the caller knows what else may stand there. `at` is where
    /// `asked` stands, e.g. `payload`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(asked: &Document, at: &str) -> Result<Self, Invalid> {
        let mut query = Self::everything();
        if let Some(filter) = asked.get("filter") {
            query.filter = Filter::parse(filter, &join(at, "filter"))?;
        }
        if let Some(sort) = asked.get("sort") {
            query.sort = Sort::parse(sort, &join(at, "sort"))?;
        }
        if let Some(limit) = asked.get("limit") {
            query.limit = Some(parse_limit(limit, &join(at, "limit"))?);
        }
        if let Some(cursor) = asked.get("cursor") {
            let at = join(at, "cursor");
            match CursorToken::parse(cursor, &query.filter, &query.sort, &at)? {
                CursorToken::Keys(cursor) => query.cursor = Some(cursor),
                CursorToken::Record(last) => query.ends_after = Some(last),
            }
        }
        if let Some(fields) = asked.get("fields") {
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
            cursor: None,
            ends_after: None,
            fields: Fields::all(),
        }
    }

    /// Whether the filter matches and the record comes after the cursor.
    ///
    /// # Errors
    /// If there are not enough steps to tell.
    pub fn admits(&self, record: &impl Record, steps: &Steps) -> Result<bool, TooCostly> {
        Ok(self.filter.matches(record, steps)? && self.is_ahead(record, steps)?)
    }

    /// The same query, which goes on after this place in its order.
    pub fn after(&self, place: Cursor) -> Self {
        Self {
            cursor: Some(place),
            ends_after: None,
            ..self.clone()
        }
    }

    /// The same query, which goes on after this record.
    ///
    /// # Errors
    /// If there are not enough steps to find the record's place.
    pub fn from(&self, record: &impl Record, steps: &Steps) -> Result<Self, TooCostly> {
        Ok(self.after(self.place_of(record, steps)?))
    }

    /// The cursor that goes on after this record, which is as it was after change `seq`. Short, whatever its keys.
    pub fn cursor_after(&self, record: &impl Record, seq: u64) -> String {
        let keys = self
            .sort
            .keys_of(record, &Steps::new(limits::MATCH_STEPS_INLINE));
        let id = match record.field("_id") {
            Some(ValueRef::String(id)) => id,
            _ => "",
        };
        CursorToken::token(keys.as_ref().ok(), (id, seq), &self.filter, &self.sort)
    }

    /// The order of two records in the answer, however long it takes to tell.
    pub fn compare(&self, a: &impl Record, b: &impl Record) -> Ordering {
        self.sort.compare(a, b)
    }

    /// The record's place in the answer, kept apart from the record.
    ///
    /// # Errors
    /// If there are not enough steps to find it.
    pub fn place_of(&self, record: &impl Record, steps: &Steps) -> Result<Cursor, TooCostly> {
        Ok(Cursor::at(&self.sort.keys_of(record, steps)?, &self.sort))
    }

    /// The order of two places.
    pub fn compare_places(&self, a: &Cursor, b: &Cursor) -> Ordering {
        self.sort
            .compare_keys(&a.keys(), &b.keys(), self.sort.members())
    }

    /// The order of a record and a place.
    ///
    /// # Errors
    /// If there are not enough steps to tell.
    pub fn compare_with_place(
        &self,
        record: &impl Record,
        place: &Cursor,
        steps: &Steps,
    ) -> Result<Ordering, TooCostly> {
        self.sort.compare_with(record, &place.keys(), steps)
    }

    /// The direction of the answer if it is in the order of ids, and nothing else decides.
    pub fn id_order(&self) -> Option<Direction> {
        let first = self.sort.keys().first()?;
        first.is_id().then_some(first.direction)
    }

    /// Whether fields beside the id decide the order, and more than one.
    pub fn sorts_by_several(&self) -> bool {
        self.sort.keys().iter().filter(|key| !key.is_id()).count() > 1
    }

    /// The id after which an answer in the order of ids goes on.
    pub fn after_id(&self) -> Option<&str> {
        self.id_order()?;
        self.cursor.as_ref()?.first_text()
    }

    /// Whether it takes more than a look at some events: those with an id, or the next ones in the order of ids.
    pub fn goes_through_all(&self) -> bool {
        self.filter.pinned_ids().is_none()
            && (self.id_order().is_none() || !self.filter.is_everything())
    }

    fn is_ahead(&self, record: &impl Record, steps: &Steps) -> Result<bool, TooCostly> {
        let Some(cursor) = &self.cursor else {
            return Ok(true);
        };
        let order = self.sort.compare_with(record, &cursor.keys(), steps)?;
        Ok(order.is_gt())
    }
}

fn parse_limit(value: &Value, at: &str) -> Result<usize, Invalid> {
    match value {
        Value::Int(number @ 1..) => Ok(usize::try_from(*number).unwrap_or(usize::MAX)),
        Value::Int(_) => Err(Invalid::new(at, "expected an integer of at least 1")),
        _ => Err(expected("an integer of at least 1", value, at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Query, Invalid> {
        let asked: Document = serde_json::from_str(json).expect("the test's own JSON");
        Query::parse(&asked, "payload")
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
