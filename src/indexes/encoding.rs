//! Values as bytes that sort as the values do: MongoDB's order, byte by byte.
//!
//! ```text
//! value   = tag body                       null, empty array:  no body
//! number  = float [remainder]              the float at or below it, as sorting bytes; beyond 2^53 what it lacks
//! text    = bytes 00 00                    each 00 within is 00 FF
//! array   = value* 00
//! object  = (tag name 00 00 body)* 00      so that the class decides before the name, as it does in the order
//! bool    = 00 or 01
//! ```
//!
//! No encoding is the beginning of another, so encodings can stand one behind the other, and the bytes of one can be
//! inverted to sort the other way.

use crate::query::KeyValue;
use crate::value::{Document, Value, ValueRef, truncated};

/// What begins an encoding. They sort as the classes of values do.
pub(super) mod tag {
    /// As a sort key: an array without elements comes before null.
    pub(in super::super) const EMPTY_ARRAY: u8 = 0x10;
    /// Also what is missing.
    pub(in super::super) const NULL: u8 = 0x20;
    pub(in super::super) const NUMBER: u8 = 0x30;
    pub(in super::super) const STRING: u8 = 0x40;
    pub(in super::super) const OBJECT: u8 = 0x50;
    pub(in super::super) const ARRAY: u8 = 0x60;
    pub(in super::super) const BOOL: u8 = 0x70;
    /// An array that a filter sees, beside `ARRAY`, which is one that a record is sorted by.
    pub(in super::super) const SEEN_ARRAY: u8 = 0x7D;
    /// A null that is there, beside `NULL`: so that what exists is one interval. No sort key is encoded so.
    pub(in super::super) const PRESENT_NULL: u8 = 0x7E;
    /// After all others.
    pub(in super::super) const END: u8 = 0x7F;
}

/// What ends a text, an array and an object.
const TERMINATOR: u8 = 0;

/// Integers up to here are floats exactly, so nothing is lacking.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Appends the encoding of a value.
pub(super) fn value(to: &mut Vec<u8>, value: ValueRef<'_>) {
    to.push(tag_of(value));
    body(to, value);
}

/// Appends the encoding of a value as filters look for it.
pub(super) fn seen(to: &mut Vec<u8>, value: ValueRef<'_>) {
    to.push(seen_tag_of(value));
    body(to, value);
}

/// The tag of a value's class, as filters look for it.
pub(super) fn seen_tag_of(value: ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Array(_) => tag::SEEN_ARRAY,
        _ => tag_of(value),
    }
}

/// Appends the encoding of a sort key.
pub(super) fn key(to: &mut Vec<u8>, key: KeyValue<'_>) {
    match key {
        KeyValue::EmptyArray => to.push(tag::EMPTY_ARRAY),
        KeyValue::Value(present) => value(to, present),
    }
}

/// The encoding of the texts that begin with this one, without its end.
pub(super) fn text_beginning(to: &mut Vec<u8>, text: &str) {
    to.push(tag::STRING);
    escaped(to, text);
}

/// The tag of a value's class.
fn tag_of(value: ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Null => tag::NULL,
        ValueRef::Int(_) | ValueRef::Float(_) => tag::NUMBER,
        ValueRef::String(_) => tag::STRING,
        ValueRef::Object(_) => tag::OBJECT,
        ValueRef::Array(_) => tag::ARRAY,
        ValueRef::Bool(_) => tag::BOOL,
    }
}

fn body(to: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => {}
        ValueRef::Bool(value) => to.push(u8::from(value)),
        ValueRef::Int(number) => integer(to, number),
        ValueRef::Float(number) => float(to, number, 0),
        ValueRef::String(value) => text(to, value),
        ValueRef::Array(items) => array(to, items),
        ValueRef::Object(document) => object(to, document),
    }
}

