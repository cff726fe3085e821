//! Headers that may be given once.

use axum::http::{HeaderMap, HeaderName};

use crate::protocol::{Code, Failure};
use crate::value::Invalid;

/// The value of a header that must not be given twice; `None` if it is not given.
pub(crate) fn once<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, Failure> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => Err(invalid(name, "expected text")),
        },
        (Some(_), Some(_)) => Err(invalid(name, "given twice")),
    }
}

pub(crate) fn invalid(name: &HeaderName, reason: &str) -> Failure {
    Failure::at(Code::BadRequest, Invalid::new(name.as_str(), reason))
}
