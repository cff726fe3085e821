//! What is written, judged before and after.

use super::*;

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
    let refused = |rule| Err(Denied::Rule(rule));
    let outcome = |kind, payload, current| written(&user, kind, payload, current).map(drop);
    let mine = Some(r#"{"owner":"u1","title":"a","tags":["x"]}"#);
    let public = Some(r#"{"owner":"u2","public":true}"#);
    let foreign = Some(r#"{"owner":"u2"}"#);
    assert_eq!(outcome(Create, r#"{"_id":"e","owner":"u1"}"#, None), Ok(()));
    assert_eq!(
        outcome(Create, r#"{"_id":"e","owner":"u2"}"#, None),
        refused(RuleName::CreateAfter)
    );
    assert_eq!(
        outcome(Create, r#"{"_id":"e"}"#, None),
        refused(RuleName::CreateAfter)
    );
    let title = r#"{"id":"e","updateData":{"title":"b"}}"#;
    assert_eq!(outcome(Update, title, mine), Ok(()));
    assert_eq!(
        outcome(Update, title, public),
        refused(RuleName::UpdateBefore)
    );
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
                refused(RuleName::UpdateAfter)
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
    assert_eq!(
        outcome(Delete, r#"{"id":"e"}"#, public),
        refused(RuleName::DeleteBefore)
    );
    assert_eq!(
        outcome(Delete, r#"{"id":"e"}"#, foreign),
        Err(Denied::Unseen)
    );
    let nobody = grant(&role, "{}");
    let found = written(&nobody, Create, r#"{"_id":"e","owner":null}"#, None);
    assert_eq!(found, Err(Denied::Rule(RuleName::CreateAfter)));
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
    let denied = |rule| Err(Denied::Rule(rule));
    assert_eq!(
        written(&nobody, CommandKind::Create, r#"{"a":1}"#, None),
        denied(RuleName::CreateAfter)
    );
    assert_eq!(
        written(
            &nobody,
            CommandKind::Update,
            r#"{"id":"e","updateData":{"a":1}}"#,
            Some("{}")
        ),
        denied(RuleName::UpdateAfter)
    );
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
