//! The size of an event: the bytes of its own fields as JSON, in the form of answers, without the fields whose names
//! begin with `_`. So clients can measure it, and refusals name it.
//!
//! Bytes alone do not bound what a store needs: a zero in an array is 2 bytes of JSON, and 16 in MongoDB. So the values
//! are counted too.

use std::sync::Arc;

use super::change::Change;
use crate::limits;
use crate::value::{Document, Value};

/// The size of one document, or of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes of JSON without white space.
    pub bytes: usize,
    /// Fields and items of arrays, at all depths.
    pub values: usize,
}

/// The bound that the fields of an event would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Excess {
    #[error("be more than {} bytes of JSON", limits::EVENT_BYTES_MAX)]
    Bytes,
    #[error("hold more than {} values", limits::EVENT_VALUES_MAX)]
    Values,
}

const EVENT_MAX: Size = Size {
    bytes: limits::EVENT_BYTES_MAX,
    values: limits::EVENT_VALUES_MAX,
};

const COMMAND_BATCH_MAX: Size = Size {
    bytes: limits::COMMAND_BATCH_BYTES_MAX,
    values: limits::COMMAND_BATCH_VALUES_MAX,
};

const IMPORT_MAX: Size = Size {
    bytes: limits::IMPORT_EVENT_BYTES_MAX,
    values: limits::EVENT_VALUES_MAX,
};

/// The most bytes of JSON for a byte of text: `\u0001`.
const ESCAPED_BYTES: usize = 6;

impl Size {
    /// The exact size of a document, by writing it: expensive, so only for those that may be too large.
    pub fn of(document: &Document) -> Self {
        let json = serde_json::to_vec(document).expect("a document is JSON");
        Self {
            bytes: json.len(),
            values: values_in(document),
        }
    }

    /// An upper bound of the size, seldom more than six times it, without looking at text.
    fn upper_bound(document: &Document) -> Self {
        let approx_bytes = document.approx_bytes();
        Self {
            bytes: 2 + ESCAPED_BYTES * approx_bytes,
            values: approx_bytes / Value::APPROX_BYTES_MIN,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            values: self.values + other.values,
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.max(other.bytes),
            values: self.values.max(other.values),
        }
    }

    fn excess(self, most: Self) -> Option<Excess> {
        if self.bytes > most.bytes {
            return Some(Excess::Bytes);
        }
        (self.values > most.values).then_some(Excess::Values)
    }
}

/// Checks the size of an event after a change. One that an older log left too large may keep its size, or shrink.
///
/// # Errors
/// The bound that it would exceed.
pub(super) fn check_growth(before: Option<&Document>, after: &Document) -> Result<(), Excess> {
    if Size::upper_bound(after).excess(EVENT_MAX).is_none() {
        return Ok(());
    }
    let size = Size::of(after);
    if size.excess(EVENT_MAX).is_none() {
        return Ok(());
    }
    let allowed = before.map(Size::of).unwrap_or_default();
    size.excess(EVENT_MAX.max(allowed)).map_or(Ok(()), Err)
}

/// Whether any livelog, of now or earlier, can have stored an event with these fields.
pub fn may_be_stored(fields: &Document) -> bool {
    let fits = |size: Size| size.excess(IMPORT_MAX).is_none();
    fits(Size::upper_bound(fields)) || fits(Size::of(fields))
}

/// The size of all events of a command batch, while it is decided. Each counts with its larger size, before or after
/// its change.
#[derive(Debug, Default)]
pub struct BatchSize {
    upper_bound: Size,
    /// Once the upper bound is too large.
    exact: Option<Size>,
}

impl BatchSize {
    /// Adds the last of these changes; those before it were added before. Returns whether all fit in one batch.
    pub fn add_last(&mut self, changes: &[Arc<Change>]) -> bool {
        let Some(last) = changes.last() else {
            return true;
        };
        let exact = match self.exact {
            Some(exact) => exact.plus(of_change(last, Size::of)),
            None => {
                self.upper_bound = self.upper_bound.plus(of_change(last, Size::upper_bound));
                if self.upper_bound.excess(COMMAND_BATCH_MAX).is_none() {
                    return true;
                }
                let sizes = changes.iter().map(|change| of_change(change, Size::of));
                sizes.fold(Size::default(), Size::plus)
            }
        };
        self.exact = Some(exact);
        exact.excess(COMMAND_BATCH_MAX).is_none()
    }
}

