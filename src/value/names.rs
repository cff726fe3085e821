//! The names that a request may use: any other is refused, with the nearest known name as a hint.

use super::check::{Invalid, join};
use super::{Document, Value};

/// A longer name is no slip of a finger, and comparing it would cost by its length.
const SIMILAR_BYTES_MAX: usize = 32;

/// Checks that all names are `known`, and drops those whose value is `null`, which is the same as leaving them out.
/// `at` is the path of `given`.
///
/// # Errors
/// The first unknown name, with its path.
pub fn known(given: Document, at: &str, known: &[&str]) -> Result<Document, Invalid> {
    if let Some((name, _)) = given.iter().find(|(name, _)| !known.contains(name)) {
        return Err(Invalid::new(join(at, name), unknown("field", name, known)));
    }
    let has_null = given.iter().any(|(_, value)| *value == Value::Null);
    match has_null {
        false => Ok(given),
        true => {
            let fields = given.into_iter();
            Ok(fields.filter(|(_, value)| *value != Value::Null).collect())
        }
    }
}

/// The reason to refuse a name that is not `known`; `kind` says of what.
pub fn unknown(kind: &str, name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return format!("unknown {kind}: none is taken here");
    }
    match nearest(name, known) {
        Some(near) => format!("unknown {kind}: did you mean {near}?"),
        None => format!("unknown {kind}: expected {}", known.join(", ")),
    }
}

/// The known name that was probably meant: one with nearly the same letters, or else with a common part. Capitals do
/// not count.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.len() > SIMILAR_BYTES_MAX {
        return None;
    }
    let name = name.to_lowercase();
    misspelt(&name, known).or_else(|| related(&name, known))
}

/// By edit distance: one letter in three may be wrong.
fn misspelt<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let distances = known.iter().map(|known| {
        let wrong = strsim::osa_distance(name, &known.to_lowercase());
        (wrong, *known)
    });
    let (wrong, near) = distances.min()?;
    (wrong * 3 <= near.len()).then_some(near)
}

/// By a common part: a known name that begins with this one (`update`, `updateData`), or that this one begins or ends
/// with (`_id`, `id`). One letter is not enough.
fn related<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let is_related = |known: &&&str| {
        let known = known.to_lowercase();
        let has_part = name.starts_with(&known) || name.ends_with(&known);
        (known.len() > 1 && has_part) || (name.len() > 1 && known.starts_with(name))
    };
    known
        .iter()
        .filter(is_related)
        .max_by_key(|known| known.len())
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_name_is_told_if_it_is_near() {
        let names = ["filter", "sort", "limit", "minSeq"];
        for (name, near) in [
            ("filer", Some("filter")),
            ("filters", Some("filter")),
            ("srot", Some("sort")),
            ("minseq", Some("minSeq")),
            ("min_seq", Some("minSeq")),
            ("LIMIT", Some("limit")),
            ("where", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &names), near, "{name}");
        }
        assert_eq!(nearest(&"filter".repeat(9), &names), None);
        let names = ["id", "updateData", "expectedVersion", "at"];
        for (name, near) in [
            ("update", Some("updateData")),
            ("expected", Some("expectedVersion")),
            ("_id", Some("id")),
            ("eventId", Some("id")),
            ("data", None),
            ("u", None),
        ] {
            assert_eq!(nearest(name, &names), near, "{name}");
        }
    }

    #[test]
    fn null_is_not_given_and_an_unknown_name_is_refused_even_so() {
        let asked = |name: &str| Document::from_iter([("a", Value::Int(1)), (name, Value::Null)]);
        let given = known(asked("b"), "payload", &["a", "b"]).unwrap();
        assert_eq!(given, Document::from_iter([("a", Value::Int(1))]));
        let refused = known(asked("c"), "payload", &["a", "b"]).unwrap_err();
        assert_eq!(refused.path, "payload.c");
    }
}
