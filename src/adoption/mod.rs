//! Adoption: what the documents of another program become here. Pure; reading them is for [`store`](crate::store)
//! (a collection of MongoDB's) and [`offline`](crate::offline) (files).
//!
//! A document is [`Given`] with what BSON knows and JSON does not still apart, and is converted by one table, wherever
//! it came from. Nothing is guessed and nothing gets lost in silence: what has no place is a [`Refusal`], which names
//! it and says how to mend it (all of them, or the first few, are told), and what changes its kind is counted in a [`KindTally`].
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
mod path;
mod refusal;
mod renames;
mod shown;
mod tally;

pub use convert::Converter;
pub use extended_json::{extended, plain};
pub use given::{Given, GivenFields};
pub use path::SourcePath;
pub use refusal::{REFUSALS_MAX, Refusal, Refusals};
pub use renames::Renames;
pub use shown::shown;
pub use tally::{Kind, KindTally, counted};

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
            Just(Given::Unreadable("damaged".into())),
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
                Err(refusals) => {
                    prop_assert!(!refusals.kept.is_empty());
                    prop_assert!(refusals.kept.iter().all(|refusal| !refusal.reason.is_empty()));
                    prop_assert_eq!(tally, KindTally::default(), "a refused document counts nothing");
                }
            }
        }

        #[test]
        fn whatever_json_there_is_is_read_as_extended_or_refused_with_its_path(value in json()) {
            let document = Document::from_iter([("a", value)]);
            match Converter::default().convert(extended(document), now(), &mut KindTally::default()) {
                Ok(create) => prop_assert_eq!(check_document(create.fields(), ""), Ok(())),
                Err(refusals) => for refusal in refusals.kept {
                    prop_assert!(refusal.path.starts_with('a'), "{refusal}");
                },
            }
        }

        #[test]
        fn integers_are_exact_in_every_form(number in any::<i64>()) {
            let text = number.to_string();
            let long = Document::from_iter([("$numberLong", Value::from(text))]);
            let document = Document::from_iter([("a", Value::from(long)), ("b", Value::Int(number))]);
            let fields = extended(document);
            let create = Converter::default().convert(fields, now(), &mut KindTally::default()).unwrap();
            let expected = [("a", Value::Int(number)), ("b", Value::Int(number))];
            prop_assert_eq!(create.fields(), &Document::from_iter(expected));
        }
    }

    fn converted(fields: GivenFields, renames: Renames) -> Result<String, Refusals> {
        let renames = Arc::new(renames);
        let converter = Converter { renames };
        let create = converter.convert(fields, now(), &mut KindTally::default())?;
        Ok(serde_json::to_string(create.fields()).unwrap())
    }

    fn document(name: &str, value: Given) -> Given {
        Given::Document(vec![(name.to_owned(), value)])
    }

    #[test]
    fn a_rename_is_found_by_the_path_that_a_refusal_names_it_by() {
        for name in ["x.y", "$a=b", "", "it's.\\", "\n.\0"] {
            let list = Given::List(vec![document(name, Given::Int(1))]);
            let fields = || vec![("a".to_owned(), list.clone())];
            let refusals = converted(fields(), Renames::default()).unwrap_err();
            let path = refusals.kept[0].misnamed_field().unwrap();
            let mut renames = Renames::default();
            renames.add(&format!("{path}=z")).unwrap();
            assert_eq!(converted(fields(), renames).unwrap(), r#"{"a":[{"z":1}]}"#);
            let mut renames = Renames::default();
            renames.leave_out(path.as_str()).unwrap();
            assert_eq!(converted(fields(), renames).unwrap(), r#"{"a":[{}]}"#);
        }
    }

    #[test]
    fn a_dot_in_a_name_and_a_step_inwards_are_told_apart() {
        let fields = || {
            let literal = ("a.b".to_owned(), Given::Int(1));
            vec![literal, ("a".to_owned(), document("b", Given::Int(2)))]
        };
        let mut renames = Renames::default();
        renames.leave_out(r"a\.b").unwrap();
        assert_eq!(converted(fields(), renames).unwrap(), r#"{"a":{"b":2}}"#);
        let mut renames = Renames::default();
        renames.add(r"a\.b=c").unwrap();
        renames.leave_out("a.b").unwrap();
        assert_eq!(converted(fields(), renames).unwrap(), r#"{"c":1,"a":{}}"#);
    }

    #[test]
    fn renames_that_cannot_be_read_are_refused_and_those_that_no_field_met_are_told() {
        let mut renames = Renames::default();
        for wrong in [
            "a", "a=b=c", "a=b.c", r"a=b\.c", "a=", "a=$b", "a=_b", "_id=b", r"a\b=c",
        ] {
            assert!(renames.add(wrong).is_err(), "{wrong}");
        }
        for wrong in ["_id", "a=b", "a\\"] {
            assert!(renames.leave_out(wrong).is_err(), "{wrong}");
        }
        renames.leave_out("a.x").unwrap();
        renames.leave_out("a.y").unwrap();
        renames.add(r"q\=r=c").unwrap();
        assert!(renames.leave_out("a.y").is_err());
        assert_eq!(renames.unmet(), [""; 0], "nothing was read yet");
        let converter = Converter {
            renames: Arc::new(renames),
        };
        let fields = vec![("a".to_owned(), document("x", Given::Int(1)))];
        converter
            .convert(fields, now(), &mut KindTally::default())
            .unwrap();
        assert_eq!(
            converter.renames.unmet(),
            ["--drop 'a.y'", r"--rename 'q\=r=c'"]
        );
    }

    #[test]
    fn all_that_is_refused_in_a_document_is_found_each_kind_once_and_only_so_many() {
        let list = [
            Given::Int(1),
            document("$b", Given::Date(i64::MAX)),
            document("$b", Given::Int(1)),
        ];
        let fields = vec![
            ("_id".to_owned(), Given::Bool(true)),
            ("_a".to_owned(), Given::List(Vec::new())),
            ("list".to_owned(), Given::List(list.to_vec())),
            ("c.d".to_owned(), Given::Unreadable("damaged".into())),
        ];
        let refusals = converted(fields, Renames::default()).unwrap_err();
        let paths: Vec<&str> = refusals.kept.iter().map(|refusal| &*refusal.path).collect();
        assert_eq!(paths, ["_id", "_a", "list.1.$b", "list.1.$b", "c.d", "c.d"]);
        let many = (0..100).map(|n| (format!("${n}"), Given::Null)).collect();
        let refusals = converted(many, Renames::default()).unwrap_err();
        assert_eq!((refusals.kept.len(), refusals.more), (REFUSALS_MAX, 80));
    }

    #[test]
    fn a_value_of_extended_json_with_anything_beside_it_is_refused() {
        for text in [
            r#"{"a":{"$binary":{"base64":"","subType":"00","x":1}}}"#,
            r#"{"a":{"$binary":{"base64":"","subType":"00"},"x":1}}"#,
            r#"{"a":{"$regularExpression":{"pattern":"","options":"","x":1}}}"#,
            r#"{"a":{"$timestamp":{"t":1,"i":1,"x":1}}}"#,
            r#"{"a":{"$dbPointer":{"$ref":"a","$id":{"$oid":"65a1b2c3d4e5f60718293a4b"},"x":1}}}"#,
            r#"{"a":{"$dbPointer":{"$ref":"a","$id":{"$oid":"65a1b2c3d4e5f60718293a4b","x":1}}}}"#,
            r#"{"a":{"$date":{"$numberLong":"1","x":1}}}"#,
            r#"{"a":{"$oid":"65a1b2c3d4e5f60718293a4b","x":1}}"#,
            r#"{"a":{"$code":"","$scope":{},"x":1}}"#,
        ] {
            let document: Document = read(text, "").unwrap();
            let refusals = converted(extended(document), Renames::default()).unwrap_err();
            assert!(refusals.kept[0].reason.contains("no such value"), "{text}");
        }
    }
}
