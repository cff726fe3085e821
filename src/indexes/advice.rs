//! Which index would help a query.

use super::spans::Conjunction;
use crate::limits;
use crate::query::{Direction, Query};

/// The index that would answer a query without looking at all events, as it would be declared; `None` if none would.
///
/// First what equals one value, then the order; or else what is compared.
pub fn advice(query: &Query) -> Option<String> {
    let conjunction = Conjunction::of(&query.filter.root);
    let mut fields: Vec<String> = Vec::new();
    let sorted: Vec<(&str, Direction)> = query
        .sort
        .keys()
        .iter()
        .take_while(|key| !key.is_id())
        .map(|key| (key.path.as_str(), key.direction))
        .collect();
    let is_sorted = |path: &str| sorted.iter().any(|(other, _)| *other == path);
    for path in conjunction.equal_paths() {
        if !is_sorted(path) && !fields.iter().any(|field| field == path) {
            fields.push(path.to_owned());
        }
    }
    let room = limits::INDEX_FIELDS_MAX.saturating_sub(sorted.len());
    fields.truncate(room.min(EQUAL_MAX));
    fields.extend(sorted.iter().map(|(path, direction)| match direction {
        Direction::Ascending => (*path).to_owned(),
        Direction::Descending => format!("-{path}"),
    }));
    if fields.is_empty() {
        fields.extend(conjunction.compared_paths().next().map(str::to_owned));
    }
    let fits = (1..=limits::INDEX_FIELDS_MAX).contains(&fields.len());
    fits.then(|| fields.join(","))
}

/// More fields narrow little more, and every one costs with every write.
const EQUAL_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Document;

    fn of(json: &str) -> Option<String> {
        let asked: Document = serde_json::from_str(json).expect("the test's own JSON");
        advice(&Query::parse(&asked, "").expect("a good query"))
    }

    #[test]
    fn the_index_that_would_help_is_what_equals_and_then_the_order() {
        for (query, index) in [
            (r#"{"filter":{"owner":"u1"}}"#, Some("owner")),
            (r#"{"filter":{"owner":"u1","n":{"$gt":1}}}"#, Some("owner")),
            (r#"{"filter":{"n":{"$gt":1}}}"#, Some("n")),
            (
                r#"{"filter":{"status":"open"},"sort":{"due":-1}}"#,
                Some("status,-due"),
            ),
            (
                r#"{"filter":{"a":1,"b":2,"c":3},"sort":{"d":1,"a":1}}"#,
                Some("b,c,d,a"),
            ),
            (r#"{"sort":{"_createdAt":-1}}"#, Some("-_createdAt")),
            (r#"{"filter":{"$nor":[{"a":1}]}}"#, None),
            (r#"{"sort":{"a":1,"b":1,"c":1,"d":1,"e":1}}"#, None),
        ] {
            assert_eq!(of(query).as_deref(), index, "{query}");
        }
    }
}
