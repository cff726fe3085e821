//! Groups of records: how many have each value of a field, and what another field sums up to in each.
//!
//! | the path of the field | leads to |
//! |---|---|
//! | ends at a value of any kind | that value: an array is one value, as in MongoDB's `$group` |
//! | goes through an array | an array of what it leads to in its documents |
//! | leads nowhere | no value, which is not null and stands before it |
//!
//! As in [`Fields`] a number is the name of a field. Values that are equal, such as `1` and `1.0`, are one
//! group, which is told by the first of them. A sum leaves out what is no number.

use std::cmp::Ordering;

use super::fields::Fields;
use super::path::{FieldPath, Segment};
use crate::limits;
use crate::value::{
    Document, Invalid, Record, Steps, Sum, TooCostly, Value, ValueRef, compare_within, expect_text,
    join,
};

/// By which field records are grouped, and which is summed up.
#[derive(Debug, Clone)]
pub struct Grouping {
    group: Option<FieldPath>,
    sum: Option<FieldPath>,
}

/// Records that have one value.
#[derive(Debug)]
pub struct Group {
    /// The value; `None` if they have none, or all records are one group.
    pub value: Option<Value>,
    /// How many there are.
    pub count: u64,
    /// What they sum up to, if that is asked.
    pub sum: Option<Sum>,
}

/// The groups of the records so far, in the order of their values.
#[derive(Debug)]
pub struct Groups {
    grouping: Grouping,
    groups: Vec<Group>,
    /// Of the values, about.
    bytes: usize,
}

/// Why records cannot be grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// There are more than [`limits::GROUPS_MAX`], or their values take more than [`limits::GROUP_BYTES_MAX`].
    #[error("more than {} groups, or more than {} KiB of their values", limits::GROUPS_MAX, limits::GROUP_BYTES_MAX / 1024)]
    TooMany,
    /// It takes too long to tell two values apart.
    #[error(transparent)]
    TooCostly(#[from] TooCostly),
}

impl Grouping {
    /// Parses `group` and `sum`, paths that may both be left out; `at` is the path of the request.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(request: &Document, at: &str) -> Result<Self, Invalid> {
        let path = |name: &str| {
            let at = join(at, name);
            let path = request.get(name);
            path.map(|path| FieldPath::parse(expect_text(path, &at)?, &at))
                .transpose()
        };
        Ok(Self {
            group: path("group")?,
            sum: path("sum")?,
        })
    }

    /// The fields that it reads, each with the name under which it was asked for.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, Fields)> {
        let paths = [("group", &self.group), ("sum", &self.sum)];
        let named = paths.into_iter();
        named.filter_map(|(name, path)| Some((name, Fields::of(path.as_ref()?))))
    }

    /// No records so far.
    pub fn begin(&self) -> Groups {
        let mut groups = Groups {
            grouping: self.clone(),
            groups: Vec::new(),
            bytes: 0,
        };
        if self.group.is_none() {
            groups.open(0, None);
        }
        groups
    }
}

impl Groups {
    /// Adds a record to its group.
    ///
    /// # Errors
    /// If there would be too many groups, or the steps run out before its group is found.
    pub fn add(&mut self, record: &impl Record, steps: &Steps) -> Result<(), GroupError> {
        let at = self.place(record, steps)?;
        let group = &mut self.groups[at];
        group.count += 1;
        if let (Some(sum), Some(path)) = (&mut group.sum, &self.grouping.sum)
            && let Some(Some(number)) = path.plain(record)
        {
            sum.add(number);
        }
        Ok(())
    }

    /// All groups, in the order of their values.
    pub fn finish(self) -> Vec<Group> {
        self.groups
    }

