//! Claims, where they stand and where they are missing.

use super::*;

#[test]
fn a_claim_is_filled_in_as_a_value() {
    let own = r#"{"owner":{"$claim":"sub"}}"#;
    for (claims, owner, is_seen) in [
        (r#"{"sub":"u1"}"#, r#""u1""#, true),
        (r#"{"sub":"u1"}"#, r#""u2""#, false),
        (r#"{"sub":7}"#, "7", true),
        (r#"{"sub":7}"#, r#""7""#, false),
        (r#"{"sub":true}"#, "true", true),
        (r#"{"sub":"$ne"}"#, r#""x""#, false),
        (r#"{"sub":"{\"$ne\":1}"}"#, r#""x""#, false),
        (r#"{"sub":{"$ne":"x"}}"#, r#""y""#, false),
        (r#"{"sub":["u1"]}"#, r#""u1""#, false),
        (r#"{"sub":null}"#, "null", false),
        ("{}", "null", false),
    ] {
        assert_eq!(
            reads(own, claims, &format!(r#"{{"owner":{owner}}}"#)),
            is_seen,
            "{claims} {owner}"
        );
    }
    assert!(
        !reads(own, "{}", "{}"),
        "what has no owner is not of who has no subject"
    );
    let teams = r#"{"team":{"$in":{"$claim":"org.teams"}}}"#;
    for (claims, is_seen) in [
        (r#"{"org":{"teams":["a","b"]}}"#, true),
        (r#"{"org":{"teams":[]}}"#, false),
        (r#"{"org":{"teams":"b"}}"#, false),
        (r#"{"org":{"teams":[["b"],"b"]}}"#, false),
        (r#"{"org":{"teams":[{"$ne":1},"b"]}}"#, false),
        (r#"{"org":"b"}"#, false),
        (r#"{"org.teams":["b"]}"#, true),
        (r#"{"org.teams":["a"],"org":{"teams":["b"]}}"#, false),
    ] {
        assert_eq!(reads(teams, claims, r#"{"team":"b"}"#), is_seen, "{claims}");
    }
}

#[test]
fn a_claim_that_is_missing_makes_its_rule_false_also_where_it_is_negated() {
    let seen = r#"{"public":true,"owner":"u2","tags":["x"]}"#;
    for (rule, without, with) in [
        (
            r#"{"$or":[{"public":true},{"owner":{"$claim":"sub"}}]}"#,
            true,
            true,
        ),
        (r#"{"$or":[{"owner":{"$claim":"sub"}}]}"#, false, false),
        (
            r#"{"public":true,"owner":{"$ne":{"$claim":"sub"}}}"#,
            false,
            true,
        ),
        (r#"{"owner":{"$nin":[{"$claim":"sub"}]}}"#, false, true),
        (r#"{"owner":{"$nin":{"$claim":"list"}}}"#, false, true),
        (
            r#"{"owner":{"$not":{"$eq":{"$claim":"sub"}}}}"#,
            false,
            true,
        ),
        (r#"{"$nor":[{"owner":{"$claim":"sub"}}]}"#, false, true),
        (
            r#"{"$nor":[{"$or":[{"owner":{"$claim":"sub"}},{"a":1}]}]}"#,
            false,
            true,
        ),
        (
            r#"{"$or":[{"public":true},{"$nor":[{"owner":{"$claim":"sub"}}]}]}"#,
            false,
            true,
        ),
        (
            r#"{"$or":[{"public":true},{"owner":{"$ne":{"$claim":"sub"}}}]}"#,
            false,
            true,
        ),
        (
            r#"{"$and":[{"public":true},{"owner":{"$lte":{"$claim":"sub"}}}]}"#,
            false,
            false,
        ),
        (
            r#"{"$or":[{"public":true},{"tags":{"$elemMatch":{"$eq":{"$claim":"sub"}}}}]}"#,
            true,
            true,
        ),
        (
            r#"{"tags":{"$not":{"$elemMatch":{"$eq":{"$claim":"sub"}}}}}"#,
            false,
            true,
        ),
        (
            r#"{"tags":{"$elemMatch":{"$or":[{"a":{"$claim":"sub"}},{"b":1}]}}}"#,
            false,
            false,
        ),
    ] {
        assert_eq!(
            reads(rule, "{}", seen),
            without,
            "{rule} without the claims"
        );
        assert_eq!(
            reads(rule, r#"{"sub":"u1","list":["u1"]}"#, seen),
            with,
            "{rule}"
        );
    }
}

#[test]
fn claims_stand_only_where_a_value_does() {
    for (rule, path) in [
        (
            r#"{"a":{"$regex":{"$claim":"sub"}}}"#,
            "roles.user.read.a.$regex",
        ),
        (
            r#"{"a":{"$exists":{"$claim":"sub"}}}"#,
            "roles.user.read.a.$exists",
        ),
        (
            r#"{"a":{"$size":{"$claim":"sub"}}}"#,
            "roles.user.read.a.$size",
        ),
        (r#"{"a":{"$claim":"sub","$eq":1}}"#, "roles.user.read.a"),
        (r#"{"a":{"$claim":7}}"#, "roles.user.read.a.$claim"),
        (r#"{"a":{"$claim":"a..b"}}"#, "roles.user.read.a.$claim"),
        (r#"{"$or":{"$claim":"sub"}}"#, "roles.user.read.$or"),
        (r#"{"$claim":"sub"}"#, "roles.user.read.$claim"),
        (r#"{"a":{"$gt":{"$foo":1}}}"#, "roles.user.read.a.$gt.$foo"),
        ("7", "roles.user.read"),
    ] {
        let file = format!(r#"{{"roles":{{"user":{{"read":{rule}}}}}}}"#);
        let invalid = Policy::parse(&document(&file)).expect_err(rule);
        assert!(invalid.path.starts_with(path), "{rule}: {invalid}");
    }
}

#[test]
fn a_token_can_narrow_what_is_read_and_never_widen_it() {
    let role = r#"{"read":{"public":true}}"#;
    let narrow = grant(role, r#"{"livelog":{"read":{"room":"a"}}}"#);
    assert!(sees(&narrow, r#"{"public":true,"room":"a"}"#));
    assert!(!sees(&narrow, r#"{"public":true}"#) && !sees(&narrow, r#"{"room":"a"}"#));
    let policy = policy(r#"{"roles":{"user":{"read":true}}}"#);
    for bad in [
        r#"{"read":{"$where":1}}"#,
        r#"{"read":{},"write":false}"#,
        r#"{"Read":{"room":"a"}}"#,
        r#"{"read":null}"#,
        "{}",
        "null",
        "[]",
        "true",
    ] {
        let bad = somebody(&format!(r#"{{"role":"user","livelog":{bad}}}"#));
        let admitted = policy.admit(&bad, None);
        assert!(matches!(admitted, Err(PolicyError::BadFilter(_))));
    }
}
