//! What a record holds in a unique index: no other record may hold the same.
//!
//! | the field is | the record holds |
//! |---|---|
//! | missing, null, an empty array | nothing |
//! | a number, a text, a boolean, an object | it |
//! | an array | each of its elements but null |
//!
//! Of several fields it holds each combination; so nothing, if it holds nothing in one of them. Null is as free as what is
//! missing: to tell them apart would take a look at all records that lack the field, since MongoDB has both under one key.
//!
//! Each [`UniqueKey`] is a [key of the record](super::keys) too, and no record that does not hold it has that key: it names
//! no null and no array. So who holds one is found under it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use super::declaration::{Index, IndexField};
use super::encoding;
use super::keys::{WIDE, invert};
use crate::limits;
use crate::query::{Direction, Leaf};
use crate::value::{Invalid, Record, Steps, Value, ValueRef};

/// One value of each field of a unique index. Equal are those whose values are equal to MongoDB, such as `1` and `1.0`.
#[derive(Debug, Clone)]
pub struct UniqueKey {
    pub(crate) bytes: Vec<u8>,
    /// In the order of the fields.
    pub(crate) values: Vec<Value>,
}

impl PartialEq for UniqueKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for UniqueKey {}

impl Hash for UniqueKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

const TOO_MUCH: &str = "too much for a unique index: a value, or an array with all that is in it, may take 1 KiB with \
                        those it is unique together with, and an event may hold 1000 values";
const NESTED: &str = "an array within an array cannot be kept in a unique index";

impl Index {
    /// What a record holds, each once.
    ///
    /// # Errors
    /// If that is too much to look for, or has an array within an array; with the path of the field.
    pub fn unique_keys_of(&self, record: &impl Record) -> Result<Vec<UniqueKey>, Invalid> {
        let held = self.fields.iter().map(|field| field.held_by(record));
        let held: Vec<Vec<UniqueKey>> = held.collect::<Result<_, _>>()?;
        if held.iter().any(Vec::is_empty) {
            return Ok(Vec::new());
        }
        if self.is_too_much(&held, record) {
            let longest = |place: &usize| {
                held[*place]
                    .iter()
                    .map(|key| key.bytes.len())
                    .sum::<usize>()
            };
            let place = (0..held.len()).max_by_key(longest);
            return Err(self.fields[place.unwrap_or(0)].offence(TOO_MUCH));
        }
        let combined = held
            .into_iter()
            .reduce(|keys, values| combined(&keys, &values));
        Ok(combined.unwrap_or_default())
    }

    /// Whether the record is one of those that are kept apart: then what it holds is not found.
    fn is_too_much(&self, held: &[Vec<UniqueKey>], record: &impl Record) -> bool {
        let is_plain = |field: &IndexField| field.path.plain(record).is_some();
        match self.fields.iter().all(is_plain) {
            true => {
                let length = held
                    .iter()
                    .flatten()
                    .map(|key| key.bytes.len())
                    .sum::<usize>();
                length > limits::INDEX_KEY_BYTES_MAX
            }
            false => self.keys_of(record).keys == [WIDE],
        }
    }
}

/// Each key with each value of the next field.
fn combined(keys: &[UniqueKey], values: &[UniqueKey]) -> Vec<UniqueKey> {
    let each = |key| {
        values
            .iter()
            .map(move |value: &UniqueKey| UniqueKey::of_both(key, value))
    };
    keys.iter().flat_map(each).collect()
}

impl UniqueKey {
    fn of_both(key: &Self, next: &Self) -> Self {
        Self {
            bytes: [&key.bytes[..], &next.bytes].concat(),
            values: [&key.values[..], &next.values].concat(),
        }
    }
}

impl IndexField {
    fn offence(&self, reason: &str) -> Invalid {
        Invalid::new(self.path.as_str(), reason)
    }

    /// The values that a record holds in this field, each once.
    fn held_by(&self, record: &impl Record) -> Result<Vec<UniqueKey>, Invalid> {
        if let Some(plain) = self.path.plain(record) {
            let held = plain.filter(|value| *value != ValueRef::Null);
            return Ok(held.into_iter().map(|value| self.key(value)).collect());
        }
        let steps = Steps::new(limits::INDEX_STEPS_MAX);
        let held = RefCell::new(HashSet::new());
        // Whether the value is one that cannot be looked for.
        let add = |value: &Value| match value {
            Value::Null => false,
            Value::Array(_) => true,
            value => {
                held.borrow_mut().insert(self.key(value.borrow()));
                false
            }
        };
        let visit = |value: Option<ValueRef<'_>>| match value {
            None | Some(ValueRef::Null) => Ok(false),
            Some(ValueRef::Array(items)) => {
                steps.take(items.len() as u64)?;
                Ok(items.iter().any(add))
            }
            Some(value) => {
                held.borrow_mut().insert(self.key(value));
                Ok(false)
            }
        };
        match self.path.any(record, Leaf::Whole, &steps, &visit) {
            Ok(false) => Ok(held.into_inner().into_iter().collect()),
            Ok(true) => Err(self.offence(NESTED)),
            Err(_) => Err(self.offence(TOO_MUCH)),
        }
    }

    fn key(&self, value: ValueRef<'_>) -> UniqueKey {
        let mut bytes = Vec::new();
        encoding::seen(&mut bytes, value);
        if self.direction == Direction::Descending {
            invert(&mut bytes);
        }
        UniqueKey {
            bytes,
            values: vec![value.to_value()],
        }
    }
}
