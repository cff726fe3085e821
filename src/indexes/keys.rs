//! The keys of a record: where it stands in an index.
//!
//! A record has a key for each value that a filter's test on the field could see, and for what it is sorted by, so that
//! whichever a query asks for is found. Most records have one.
//!
//! | the field is | keys |
//! |---|---|
//! | missing | null |
//! | null | null, and one that tells it from missing |
//! | any other scalar, an object | it |
//! | an array | each element, the array, and what it sorts by up and down |
//!
//! An index of several fields has a key for each combination.

use std::cell::RefCell;

use super::declaration::{Index, IndexField};
use super::encoding;
use super::encoding::tag;
use crate::limits;
use crate::query::{Direction, Leaf};
use crate::value::{Record, Steps, ValueRef};

/// The key of a record that has too many keys, or too long ones: it is looked at by every query that uses the index.
pub(crate) const WIDE: [u8; 1] = [0xFF];

/// What an index holds of one record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordKeys {
    /// Each once.
    pub(crate) keys: Vec<Vec<u8>>,
    /// The fields that lead to an array.
    pub(crate) spread: FieldSet,
}

/// A set of an index's fields, by their places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FieldSet(pub(crate) u8);

/// Enough for most keys.
const PLAIN_BYTES: usize = 48;

/// The keys are too many, or too long.
struct TooWide;

/// The values of one field, encoded.
struct FieldValues {
    encoded: Vec<Vec<u8>>,
    is_spread: bool,
}

impl Index {
    /// The keys of a record.
    pub(crate) fn keys_of(&self, record: &impl Record) -> RecordKeys {
        if let Some(key) = self.plain_key_of(record) {
            return RecordKeys {
                keys: vec![key],
                spread: FieldSet::default(),
            };
        }
        let steps = Steps::new(limits::INDEX_STEPS_MAX);
        let wide = RecordKeys {
            keys: vec![WIDE.to_vec()],
            spread: FieldSet::default(),
        };
        self.try_keys_of(record, &steps).unwrap_or(wide)
    }

    /// The only key of a record that has neither an array nor null in a field: most have not.
    fn plain_key_of(&self, record: &impl Record) -> Option<Vec<u8>> {
        let mut key = Vec::with_capacity(PLAIN_BYTES);
        for field in &self.fields {
            let value = match field.path.plain(record)? {
                Some(ValueRef::Null) => return None,
                value => value.unwrap_or(ValueRef::Null),
            };
            let begins = key.len();
            encoding::seen(&mut key, value);
            if field.direction == Direction::Descending {
                invert(&mut key[begins..]);
            }
        }
        (key.len() <= limits::INDEX_KEY_BYTES_MAX).then_some(key)
    }

    fn try_keys_of(&self, record: &impl Record, steps: &Steps) -> Result<RecordKeys, TooWide> {
        let mut all = RecordKeys {
            keys: vec![Vec::new()],
            spread: FieldSet::default(),
        };
        for (place, field) in self.fields.iter().enumerate() {
            let values = field.values_of(record, steps)?;
            if values.is_spread {
                all.spread = all.spread.with(place);
            }
            all.keys = combined(all.keys, &values.encoded)?;
        }
        Ok(all)
    }
}

fn combined(keys: Vec<Vec<u8>>, values: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, TooWide> {
    if keys.len() * values.len() > limits::INDEX_KEYS_MAX {
        return Err(TooWide);
    }
    let combined: Vec<Vec<u8>> = match values {
        [value] => {
            let longer = keys.into_iter().map(|mut key| {
                key.extend_from_slice(value);
                key
            });
            longer.collect()
        }
        _ => {
            let each = |key: Vec<u8>| values.iter().map(move |value| [&key[..], value].concat());
            keys.into_iter().flat_map(each).collect()
        }
    };
    let bytes: usize = combined.iter().map(Vec::len).sum();
    let is_long = |key: &Vec<u8>| key.len() > limits::INDEX_KEY_BYTES_MAX;
    match bytes > limits::INDEX_RECORD_BYTES_MAX || combined.iter().any(is_long) {
        true => Err(TooWide),
        false => Ok(combined),
    }
}

impl IndexField {
    fn values_of(&self, record: &impl Record, steps: &Steps) -> Result<FieldValues, TooWide> {
        let plain = self.path.plain(record);
        let is_spread = plain.is_none();
        let mut encoded = match plain {
            Some(value) => {
                let mut encoded = Vec::with_capacity(1);
                add(&mut encoded, value);
                encoded
            }
            None => self.spread_values(record, steps)?,
        };
        if self.direction == Direction::Descending {
            encoded.iter_mut().for_each(|value| invert(value));
        }
        Ok(FieldValues { encoded, is_spread })
    }

    /// All values that the path leads to, through arrays and into them, and those that the record is sorted by.
    fn spread_values(&self, record: &impl Record, steps: &Steps) -> Result<Vec<Vec<u8>>, TooWide> {
        let seen = RefCell::new((Vec::new(), 0));
        let visit = |value: Option<ValueRef<'_>>| {
            let (encoded, bytes) = &mut *seen.borrow_mut();
            *bytes += add(encoded, value);
            Ok(*bytes > limits::INDEX_RECORD_BYTES_MAX)
        };
        let is_wide = self.path.any(record, Leaf::Elements, steps, &visit);
        let (mut encoded, _) = seen.into_inner();
        if is_wide.map_err(|_| TooWide)? {
            return Err(TooWide);
        }
        for sort in [&self.ascending, &self.descending] {
            let keys = sort.keys_of(record, steps).map_err(|_| TooWide)?;
            let mut key = Vec::new();
            encoding::key(&mut key, keys[0]);
            encoded.push(key);
        }
        encoded.sort_unstable();
        encoded.dedup();
        Ok(encoded)
    }
}

/// Adds the encoding of a value, or of null for what is missing; returns its length.
fn add(encoded: &mut Vec<Vec<u8>>, value: Option<ValueRef<'_>>) -> usize {
    let mut bytes = Vec::with_capacity(16);
    encoding::seen(&mut bytes, value.unwrap_or(ValueRef::Null));
    let length = bytes.len();
    encoded.push(bytes);
    if let Some(ValueRef::Null) = value {
        encoded.push(vec![tag::PRESENT_NULL]);
    }
    length
}

/// The same in the other direction.
pub(super) fn invert(bytes: &mut [u8]) {
    bytes.iter_mut().for_each(|byte| *byte = !*byte);
}

impl FieldSet {
    pub(crate) fn with(self, place: usize) -> Self {
        Self(self.0 | 1 << place)
    }

    pub(crate) fn has(self, place: usize) -> bool {
        self.0 & (1 << place) != 0
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
