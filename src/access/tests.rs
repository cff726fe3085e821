//! What rules come to.

use std::sync::Arc;

use super::*;
use crate::domain::{
    Author, Change, Command, CommandBatch, CommandKind, Event, EventId, EventState, Seq, Stamp,
    Timestamp, decide,
};
use crate::query::{Fields, Filter, Query, Sort};
use crate::value::{Document, Steps, Value};

pub(super) fn document(json: &str) -> Document {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("the test's own JSON")
}

fn policy(json: &str) -> Policy {
    Policy::parse(&document(json)).unwrap_or_else(|invalid| panic!("{invalid}: {json}"))
}

fn somebody(claims: &str) -> Principal {
    let author = Author::Token {
        issuer: "test".into(),
        subject: "u1".into(),
    };
    Principal {
        author: Some(Arc::new(author)),
        role: None,
        claims: Claims::new(document(claims)),
        issued_at: None,
    }
}

/// What who has these claims may do in a role with these rules.
pub(super) fn grant(role: &str, claims: &str) -> Grant {
    let policy = policy(&format!(r#"{{"roles":{{"user":{role}}}}}"#));
    let mut principal = somebody(claims);
    let mut claims = document(claims);
    claims.push("role", "user");
    principal.claims = Claims::new(claims);
    policy.admit(&principal, None).expect("the role is there")
}

pub(super) fn stamp(seq: u64) -> Stamp {
    Stamp {
        seq: Seq::new(seq),
        at: Timestamp::parse("2026-01-31T12:00:00.000Z").expect("a fixed time"),
    }
}

/// The state of the event `e` with these fields.
fn state(current: Option<&str>) -> EventState {
    EventState {
        id: EventId::parse("e").expect("an id"),
        current: current.map(|json| Arc::new(event(json))),
        last_version: 0,
        earlier: None,
    }
}

pub(super) fn event(json: &str) -> Event {
    let create = CommandBatch::parse(CommandKind::Create, document(json), None);
    let create = &create.expect("a good event").commands[0];
    let change = decide(&state(None), create, stamp(1), &Steps::unbounded());
    let change = change.expect("it is new");
    (**change.after().expect("it was created")).clone()
}

fn sees(grant: &Grant, json: &str) -> bool {
    grant
        .sees(&event(json), &Steps::unbounded())
        .expect("steps without a bound do not run out")
}

fn hears(grant: &Grant, payload: &str) -> bool {
    let payload = value(payload);
    grant
        .hears()
        .hears(payload.as_object(), &Steps::unbounded())
}

/// Whether a rule with these claims sees this event.
fn reads(rule: &str, claims: &str, json: &str) -> bool {
    sees(&grant(&format!(r#"{{"read":{rule}}}"#), claims), json)
}

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
        (r#"{"org.teams":["b"]}"#, false),
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
fn what_a_role_does_not_say_it_does_not_allow() {
    let nothing = grant("{}", r#"{"sub":"u1"}"#);
    assert!(!sees(&nothing, "{}") && !nothing.may_broadcast() && !nothing.is_operator());
    assert!(!hears(&nothing, "{}") && !hears(&nothing, "1") && nothing.hears().is_nothing());
    assert_eq!(nothing.past(), Past::None);
    let all = grant(
        r#"{"read":true,"broadcast":{"send":true,"hear":true},"past":"all"}"#,
        "{}",
    );
    assert!(sees(&all, "{}") && all.may_broadcast() && all.sees_everything());
    assert!(hears(&all, "{}") && hears(&all, "1") && all.hears().is_everything());
    let rooms = grant(
        r#"{"broadcast":{"hear":{"room":{"$in":{"$claim":"rooms"}}}}}"#,
        r#"{"rooms":["a"]}"#,
    );
    assert!(hears(&rooms, r#"{"room":"a"}"#));
    assert!(!hears(&rooms, r#"{"room":"b"}"#) && !hears(&rooms, r#""a""#));
}

/// Decides a command on an event, and judges it as the committer does.
fn written(
    grant: &Grant,
    kind: CommandKind,
    payload: &str,
    current: Option<&str>,
) -> Result<Change, Denied> {
    let batch = CommandBatch::parse(kind, document(payload), None).expect("a good command");
    let command: &Command = &batch.commands[0];
    grant.check(command)?;
    let change = decide(&state(current), command, stamp(9), &Steps::unbounded());
    let change = change.expect("it fits");
    grant.judge(&change, &Steps::unbounded())?;
    Ok(change)
}

#[test]
fn writes_are_judged_on_what_is_and_on_what_would_be() {
    use CommandKind::{Create, Delete, Update};
    let own = r#"{"owner":{"$claim":"sub"}}"#;
    let role = format!(
        r#"{{"read":{{"$or":[{{"public":true}},{own}]}},"create":{{"after":{own}}},
            "update":{{"before":{own},"after":{own},"only":["title","tags"],"never":["tags.0"]}},
            "delete":{{"before":{own}}}}}"#
    );
    let user = grant(&role, r#"{"sub":"u1"}"#);
    let forbidden = |path: &str| Err(Denied::Forbidden(Some(path.to_owned())));
    let refused = Err(Denied::Forbidden(None));
    let outcome = |kind, payload, current| written(&user, kind, payload, current).map(drop);
    let mine = Some(r#"{"owner":"u1","title":"a","tags":["x"]}"#);
    let public = Some(r#"{"owner":"u2","public":true}"#);
    let foreign = Some(r#"{"owner":"u2"}"#);
    assert_eq!(outcome(Create, r#"{"_id":"e","owner":"u1"}"#, None), Ok(()));
    assert_eq!(
        outcome(Create, r#"{"_id":"e","owner":"u2"}"#, None),
        refused
    );
    assert_eq!(outcome(Create, r#"{"_id":"e"}"#, None), refused);
    let title = r#"{"id":"e","updateData":{"title":"b"}}"#;
    assert_eq!(outcome(Update, title, mine), Ok(()));
    assert_eq!(outcome(Update, title, public), refused);
    assert_eq!(outcome(Update, title, foreign), Err(Denied::Unseen));
    for (payload, path) in [
        (
            r#"{"id":"e","updateData":{"title":"b","color":"red"}}"#,
            "color",
        ),
        (r#"{"id":"e","updateData":{"$unset":{"owner":1}}}"#, "owner"),
        (r#"{"id":"e","updateData":{"tags.0":"y"}}"#, "tags.0"),
        (r#"{"id":"e","updateData":{"tags":[]}}"#, "tags"),
        (r#"{"id":"e","mergePatch":{"x":1}}"#, "x"),
    ] {
        let found = outcome(Update, payload, mine);
        let is_leaving = payload.contains("$unset");
        assert_eq!(
            found,
            if is_leaving {
                refused.clone()
            } else {
                forbidden(path)
            },
            "{payload}"
        );
    }
    assert_eq!(
        outcome(Update, r#"{"id":"e","updateData":{"tags.1":"y"}}"#, mine),
        Ok(())
    );
    assert_eq!(outcome(Delete, r#"{"id":"e"}"#, mine), Ok(()));
    assert_eq!(outcome(Delete, r#"{"id":"e"}"#, public), refused);
    assert_eq!(
        outcome(Delete, r#"{"id":"e"}"#, foreign),
        Err(Denied::Unseen)
    );
    let nobody = grant(&role, "{}");
    let found = written(&nobody, Create, r#"{"_id":"e","owner":null}"#, None);
    assert_eq!(found, Err(Denied::Forbidden(None)));
}

#[test]
fn a_command_that_names_a_hidden_field_is_refused_whatever_it_would_do() {
    use CommandKind::{Create, Restore, Update};
    let role =
        r#"{"read":true,"hide":["secret","items.price"],"create":true,"update":true,"past":"all"}"#;
    let user = grant(role, "{}");
    let current = Some(r#"{"secret":5,"items":[{"price":1,"name":"a"}],"a":1}"#);
    for (payload, path) in [
        (r#"{"id":"e","updateData":{"secret":1}}"#, "secret"),
        (r#"{"id":"e","updateData":{"$max":{"secret":1}}}"#, "secret"),
        (
            r#"{"id":"e","updateData":{"$unset":{"secret.x":1}}}"#,
            "secret.x",
        ),
        (
            r#"{"id":"e","updateData":{"$rename":{"secret":"b"}}}"#,
            "secret",
        ),
        (
            r#"{"id":"e","updateData":{"$rename":{"a":"secret"}}}"#,
            "secret",
        ),
        (
            r#"{"id":"e","updateData":{"$pull":{"items":{"price":1}}}}"#,
            "items",
        ),
        (
            r#"{"id":"e","updateData":{"items.0.price":1}}"#,
            "items.0.price",
        ),
        (r#"{"id":"e","updateData":{"items":[]}}"#, "items"),
        (r#"{"id":"e","mergePatch":{"items":null}}"#, "items"),
        (r#"{"id":"e","mergePatch":{"secret":{"x":{}}}}"#, "secret.x"),
    ] {
        let denied = Denied::Forbidden(Some(path.to_owned()));
        assert_eq!(
            written(&user, Update, payload, current),
            Err(denied),
            "{payload}"
        );
    }
    let allowed = r#"{"id":"e","updateData":{"items.0.name":"b","a":2}}"#;
    assert!(written(&user, Update, allowed, current).is_ok());
    let denied = Err(Denied::Forbidden(None));
    assert_eq!(
        written(&user, Create, r#"{"items":[{"price":1}]}"#, None),
        denied
    );
    assert!(written(&user, Create, r#"{"items":[{"name":1}]}"#, None).is_ok());
    assert_eq!(
        written(&user, Restore, r#"{"id":"e","version":1}"#, current),
        denied
    );
}

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

#[test]
fn each_write_sets_what_the_role_says_or_is_none() {
    let role = r#"{"read":true,"create":true,"update":true,"set":{"owner":{"$claim":"sub"},"meta.via":"web","teams":{"$claim":"teams"}}}"#;
    let user = grant(role, r#"{"sub":"u1","teams":["a"]}"#);
    let forced = user
        .forced()
        .apply(&document(r#"{"owner":"x","a":1}"#))
        .unwrap();
    assert_eq!(
        forced,
        document(r#"{"owner":"u1","a":1,"meta":{"via":"web"},"teams":["a"]}"#)
    );
    let nobody = grant(role, r#"{"sub":"u1"}"#);
    let denied = Err(Denied::Forbidden(None));
    assert_eq!(
        written(&nobody, CommandKind::Create, r#"{"a":1}"#, None),
        denied
    );
    assert_eq!(
        written(
            &nobody,
            CommandKind::Update,
            r#"{"id":"e","updateData":{"a":1}}"#,
            Some("{}")
        ),
        denied
    );
}

#[test]
fn a_token_can_narrow_what_is_read_and_never_widen_it() {
    let role = r#"{"read":{"public":true}}"#;
    let narrow = grant(role, r#"{"livelog":{"read":{"room":"a"}}}"#);
    assert!(sees(&narrow, r#"{"public":true,"room":"a"}"#));
    assert!(!sees(&narrow, r#"{"public":true}"#) && !sees(&narrow, r#"{"room":"a"}"#));
    let policy = policy(r#"{"roles":{"user":{"read":true}}}"#);
    let bad = somebody(r#"{"role":"user","livelog":{"read":{"$where":1}}}"#);
    assert!(matches!(
        policy.admit(&bad, None),
        Err(PolicyError::BadFilter(_))
    ));
}

#[test]
fn there_is_one_role_at_a_time() {
    let policy = policy(
        r#"{"anonymous":"guest","roleClaim":"app.role","roles":{"guest":{},"a":{},"b":{}}}"#,
    );
    let role = |claims: &str, wanted: Option<&str>| {
        let admitted = policy.admit(&somebody(claims), wanted);
        admitted.map(|grant| grant.role().to_owned())
    };
    assert_eq!(role(r#"{"app":{"role":"a"}}"#, None), Ok("a".to_owned()));
    assert_eq!(
        role(r#"{"app":{"role":["x","b","a"]}}"#, None),
        Ok("b".to_owned())
    );
    assert_eq!(
        role(r#"{"app":{"role":["x","b","a"]}}"#, Some("a")),
        Ok("a".to_owned())
    );
    assert_eq!(
        role(r#"{"app":{"role":["b"]}}"#, Some("a")),
        Err(PolicyError::OtherRole)
    );
    assert_eq!(
        role(r#"{"app":{"role":"x"}}"#, None),
        Err(PolicyError::NoRole)
    );
    assert_eq!(role(r#"{"role":"a"}"#, None), Err(PolicyError::NoRole));
    let nobody = Principal {
        author: None,
        role: None,
        claims: Claims::default(),
        issued_at: None,
    };
    assert_eq!(policy.admit(&nobody, None).unwrap().role(), "guest");
    assert_eq!(
        policy.admit(&nobody, Some("a")).unwrap_err(),
        PolicyError::OtherRole
    );
    let closed = self::policy(r#"{"roles":{"a":{}}}"#);
    assert_eq!(
        closed.admit(&nobody, None).unwrap_err(),
        PolicyError::Anonymous
    );
}

#[test]
fn revoked_credentials_get_in_with_no_role() {
    let policy = policy(
        r#"{"roles":{"a":{}},"revoke":[{"sub":"u1","before":"2026-01-31T12:00:00Z"},{"iss":"other","sub":"u2"},{"key":"k1"}]}"#,
    );
    let outcome = |author: Author, issued_at: Option<&str>| {
        let principal = Principal {
            author: Some(Arc::new(author)),
            role: None,
            claims: Claims::new(document(r#"{"role":"a"}"#)),
            issued_at: issued_at.map(|at| Timestamp::parse_rfc3339(at).unwrap()),
        };
        policy.admit(&principal, None).err()
    };
    let token = |issuer: &str, subject: &str| Author::Token {
        issuer: issuer.into(),
        subject: subject.into(),
    };
    let revoked = Some(PolicyError::Revoked);
    assert_eq!(
        outcome(token("x", "u1"), Some("2026-01-31T11:59:59Z")),
        revoked
    );
    assert_eq!(
        outcome(token("x", "u1"), Some("2026-01-31T12:00:00Z")),
        None
    );
    assert_eq!(outcome(token("x", "u1"), None), revoked);
    assert_eq!(outcome(token("x", "u2"), None), None);
    assert_eq!(
        outcome(token("other", "u2"), Some("2036-01-31T12:00:00Z")),
        revoked
    );
    assert_eq!(outcome(Author::Key { id: "k1".into() }, None), revoked);
    assert_eq!(outcome(Author::Key { id: "u1".into() }, None), None);
}

#[test]
fn a_file_is_refused_with_the_path_and_the_reason() {
    for (file, path) in [
        ("{}", "roles"),
        (r#"{"roles":[]}"#, "roles"),
        (r#"{"roles":{},"rules":1}"#, "rules"),
        (r#"{"roles":{"a":{"reads":true}}}"#, "roles.a.reads"),
        (
            r#"{"roles":{"a":{"update":{"onyl":["x"]}}}}"#,
            "roles.a.update.onyl",
        ),
        (
            r#"{"roles":{"a":{"update":{"only":["_id"]}}}}"#,
            "roles.a.update.only.0",
        ),
        (
            r#"{"roles":{"a":{"create":{"before":{}}}}}"#,
            "roles.a.create.before",
        ),
        (r#"{"roles":{"a":{"hide":["_seq"]}}}"#, "roles.a.hide.0"),
        (r#"{"roles":{"a":{"set":{"_id":1}}}}"#, "roles.a.set._id"),
        (
            r#"{"roles":{"a":{"set":{"a":1,"a.b":2}}}}"#,
            "roles.a.set.a.b",
        ),
        (r#"{"roles":{"a":{"past":"some"}}}"#, "roles.a.past"),
        (
            r#"{"roles":{"a":{"limits":{"writes":5}}}}"#,
            "roles.a.limits.writes",
        ),
        (
            r#"{"roles":{"a":{"limits":{"writes":{"perSecond":0}}}}}"#,
            "roles.a.limits.writes.perSecond",
        ),
        (
            r#"{"roles":{"a":{"limits":{"sessions":-1}}}}"#,
            "roles.a.limits.sessions",
        ),
        (
            r#"{"roles":{"a":{"broadcast":{"hear":5}}}}"#,
            "roles.a.broadcast.hear",
        ),
        (r#"{"roles":{"a":{}},"anonymous":"b"}"#, "anonymous"),
        (r#"{"roles":{},"revoke":[{"before":"x"}]}"#, "revoke.0"),
        (
            r#"{"roles":{},"revoke":[{"sub":"u","before":"x"}]}"#,
            "revoke.0.before",
        ),
    ] {
        let invalid = Policy::parse(&document(file)).expect_err(file);
        assert_eq!(invalid.path, path, "{file}: {invalid}");
    }
}

#[test]
fn what_is_restored_must_have_been_seen() {
    let old = event(r#"{"public":true}"#);
    let hidden = event("{}");
    let steps = Steps::unbounded();
    let restore = |past: &str, earlier: &Event, current: Option<&Event>| {
        let role = format!(r#"{{"read":{{"public":true}},"past":"{past}"}}"#);
        grant(&role, "{}").judge_restore(Some(earlier), current, &steps)
    };
    assert_eq!(
        restore("none", &old, Some(&old)),
        Err(Denied::Forbidden(None))
    );
    for past in ["seen", "all"] {
        assert_eq!(restore(past, &old, Some(&old)), Ok(()));
        assert_eq!(restore(past, &hidden, Some(&old)), Err(Denied::UnseenPast));
        assert_eq!(restore(past, &old, Some(&hidden)), Err(Denied::Unseen));
    }
    assert_eq!(restore("seen", &old, None), Err(Denied::Unseen));
    assert_eq!(restore("all", &old, None), Ok(()));
}
