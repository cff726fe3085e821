//! What the `_id` of a document becomes: the text by which people know it.

use uuid::Uuid;

use super::convert::date;
use super::given::Given;
use crate::value::{hex, whole};

/// The text of an id.
///
/// # Errors
/// Why it has none.
pub(super) fn text(id: &Given) -> Result<String, String> {
    let kind = match id {
        Given::Text(text) => return Ok(text.clone()),
        Given::ObjectId(bytes) => return Ok(hex(bytes)),
        Given::Int(number) => return Ok(number.to_string()),
        Given::Float(number) => match whole(*number) {
            Some(number) => return Ok(number.to_string()),
            None if !number.is_finite() => "NaN or infinity",
            None if number.fract() == 0.0 => "a number beyond 64 bits",
            None => "a fraction",
        },
        Given::Uuid(bytes) => return Ok(Uuid::from_bytes(*bytes).to_string()),
        Given::Decimal(text) => return Ok(text.clone()),
        Given::Date(millis) => return date(*millis).map(|time| time.as_str().to_owned()),
        Given::Document(_) | Given::DbRef(_) => "a document",
        Given::List(_) => "an array",
        Given::Binary(_) => "binary data",
        Given::Null | Given::Undefined => "null",
        Given::Unreadable(reason) => return Err(reason.to_string()),
        _ => "of another type",
    };
    Err(format!(
        "its _id is {kind}: an event's id is text, which an ObjectId, string, whole number, decimal, date or UUID has"
    ))
}

/// When an ObjectId was made, in milliseconds since 1970.
pub(super) fn millis_of(object_id: [u8; 12]) -> i64 {
    let [a, b, c, d, ..] = object_id;
    i64::from(u32::from_be_bytes([a, b, c, d])) * 1000
}
