//! Adoption: what the documents of another program become here. Pure; reading them is for [`store`](crate::store)
//! (a collection of MongoDB's) and [`offline`](crate::offline) (files).
//!
//! A document is [`Given`] with what BSON knows and JSON does not still apart, and is converted by one table, wherever
//! it came from. Nothing is guessed and nothing gets lost in silence: what has no place is a [`Refusal`], which names
//! it and says how to mend it, and what changes its kind is counted in a [`KindTally`].
//!
//! | given | becomes |
//! |---|---|
//! | text, integer of 32 or 64 bits, double, boolean, null, array, document | the same; integers exactly |
//! | a double that is not finite | `null`, as JSON has it |
//! | ObjectId | 24 hexadecimal digits |
//! | date | RFC 3339 in UTC with milliseconds; outside of the years 0 to 9999 refused |
//! | Decimal128 | its text |
//! | binary; a UUID (subtype 4) | base64; its usual text |
//! | timestamp | `{"t":…,"i":…}` |
//! | regular expression | `/pattern/options` |
//! | symbol, code | text; code with a scope `{"code":…,"scope":…}` |
//! | DBRef, DBPointer | the same document with `ref`, `id`, `db` |
//! | MinKey, MaxKey | `"MinKey"`, `"MaxKey"` |
//! | undefined | `null` |
//!
//! Of a document's own fields, `_id` becomes the event's id, `createdAt` and `updatedAt` become `_createdAt` and
//! `_updatedAt` if they are times, and `__v` is left out.

mod convert;
mod extended_json;
mod given;
mod ids;
mod refusal;
mod renames;
mod tally;

pub use convert::Converter;
pub use extended_json::{extended, plain};
pub use given::{Given, GivenFields};
pub use refusal::Refusal;
pub use renames::Renames;
pub use tally::{Kind, KindTally};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Timestamp;
    use crate::value::{Document, Value, check_document, read};

    fn now() -> Timestamp {
        Timestamp::parse("2026-01-31T12:00:00.000Z").expect("a fixed time")
    }

    /// Names, of which some cannot be.
    fn name() -> BoxedStrategy<String> {
        let word = "[a-c_$.]{0,3}";
        let known = [
            "_id",
            "__v",
            "createdAt",
            "updatedAt",
            "$ref",
            "$id",
            "$oid",
            "$date",
        ];
        prop_oneof![4 => "[a-z]{1,3}", 1 => word, 1 => prop::sample::select(known.to_vec()).prop_map(str::to_owned)].boxed()
    }

    fn scalar() -> impl Strategy<Value = Given> {
        prop_oneof![
            Just(Given::Null),
            any::<bool>().prop_map(Given::Bool),
            any::<i64>().prop_map(Given::Int),
            any::<f64>().prop_map(Given::Float),
            ".{0,8}".prop_map(Given::Text),
            any::<[u8; 12]>().prop_map(Given::ObjectId),
            any::<i64>().prop_map(Given::Date),
            (0..4_000_000_000_000_i64).prop_map(Given::Date),
            any::<[u8; 16]>().prop_map(Given::Uuid),
            any::<Vec<u8>>().prop_map(Given::Binary),
            ("[a-z]{0,3}", "[a-z]{0,2}")
                .prop_map(|(pattern, options)| Given::Regex { pattern, options }),
            any::<(u32, u32)>().prop_map(|(time, increment)| Given::Timestamp { time, increment }),
            Just(Given::MinKey),
            Just(Given::MaxKey),
            Just(Given::Undefined),
            Just(Given::Decimal("1.50".to_owned())),
            Just(Given::Unreadable("damaged")),
        ]
    }

    fn given() -> impl Strategy<Value = Given> {
        scalar().prop_recursive(5, 24, 4, |inner| {
            let fields = prop::collection::vec((name(), inner.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Given::List),
                fields.clone().prop_map(Given::document),
                fields.prop_map(|fields| Given::CodeWithScope("f()".to_owned(), fields)),
            ]
        })
    }

    fn json() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-1e9..1e9).prop_map(Value::Float),
            "[0-9a-f]{0,24}|[0-9:TZ.-]{0,24}".prop_map(Value::String),
        ];
        let parts = [
            "$scope", "$ref", "$id", "base64", "subType", "pattern", "options", "t", "i", "a",
        ];
        let names = [&extended_json::TYPES[..], &parts].concat();
        scalar.prop_recursive(4, 16, 3, move |inner| {
            let name = prop::sample::select(names.clone());
            let object = prop::collection::btree_map(name, inner.clone(), 0..3);
            prop_oneof![
                prop::collection::vec(inner, 0..3).prop_map(Value::list),
                object.prop_map(|fields| Document::from_iter(fields).into()),
            ]
        })
    }

    proptest! {
        /// A document is one that a client could have written, or is refused with the name of what cannot be.
        #[test]
        fn whatever_is_given_is_valid_or_refused_by_name(
            fields in prop::collection::vec((name(), given()), 0..6),
        ) {
            let mut tally = KindTally::default();
            match Converter::default().convert(fields, now(), &mut tally) {
                Ok(create) => {
                    prop_assert_eq!(check_document(create.fields(), ""), Ok(()));
                    let json = serde_json::to_string(create.fields()).unwrap();
                    let again: Document = read(&json, "").unwrap();
                    prop_assert_eq!(&again, create.fields());
                }
                Err(refusal) => {
                    prop_assert!(!refusal.reason.is_empty());
                    prop_assert_eq!(tally, KindTally::default(), "a refused document counts nothing");
                }
            }
        }

        #[test]
        fn whatever_json_there_is_is_read_as_extended_or_refused_with_its_path(value in json()) {
            let document = Document::from_iter([("a", value)]);
            match extended(document) {
                Ok(fields) => {
                    let converted = Converter::default().convert(fields, now(), &mut KindTally::default());
                    if let Ok(create) = converted {
                        prop_assert_eq!(check_document(create.fields(), ""), Ok(()));
                    }
                }
                Err(invalid) => prop_assert!(invalid.path.starts_with('a'), "{invalid}"),
            }
        }

        #[test]
        fn integers_are_exact_in_every_form(number in any::<i64>()) {
            let text = number.to_string();
            let long = Document::from_iter([("$numberLong", Value::from(text))]);
            let document = Document::from_iter([("a", Value::from(long)), ("b", Value::Int(number))]);
            let fields = extended(document).unwrap();
            let create = Converter::default().convert(fields, now(), &mut KindTally::default()).unwrap();
            let expected = [("a", Value::Int(number)), ("b", Value::Int(number))];
            prop_assert_eq!(create.fields(), &Document::from_iter(expected));
        }
    }

    #[test]
    fn a_rename_is_found_by_the_path_that_a_refusal_names_it_by() {
        let inner = vec![("x.y".to_owned(), Given::Int(1))];
        let fields = || {
            let list = Given::List(vec![Given::Document(inner.clone())]);
            vec![("a".to_owned(), list)]
        };
        let refused = Converter::default().convert(fields(), now(), &mut KindTally::default());
        let path = refused.unwrap_err().rename.unwrap();
        let mut converter = Converter::default();
        converter.renames.add(&format!("{path}=z")).unwrap();
        let mut tally = KindTally::default();
        let create = converter.convert(fields(), now(), &mut tally).unwrap();
        let json = serde_json::to_string(create.fields()).unwrap();
        assert_eq!(
            (json.as_str(), tally.of(Kind::Renamed)),
            (r#"{"a":[{"z":1}]}"#, 1)
        );
    }
}
