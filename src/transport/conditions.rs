//! `ETag`, `If-Match` and `If-None-Match`: an event's version, as HTTP says it.

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName};

use crate::domain::Invalid;
use crate::protocol::{Code, Failure};

/// The entity tag of an event at this version.
pub(super) fn tag(version: u64) -> String {
    format!("\"{version}\"")
}

/// Whether the client has the event as this tag names it. A weak tag is as good: what is compared is the
/// version.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let listed = headers.get_all(IF_NONE_MATCH).iter();
    let mut tags = listed.filter_map(|value| value.to_str().ok());
    tags.any(|tags| {
        tags.split(',')
            .map(|known| known.trim().trim_start_matches("W/"))
            .any(|known| known == tag || known == "*")
    })
}

/// The version that `If-Match` names: the write takes place at that version alone. `*` names none: the event
/// must be there, as it must in any case.
pub(super) fn expected_version(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let Some(text) = text(headers, &IF_MATCH)? else {
        return Ok(None);
    };
    if text == "*" {
        return Ok(None);
    }
    let version = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .and_then(|text| text.parse().ok())
        .filter(|version| *version > 0);
    let invalid = || invalid(&IF_MATCH, "expected one ETag as it was given, or *");
    version.map(Some).ok_or_else(invalid)
}

/// Whether the write asks that there be no such event: `If-None-Match: *`.
pub(super) fn expects_none(headers: &HeaderMap) -> Result<bool, Failure> {
    match text(headers, &IF_NONE_MATCH)? {
        None => Ok(false),
        Some("*") => Ok(true),
        Some(_) => Err(invalid(&IF_NONE_MATCH, "expected *")),
    }
}

/// What a condition that does not hold is called, when a header stated it.
pub(super) fn failed(failure: Failure) -> Failure {
    match failure.code {
        Code::VersionConflict | Code::AlreadyExists => Failure {
            code: Code::PreconditionFailed,
            ..failure
        },
        _ => failure,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Failure> {
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

fn invalid(name: &HeaderName, reason: &str) -> Failure {
    Failure::at(Code::BadRequest, Invalid::new(name.as_str(), reason))
}