    /// The place of a record's group, which is opened if there is none.
    fn place(&mut self, record: &impl Record, steps: &Steps) -> Result<usize, GroupError> {
        let Some(path) = &self.grouping.group else {
            return Ok(0);
        };
        let gathered;
        let value = match path.plain(record) {
            Some(plain) => plain,
            None => {
                gathered = path.gathered(record);
                gathered.as_ref().map(Value::borrow)
            }
        };
        let at = match self.search(value, steps)? {
            Ok(at) => return Ok(at),
            Err(at) => at,
        };
        let value = value.map(ValueRef::to_value);
        self.bytes += value.as_ref().map_or(0, Value::approx_bytes);
        if self.groups.len() == limits::GROUPS_MAX || self.bytes > limits::GROUP_BYTES_MAX {
            return Err(GroupError::TooMany);
        }
        self.open(at, value);
        Ok(at)
    }

    /// The place of the group with this value, or where it would be.
    fn search(
        &self,
        value: Option<ValueRef<'_>>,
        steps: &Steps,
    ) -> Result<Result<usize, usize>, TooCostly> {
        let (mut from, mut to) = (0, self.groups.len());
        while from < to {
            let middle = from.midpoint(to);
            let other = self.groups[middle].value.as_ref().map(Value::borrow);
            match compare(other, value, steps)? {
                Ordering::Equal => return Ok(Ok(middle)),
                Ordering::Less => from = middle + 1,
                Ordering::Greater => to = middle,
            }
        }
        Ok(Err(from))
    }

    fn open(&mut self, at: usize, value: Option<Value>) {
        let sum = self.grouping.sum.is_some().then(Sum::default);
        let group = Group {
            value,
            count: 0,
            sum,
        };
        self.groups.insert(at, group);
    }
}

/// What is missing comes first.
fn compare(
    a: Option<ValueRef<'_>>,
    b: Option<ValueRef<'_>>,
    steps: &Steps,
) -> Result<Ordering, TooCostly> {
    steps.take(1)?;
    match (a, b) {
        (Some(a), Some(b)) => compare_within(a, b, steps),
        (a, b) => Ok(a.is_some().cmp(&b.is_some())),
    }
}

impl FieldPath {
    /// What the path leads to, as one value, through arrays.
    fn gathered(&self, record: &impl Record) -> Option<Value> {
        let (first, beyond) = self.segments().split_first()?;
        gathered(record.field(&first.name)?, beyond)
    }
}

