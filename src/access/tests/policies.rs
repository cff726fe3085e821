//! The access file: roles, who has which, and whose credentials are void.

use super::*;

#[test]
fn there_is_one_role_at_a_time() {
    let no_role = |shown: &str| Err(PolicyError::NoRole("app.role".into(), shown.to_owned()));
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
    assert_eq!(role(r#"{"app":{"role":"x"}}"#, None), no_role("\"x\""));
    assert_eq!(
        role(r#"{"role":"a"}"#, None),
        no_role("it is missing, or no text")
    );
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
    let signed_in =
        self::policy(r#"{"signedIn":"a","roleClaim":"app.role","roles":{"a":{},"b":{}}}"#);
    let role = |claims: &str| {
        let admitted = signed_in.admit(&somebody(claims), None);
        admitted.map(|grant| grant.role().to_owned())
    };
    assert_eq!(role("{}"), Ok("a".to_owned()));
    assert_eq!(role(r#"{"app":{"role":"b"}}"#), Ok("b".to_owned()));
    assert_eq!(role(r#"{"app":{"role":"x"}}"#), no_role("\"x\""));
    for other in [r#"{"app":{"role":null}}"#, r#"{"app":{"role":[]}}"#] {
        assert_eq!(role(other), no_role("it is missing, or no text"), "{other}");
    }
    assert_eq!(
        signed_in.admit(&nobody, None).unwrap_err(),
        PolicyError::Anonymous
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
        (r#"{"roles":{"a":{}},"signedIn":"b"}"#, "signedIn"),
        (
            r#"{"roles":{"a":{"read":{"owner":"$claim.sub"}}}}"#,
            "roles.a.read.owner",
        ),
        (
            r#"{"roles":{"a":{"set":{"owner":["$claim:sub"]}}}}"#,
            "roles.a.set.owner.0",
        ),
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
