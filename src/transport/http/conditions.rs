//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110, 8.8.3 and 13.1): the version of an event, in HTTP's terms.

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName};

use super::header::invalid;
use crate::domain::{Precondition, Versions};
use crate::protocol::{Code, Failure};
use crate::value::{Document, Invalid, Value};

/// The entity tag of an event at this version.
pub(crate) fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// The precondition that the headers state. `If-Match` compares strongly, so a weak tag matches no version; for
/// `If-None-Match` it equals a strong one (RFC 9110, 13.1.1 and 13.1.2).
pub(crate) fn read(headers: &HeaderMap) -> Result<Precondition, Failure> {
    let is_strong = |tag: &EntityTag<'_>| !tag.is_weak;
    Ok(Precondition {
        is_at: versions(headers, &IF_MATCH, is_strong)?,
        is_not_at: versions(headers, &IF_NONE_MATCH, |_| true)?,
    })
}

/// Refuses preconditions of a request that is not about one event.
pub(crate) fn refuse(headers: &HeaderMap) -> Result<(), Failure> {
    let mut names = [IF_MATCH, IF_NONE_MATCH].into_iter();
    match names.find(|name| headers.contains_key(name)) {
        None => Ok(()),
        Some(name) => Err(invalid(
            &name,
            "there is no one event here that has a version",
        )),
    }
}

/// Whether `If-None-Match` names the one tag that a file has: then the client has it already.
pub(crate) fn is_current(headers: &HeaderMap, etag: &str) -> Result<bool, Failure> {
    let Some(list) = list(headers, &IF_NONE_MATCH) else {
        return Ok(false);
    };
    let opaque = etag.trim_matches('"').as_bytes();
    let is_named = |tags: Vec<EntityTag<'_>>| tags.iter().any(|tag| tag.opaque == opaque);
    Ok(is_any(&list) || is_named(read_tags(&list, &IF_NONE_MATCH)?))
}

/// Adds the one version that `If-Match` names to the payload, as `expectedVersion`: the command is the same as with
/// that, and so is its repetition.
pub(crate) fn add_expected_version(
    precondition: &Precondition,
    payload: &mut Document,
) -> Result<(), Failure> {
    const NAME: &str = "expectedVersion";
    let Some(versions) = &precondition.is_at else {
        return Ok(());
    };
    match payload.get(NAME) {
        Some(Value::Int(version)) if !versions.contain(version.cast_unsigned()) => {
            let reason = "If-Match names another version";
            let path = format!("payload.{NAME}");
            return Err(Failure::at(Code::BadRequest, Invalid::new(path, reason)));
        }
        Some(Value::Null) => drop(payload.remove(NAME)),
        Some(_) => return Ok(()),
        None => {}
    }
    if let Versions::Of(versions) = versions
        && let [version] = versions[..]
        && let Ok(version) = i64::try_from(version)
    {
        payload.push(NAME, version);
    }
    Ok(())
}

/// An entity tag as a client wrote it.
struct EntityTag<'a> {
    opaque: &'a [u8],
    is_weak: bool,
}

/// The versions that a header names, on one line or several. A tag that livelog never gave matches no version.
fn versions(
    headers: &HeaderMap,
    name: &HeaderName,
    counts: impl Fn(&EntityTag<'_>) -> bool,
) -> Result<Option<Versions>, Failure> {
    let Some(list) = list(headers, name) else {
        return Ok(None);
    };
    if is_any(&list) {
        return Ok(Some(Versions::Any));
    }
    let tags = read_tags(&list, name)?;
    let versions = tags.iter().filter(|tag| counts(tag)).filter_map(version);
    Ok(Some(Versions::Of(versions.collect())))
}

/// What a header says on all of its lines.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<&[u8]> = lines.map(|line| line.as_bytes()).collect();
    (!lines.is_empty()).then(|| lines.join(&b","[..]))
}

fn is_any(list: &[u8]) -> bool {
    list.trim_ascii() == b"*"
}

fn read_tags<'a>(list: &'a [u8], name: &HeaderName) -> Result<Vec<EntityTag<'a>>, Failure> {
    let tags = tags(list).filter(|tags| !tags.is_empty());
    tags.ok_or_else(|| invalid(name, "expected ETags as they were given, or *"))
}

fn version(tag: &EntityTag<'_>) -> Option<u64> {
    let text = std::str::from_utf8(tag.opaque).ok()?;
    let version: u64 = text.parse().ok()?;
    // Tags are compared byte by byte: "01" is not "1".
    (version.to_string() == text).then_some(version)
}

/// Reads `"1", W/"2"`, where elements may be empty (RFC 9110, 5.6.1.2); `None` if it is not such a list.
fn tags(mut list: &[u8]) -> Option<Vec<EntityTag<'_>>> {
    let mut tags = Vec::new();
    loop {
        list = list.trim_ascii_start();
        if let Some(rest) = list.strip_prefix(b",") {
            list = rest;
            continue;
        }
        if list.is_empty() {
            return Some(tags);
        }
        let weak = list.strip_prefix(b"W/");
        let quoted = weak.unwrap_or(list).strip_prefix(b"\"")?;
        let end = quoted.iter().position(|byte| *byte == b'"')?;
        let (opaque, rest) = (&quoted[..end], &quoted[end + 1..]);
        if opaque.iter().any(|byte| matches!(byte, 0..=b' ' | 0x7f)) {
            return None;
        }
        tags.push(EntityTag {
            opaque,
            is_weak: weak.is_some(),
        });
        list = rest.trim_ascii_start();
        if !list.is_empty() && !list.starts_with(b",") {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn precondition(name: &HeaderName, lines: &[&str]) -> Result<Option<Versions>, Code> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, line.parse().unwrap());
        }
        let precondition = read(&headers).map_err(|failure| failure.code)?;
        Ok(precondition.is_at.or(precondition.is_not_at))
    }

    #[test]
    fn lists_of_tags_are_read_as_the_rfc_writes_them() {
        let of = |versions: &[u64]| Ok(Some(Versions::Of(versions.to_vec())));
        for (lines, strong, weak) in [
            (&["\"1\""][..], of(&[1]), of(&[1])),
            (
                &["\"1\" , \"22\",", ",\"3\""],
                of(&[1, 22, 3]),
                of(&[1, 22, 3]),
            ),
            (&["W/\"1\",\"2\""], of(&[2]), of(&[1, 2])),
            (&["\"a,b\", \"01\", \"+1\", \"\", \"-\""], of(&[]), of(&[])),
            (&[" * "], Ok(Some(Versions::Any)), Ok(Some(Versions::Any))),
            (&[], Ok(None), Ok(None)),
        ] {
            assert_eq!(precondition(&IF_MATCH, lines), strong, "{lines:?}");
            assert_eq!(precondition(&IF_NONE_MATCH, lines), weak, "{lines:?}");
        }
        for lines in [
            &[""][..],
            &["1"],
            &["\"1"],
            &["w/\"1\""],
            &["W/ \"1\""],
            &["\"1\" \"2\""],
            &["\"1\";q=1"],
            &["*", "\"1\""],
            &["*,*"],
            &["\"a b\""],
            &[","],
            &["'1'"],
        ] {
            assert_eq!(
                precondition(&IF_MATCH, lines),
                Err(Code::BadRequest),
                "{lines:?}"
            );
            assert_eq!(
                precondition(&IF_NONE_MATCH, lines),
                Err(Code::BadRequest),
                "{lines:?}"
            );
        }
    }
}