fn gathered(value: ValueRef<'_>, rest: &[Segment]) -> Option<Value> {
    let Some((first, beyond)) = rest.split_first() else {
        return Some(value.to_value());
    };
    match value {
        ValueRef::Object(document) => gathered(document.get(&first.name)?.borrow(), beyond),
        ValueRef::Array(items) => {
            let documents = items.iter().filter(|item| item.as_object().is_some());
            let found = documents.filter_map(|document| gathered(document.borrow(), rest));
            Some(Value::Array(found.collect()))
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

    fn grouping(json: &str) -> Grouping {
        let request: Document = serde_json::from_str(json).expect("the test's own JSON");
        Grouping::parse(&request, "query").expect("good paths")
    }

    fn grouped(json: &str, records: &[&str]) -> Result<Vec<String>, GroupError> {
        let mut groups = grouping(json).begin();
        for record in records {
            let record: Document = serde_json::from_str(record).expect("the test's own JSON");
            groups.add(&record, &Steps::new(4_000))?;
        }
        let json = |value: &Value| serde_json::to_string(value).expect("a value is JSON");
        let told = groups.finish().into_iter().map(|group| {
            let value = group.value.as_ref().map_or("-".to_owned(), json);
            let sum = group
                .sum
                .map_or(String::new(), |sum| format!(" {}", json(&sum.total())));
            format!("{value}: {}{sum}", group.count)
        });
        Ok(told.collect())
    }

    #[test]
    fn groups_stand_in_the_order_of_values_and_what_is_missing_is_not_null() {
        let records = [
            r#"{"a":"x","n":2}"#,
            r#"{"n":1.5}"#,
            r#"{"a":null,"n":"3"}"#,
            r#"{"a":1,"n":1}"#,
            r#"{"a":"x","n":3}"#,
            r#"{"a":1.0,"n":[5]}"#,
            r#"{"a":[1],"n":null}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":true}"#,
        ];
        let told = grouped(r#"{"group":"a","sum":"n"}"#, &records).expect("few groups");
        assert_eq!(
            told,
            [
                "-: 1 1.5",
                "null: 1 0",
                "1: 2 1",
                r#""x": 2 5"#,
                r#"{"b":1}: 1 0"#,
                "[1]: 1 0",
                "true: 1 0"
            ]
        );
        assert_eq!(
            grouped(r#"{"sum":"n"}"#, &records),
            Ok(vec!["-: 9 7.5".to_owned()])
        );
        assert_eq!(grouped("{}", &[]), Ok(vec!["-: 0".to_owned()]));
        assert_eq!(grouped(r#"{"group":"a"}"#, &[]), Ok(Vec::new()));
    }

    #[test]
    fn a_path_through_arrays_leads_to_an_array() {
        let records = [
            r#"{"a":{"b":1}}"#,
            r#"{"a":[{"b":1},{"c":2},3,{"b":{"0":1}},[{"b":4}]]}"#,
            r#"{"a":[]}"#,
            r#"{"a":5}"#,
        ];
        let told = grouped(r#"{"group":"a.b"}"#, &records).expect("few groups");
        assert_eq!(told, ["-: 1", "1: 1", "[]: 1", r#"[1,{"0":1}]: 1"#]);
        let told = grouped(r#"{"group":"a.0"}"#, &[r#"{"a":[7]}"#, r#"{"a":{"0":7}}"#]);
        assert_eq!(told.expect("few groups"), ["7: 1", "[]: 1"]);
        let told = grouped(r#"{"sum":"a.b"}"#, &records);
        assert_eq!(told.expect("one group"), ["-: 4 1"]);
    }

    #[test]
    fn groups_are_bounded_exactly() {
        let records = |count: usize| {
            (0..count)
                .map(|n| format!(r#"{{"a":{n}}}"#))
                .collect::<Vec<_>>()
        };
        let count = |count: usize| {
            let records = records(count);
            let records: Vec<&str> = records.iter().map(String::as_str).collect();
            grouped(r#"{"group":"a"}"#, &records).map(|groups| groups.len())
        };
        assert_eq!(count(limits::GROUPS_MAX), Ok(limits::GROUPS_MAX));
        assert_eq!(count(limits::GROUPS_MAX + 1), Err(GroupError::TooMany));
        let long = |letter: char| {
            let text = letter.to_string().repeat(limits::GROUP_BYTES_MAX / 2);
            format!(r#"{{"a":"{text}"}}"#)
        };
        let (x, y) = (long('x'), long('y'));
        assert_eq!(
            grouped(r#"{"group":"a"}"#, &[&x, &x]).map(|groups| groups.len()),
            Ok(1)
        );
        assert_eq!(
            grouped(r#"{"group":"a"}"#, &[&x, &y]),
            Err(GroupError::TooMany)
        );
    }

    #[test]
    fn telling_values_apart_takes_steps() {
        let items = vec!["1"; 5_000].join(",");
        let record = format!(r#"{{"a":[{items}]}}"#);
        let told = grouped(r#"{"group":"a"}"#, &[&record, &record]);
        assert_eq!(told, Err(GroupError::TooCostly(TooCostly)));
    }

    #[test]
    fn paths_are_named_where_they_cannot_be() {
        for (json, path) in [
            (r#"{"group":"a..b"}"#, "query.group"),
            (r#"{"group":"a","sum":7}"#, "query.sum"),
            (r#"{"sum":"$a"}"#, "query.sum"),
        ] {
            let request: Document = serde_json::from_str(json).expect("the test's own JSON");
            let invalid = Grouping::parse(&request, "query").expect_err("it is refused");
            assert_eq!(invalid.path, path, "{json}");
        }
    }
}
