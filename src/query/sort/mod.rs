//! The order of a query's answer: its sort keys (`SortKey`), and the comparison of records by their values
//! (`keys` extracts these).

mod keys;

use std::cmp::Ordering;

use super::path::FieldPath;
use crate::limits;
use crate::value::{
    Invalid, Record, Steps, TooCostly, Value, expect_object, expected, integer, join,
};

pub(crate) use keys::KeyValue;
pub(super) use keys::KeyValues;

/// The keys that decide the order, the first first. `_id` is always among them, so no two events are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sort {
    keys: Vec<SortKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SortKey {
    pub(crate) path: FieldPath,
    pub(crate) direction: Direction,
}

/// Ascending or descending in the order of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Direction {
    Ascending,
    Descending,
}

impl Sort {
    /// Parses `{"a": 1, "b.c": -1}`; `at` is its path in the message.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(value: &Value, at: &str) -> Result<Self, Invalid> {
        let fields = expect_object(value, at)?;
        if fields.len() > limits::SORT_FIELDS_MAX {
            let reason = format!("more than {} fields to sort by", limits::SORT_FIELDS_MAX);
            return Err(Invalid::new(at, reason));
        }
        let mut keys: Vec<SortKey> = Vec::with_capacity(fields.len() + 1);
        for (name, direction) in fields.iter() {
            keys.push(SortKey::parse(name, direction, &join(at, name))?);
        }
        if !keys.iter().any(SortKey::is_id) {
            keys.push(SortKey::id());
        }
        Ok(Self { keys })
    }

    /// By this field alone, and `_id`.
    pub(crate) fn by(path: FieldPath, direction: Direction) -> Self {
        Self {
            keys: vec![SortKey { path, direction }, SortKey::id()],
        }
    }

    /// By `_id`, ascending.
    pub fn by_id() -> Self {
        Self {
            keys: vec![SortKey::id()],
        }
    }

    pub(crate) fn keys(&self) -> &[SortKey] {
        &self.keys
    }

    pub(super) fn compare(&self, a: &impl Record, b: &impl Record) -> Ordering {
        let steps = Steps::unbounded();
        let unbounded = "steps without a bound do not run out";
        let keys = self.keys_of(b, &steps).expect(unbounded);
        self.compare_with(a, &keys, &steps).expect(unbounded)
    }

    /// Compares a record with the keys of another.
    pub(super) fn compare_with(
        &self,
        record: &impl Record,
        keys: &KeyValues<'_>,
        steps: &Steps,
    ) -> Result<Ordering, TooCostly> {
        Ok(self.compare_keys(&self.keys_of(record, steps)?, keys, self.all_keys()))
    }
}

impl SortKey {
    fn parse(name: &str, direction: &Value, at: &str) -> Result<Self, Invalid> {
        let direction = match integer(direction) {
            Some(1) => Direction::Ascending,
            Some(-1) => Direction::Descending,
            Some(_) => return Err(Invalid::new(at, "expected 1 or -1")),
            None => return Err(expected("1 or -1", direction, at)),
        };
        let path = FieldPath::parse(name, at)?;
        Ok(Self { path, direction })
    }

    fn id() -> Self {
        Self {
            path: FieldPath::parse("_id", "").expect("a plain name is a path"),
            direction: Direction::Ascending,
        }
    }

    pub(crate) fn is_id(&self) -> bool {
        self.path.as_str() == "_id"
    }
}

impl Direction {
    pub(crate) fn apply(self, order: Ordering) -> Ordering {
        match self {
            Self::Ascending => order,
            Self::Descending => order.reverse(),
        }
    }

    /// 1 or -1, as MongoDB has it.
    pub(crate) fn as_int(self) -> i32 {
        match self {
            Self::Ascending => 1,
            Self::Descending => -1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Document;

    fn sort(json: &str) -> Result<Sort, Invalid> {
        let value: Value = serde_json::from_str(json).expect("the test's own JSON");
        Sort::parse(&value, "payload.sort")
    }

    fn order(by: &str, a: &str, b: &str) -> Ordering {
        let record =
            |json: &str| -> Document { serde_json::from_str(json).expect("the test's own JSON") };
        sort(by)
            .expect("a good sort")
            .compare(&record(a), &record(b))
    }

    #[test]
    fn an_array_counts_by_its_smallest_going_up_and_its_largest_going_down() {
        let (a, b) = (r#"{"a":[1,9]}"#, r#"{"a":[2,3]}"#);
        assert_eq!(order(r#"{"a":1}"#, a, b), Ordering::Less);
        assert_eq!(order(r#"{"a":-1}"#, a, b), Ordering::Less);
    }

    #[test]
    fn paths_through_one_array_take_their_keys_from_one_element() {
        let (a, b) = (
            r#"{"a":[{"b":1,"c":2},{"b":2,"c":1}]}"#,
            r#"{"a":{"b":1,"c":1.5}}"#,
        );
        assert_eq!(order(r#"{"a.b":1,"a.c":1}"#, a, b), Ordering::Greater);
    }

    #[test]
    fn what_mongodb_refuses_to_sort_has_an_order_too() {
        let parallel = (r#"{"a":[3,1],"b":[4,2]}"#, r#"{"a":1,"b":3}"#);
        assert_eq!(
            order(r#"{"a":1,"b":1}"#, parallel.0, parallel.1),
            Ordering::Less
        );
        let ambiguous = (r#"{"a":[5,{"0":1}]}"#, r#"{"a":[2]}"#);
        assert_eq!(
            order(r#"{"a.0":1}"#, ambiguous.0, ambiguous.1),
            Ordering::Greater
        );
    }

    #[test]
    fn equals_are_told_apart_by_id() {
        assert_eq!(
            order("{}", r#"{"_id":"a"}"#, r#"{"_id":"b"}"#),
            Ordering::Less
        );
        assert_eq!(
            order(r#"{"a":-1}"#, r#"{"_id":"a"}"#, r#"{"_id":"b"}"#),
            Ordering::Less
        );
        assert_eq!(
            order(r#"{"_id":-1}"#, r#"{"_id":"a"}"#, r#"{"_id":"b"}"#),
            Ordering::Greater
        );
    }

    #[test]
    fn offenders_are_named_by_path() {
        for (json, refusal) in [
            (
                r#"["a"]"#,
                "payload.sort: expected an object, found an array",
            ),
            (r#"{"a":2}"#, "payload.sort.a: expected 1 or -1"),
            (
                r#"{"a":"asc"}"#,
                "payload.sort.a: expected 1 or -1, found a string",
            ),
            (
                r#"{"a..b":1}"#,
                "payload.sort.a..b: a path must not have empty segments",
            ),
        ] {
            let invalid = sort(json).expect_err("it is refused");
            assert_eq!(invalid.to_string(), refusal);
        }
    }

    #[test]
    fn the_number_of_fields_is_bounded_exactly() {
        let fields = |count: usize| {
            let fields: Vec<String> = (0..count).map(|n| format!("\"f{n}\":1")).collect();
            format!("{{{}}}", fields.join(","))
        };
        assert!(sort(&fields(limits::SORT_FIELDS_MAX)).is_ok());
        assert!(sort(&fields(limits::SORT_FIELDS_MAX + 1)).is_err());
    }
}