fn of_change(change: &Change, measure: impl Fn(&Document) -> Size) -> Size {
    let events = change.before().into_iter().chain(change.after());
    let sizes = events.map(|event| measure(&event.fields));
    sizes.fold(Size::default(), Size::max)
}

fn values_in(document: &Document) -> usize {
    document
        .iter()
        .map(|(_, value)| 1 + values_below(value))
        .sum()
}

fn values_below(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(|item| 1 + values_below(item)).sum(),
        Value::Object(document) => values_in(document),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(json: &str) -> Document {
        serde_json::from_str(json).expect("the test's own JSON")
    }

    #[test]
    fn a_size_is_that_of_the_json_and_of_all_values() {
        for (json, values) in [
            ("{}", 0),
            (r#"{"a":1}"#, 1),
            (r#"{"a":[0,0,[]],"b":{"c":{}},"\u0001":"\u0001\""}"#, 7),
            (
                r#"{"float":1e15,"tiny":-5e-324,"int":-9223372036854775808}"#,
                3,
            ),
        ] {
            let document = document(json);
            let bytes = serde_json::to_vec(&document).unwrap().len();
            let size = Size { bytes, values };
            assert_eq!(Size::of(&document), size, "{json}");
            let most = Size::upper_bound(&document);
            assert_eq!(size.excess(most), None, "{json}: {most:?}");
        }
    }

    /// The kinds that take the most JSON for their weight.
    #[test]
    fn what_is_known_without_looking_is_never_too_little() {
        for value in [
            r#""""#,
            r#""\u0001\u0002""#,
            "-2.2250738585072014e-308",
            "[[],{},false]",
            r#"{"\u0001":{"":null}}"#,
        ] {
            for count in [1, 2, 3, 50] {
                let items = vec![value; count].join(",");
                let document = document(&format!(r#"{{"a":[{items}]}}"#));
                let (size, most) = (Size::of(&document), Size::upper_bound(&document));
                assert_eq!(size.excess(most), None, "{value} {count} times");
            }
        }
    }

    #[test]
    fn what_no_livelog_can_have_kept_is_not_taken_from_an_export() {
        let escaped = |count: usize| document(&format!(r#"{{"a":"{}"}}"#, r"\u0001".repeat(count)));
        assert!(may_be_stored(&escaped(limits::EVENT_BYTES_MAX - 100)));
        assert!(!may_be_stored(&escaped(limits::EVENT_BYTES_MAX)));
        let zeros = format!(r#"{{"a":[0{}]}}"#, ",0".repeat(limits::EVENT_VALUES_MAX));
        assert!(!may_be_stored(&document(&zeros)));
    }

    #[test]
    fn growth_is_refused_beyond_the_bound_and_shrinking_never() {
        let sized = |bytes: usize| document(&format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8)));
        let max = limits::EVENT_BYTES_MAX;
        assert_eq!(Size::of(&sized(max)).bytes, max);
        assert_eq!(check_growth(None, &sized(max)), Ok(()));
        assert_eq!(check_growth(None, &sized(max + 1)), Err(Excess::Bytes));
        let large = sized(max + 10);
        assert_eq!(
            check_growth(Some(&large), &sized(max + 11)),
            Err(Excess::Bytes)
        );
        assert_eq!(check_growth(Some(&large), &large), Ok(()));
        assert_eq!(check_growth(Some(&large), &sized(max + 9)), Ok(()));
        let zeros = |count: usize| document(&format!(r#"{{"a":[0{}]}}"#, ",0".repeat(count - 2)));
        let most = limits::EVENT_VALUES_MAX;
        assert_eq!(check_growth(None, &zeros(most)), Ok(()));
        assert_eq!(check_growth(None, &zeros(most + 1)), Err(Excess::Values));
    }
}
