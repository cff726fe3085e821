//! What is asked, within a rule.

use super::*;

#[test]
fn what_is_asked_is_asked_within_the_rule_and_without_the_hidden() {
    let user = grant(r#"{"read":{"public":true},"hide":["secret"]}"#, "{}");
    let asked = Query {
        filter: Filter::parse(&value(r#"{"a":1}"#), "").unwrap(),
        fields: Fields::parse(&value(r#"["a","b"]"#), "").unwrap(),
        ..Query::everything()
    };
    let query = user.query(&asked, "payload").unwrap();
    let steps = Steps::unbounded();
    let matches = |json: &str| query.filter.matches(&document(json), &steps).unwrap();
    assert!(matches(r#"{"a":1,"public":true}"#));
    assert!(!matches(r#"{"a":1}"#) && !matches(r#"{"public":true}"#));
    assert_ne!(
        query.filter.digest(),
        asked.filter.digest(),
        "another group of subscriptions"
    );
    let whole = user.query(&Query::everything(), "payload").unwrap();
    let shown = whole.fields.project(&document(r#"{"a":1,"secret":2}"#));
    assert_eq!(shown, document(r#"{"a":1}"#));
    for (asked, path) in [
        (
            Query {
                filter: Filter::parse(&value(r#"{"secret":1}"#), "").unwrap(),
                ..asked.clone()
            },
            "payload.filter.secret",
        ),
        (
            Query {
                sort: Sort::parse(&value(r#"{"secret":1}"#), "").unwrap(),
                ..asked.clone()
            },
            "payload.sort.secret",
        ),
        (
            Query {
                fields: Fields::parse(&value(r#"["secret.x"]"#), "").unwrap(),
                ..asked.clone()
            },
            "payload.fields.secret.x",
        ),
    ] {
        assert_eq!(user.query(&asked, "payload").unwrap_err().path, path);
    }
}