fn integer(to: &mut Vec<u8>, number: i64) {
    let nearest = number as f64;
    let floor = match truncated(nearest) {
        Some(nearest_below) if nearest_below <= number => nearest,
        _ => nearest.next_down(),
    };
    let exact =
        truncated(floor).expect("it is below an integer of 64 bits, and no less than the least");
    let lacking = u16::try_from(number - exact).expect("floats below 2^63 are 1024 apart");
    float(to, floor, lacking);
}

/// A float, and what it lacks of the integer meant.
fn float(to: &mut Vec<u8>, number: f64, lacking: u16) {
    // Zero has one encoding whatever its sign.
    let bits = (number + 0.0).to_bits();
    let sorting = match bits >> 63 {
        0 => bits | 1 << 63,
        _ => !bits,
    };
    to.extend_from_slice(&sorting.to_be_bytes());
    if number.abs() >= EXACT_MAX {
        to.extend_from_slice(&lacking.to_be_bytes());
    }
}

fn text(to: &mut Vec<u8>, text: &str) {
    escaped(to, text);
    to.extend_from_slice(&[TERMINATOR, TERMINATOR]);
}

fn escaped(to: &mut Vec<u8>, text: &str) {
    for (index, part) in text.as_bytes().split(|byte| *byte == 0).enumerate() {
        if index > 0 {
            to.extend_from_slice(&[0, 0xFF]);
        }
        to.extend_from_slice(part);
    }
}

fn array(to: &mut Vec<u8>, items: &[Value]) {
    for item in items {
        value(to, item.borrow());
    }
    to.push(TERMINATOR);
}

fn object(to: &mut Vec<u8>, document: &Document) {
    for (name, value) in document.iter() {
        to.push(tag_of(value.borrow()));
        text(to, name);
        body(to, value.borrow());
    }
    to.push(TERMINATOR);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::compare;
    use proptest::prelude::*;

    fn encoded(of: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        value(&mut bytes, of.borrow());
        bytes
    }

    fn number() -> impl Strategy<Value = Value> {
        let near = prop_oneof![
            Just(0_i64),
            Just(1 << 53),
            Just(1 << 62),
            Just(i64::MAX),
            Just(i64::MIN),
            Just(-(1 << 53)),
        ];
        let near = (near, -3_i64..=3).prop_map(|(number, by)| number.saturating_add(by));
        prop_oneof![
            near.clone().prop_map(Value::Int),
            near.prop_map(|number| Value::Float(number as f64)),
            any::<i64>().prop_map(Value::Int),
            any::<f64>()
                .prop_filter("JSON has no others", |number| number.is_finite())
                .prop_map(Value::Float),
            Just(Value::Float(-0.0)),
        ]
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            number(),
            "[\u{0}\u{1}abé]{0,3}".prop_map(Value::String),
        ];
        leaf.prop_recursive(3, 12, 3, move |inner| {
            let fields = prop::collection::btree_map("[ab\u{0}]{0,2}", inner.clone(), 0..3);
            prop_oneof![
                prop::collection::vec(inner, 0..3).prop_map(Value::Array),
                fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn bytes_sort_as_the_values_do(a in values(), b in values()) {
            let (encoded_a, encoded_b) = (encoded(&a), encoded(&b));
            prop_assert_eq!(encoded_a.cmp(&encoded_b), compare(a.borrow(), b.borrow()));
            let is_beginning = encoded_b.starts_with(&encoded_a) && encoded_a != encoded_b;
            prop_assert!(!is_beginning, "{:?} begins {:?}", a, b);
        }

        #[test]
        fn inverted_bytes_sort_the_other_way(a in values(), b in values()) {
            let inverted = |value: &Value| encoded(value).into_iter().map(|byte| !byte).collect::<Vec<u8>>();
            prop_assert_eq!(inverted(&b).cmp(&inverted(&a)), compare(a.borrow(), b.borrow()));
        }

        #[test]
        fn numbers_sort_exactly(a in number(), b in number()) {
            prop_assert_eq!(encoded(&a).cmp(&encoded(&b)), compare(a.borrow(), b.borrow()));
        }
    }
}
