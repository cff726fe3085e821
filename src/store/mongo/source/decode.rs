//! BSON that another program wrote, as it is: every type that there is.

use std::borrow::Cow;

use bson::RawDocumentBuf;
use bson::raw::{RawArray, RawBsonRef, RawDocument, cstr};
use bson::spec::BinarySubtype;

use crate::adoption::{Given, GivenFields};
use crate::store::SourceDocument;

/// MongoDB stores no deeper ones.
const DEPTH_MAX: usize = 200;

const UNREADABLE: Given =
    Given::Unreadable(Cow::Borrowed("it is no BSON, or its text is no UTF-8"));

pub(super) fn document(document: &RawDocument) -> SourceDocument {
    SourceDocument {
        fields: fields(document, 1),
        bytes: document.as_bytes().len(),
    }
}

/// What cannot be read is a field of its own, and the last.
fn fields(document: &RawDocument, depth: usize) -> GivenFields {
    let mut fields = Vec::new();
    for element in document.iter_elements() {
        let Ok(element) = element else {
            fields.push(("?".to_owned(), UNREADABLE));
            break;
        };
        let value = element
            .value()
            .map_or(UNREADABLE, |value| self::value(value, depth));
        fields.push((element.key().as_str().to_owned(), value));
    }
    fields
}

fn items(array: &RawArray, depth: usize) -> Vec<Given> {
    let items = array.into_iter();
    items
        .map(|item| item.map_or(UNREADABLE, |item| value(item, depth)))
        .collect()
}

/// A value in a document that is `depth` levels deep.
pub(super) fn value(value: RawBsonRef<'_>, depth: usize) -> Given {
    if depth > DEPTH_MAX {
        return Given::Unreadable("nested deeper than MongoDB allows".into());
    }
    match value {
        RawBsonRef::Null => Given::Null,
        RawBsonRef::Boolean(flag) => Given::Bool(flag),
        RawBsonRef::Int32(number) => Given::Int(number.into()),
        RawBsonRef::Int64(number) => Given::Int(number),
        RawBsonRef::Double(number) => Given::Float(number),
        RawBsonRef::String(text) => Given::Text(text.to_owned()),
        RawBsonRef::Document(document) => Given::document(fields(document, depth + 1)),
        RawBsonRef::Array(array) => Given::List(items(array, depth + 1)),
        RawBsonRef::ObjectId(id) => Given::ObjectId(id.bytes()),
        RawBsonRef::DateTime(time) => Given::Date(time.timestamp_millis()),
        RawBsonRef::Decimal128(number) => Given::Decimal(number.to_string()),
        RawBsonRef::Binary(binary) => Given::binary(subtype(binary.subtype), binary.bytes.to_vec()),
        RawBsonRef::Timestamp(timestamp) => Given::Timestamp {
            time: timestamp.time,
            increment: timestamp.increment,
        },
        RawBsonRef::RegularExpression(regex) => Given::Regex {
            pattern: regex.pattern.as_str().to_owned(),
            options: regex.options.as_str().to_owned(),
        },
        RawBsonRef::Symbol(text) => Given::Symbol(text.to_owned()),
        RawBsonRef::JavaScriptCode(code) => Given::Code(code.to_owned()),
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            Given::CodeWithScope(code.code.to_owned(), fields(code.scope, depth + 1))
        }
        RawBsonRef::MinKey => Given::MinKey,
        RawBsonRef::MaxKey => Given::MaxKey,
        RawBsonRef::Undefined => Given::Undefined,
        RawBsonRef::DbPointer(_) => pointed(value).unwrap_or(UNREADABLE),
    }
}

/// A DBPointer, whose parts the driver keeps to itself: a length, so many bytes of text with a NUL, and an ObjectId.
fn pointed(pointer: RawBsonRef<'_>) -> Option<Given> {
    let mut holder = RawDocumentBuf::new();
    holder.append(cstr!("p"), pointer);
    let (length, rest) = holder.as_bytes().get(7..)?.split_first_chunk::<4>()?;
    let length = usize::try_from(i32::from_le_bytes(*length)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    Some(Given::DbPointer {
        namespace: str::from_utf8(text.strip_suffix(&[0])?).ok()?.to_owned(),
        id: *rest.first_chunk()?,
    })
}

fn subtype(subtype: BinarySubtype) -> u8 {
    subtype.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Damaged bytes are a value that is refused, never a panic.
        #[test]
        fn any_bytes_are_read(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let length = i32::try_from(body.len() + 5).expect("short");
            let bytes = [&length.to_le_bytes()[..], &body, &[0]].concat();
            if let Ok(raw) = RawDocument::from_bytes(&bytes) {
                prop_assert_eq!(document(raw).bytes, bytes.len());
            }
        }
    }

    #[test]
    fn a_db_pointer_is_read_though_the_driver_hides_its_parts() {
        let text = [&[4, 0, 0, 0][..], b"a.b\0", &[7; 12]].concat();
        let element = [&[0x0c][..], b"p\0", &text, &[0]].concat();
        let length = i32::try_from(element.len() + 4).expect("short");
        let bytes = [&length.to_le_bytes()[..], &element].concat();
        let raw = RawDocument::from_bytes(&bytes).expect("a document");
        let namespace = "a.b".to_owned();
        let expected = Given::DbPointer {
            namespace,
            id: [7; 12],
        };
        assert_eq!(document(raw).fields, [("p".to_owned(), expected)]);
    }
}
