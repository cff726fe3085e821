//! `livelog token` and `livelog key new`: what they print is taken, and what they are told wrongly is refused.

use std::collections::HashSet;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use livelog::domain::Timestamp;
use livelog::identity::{ApiKeys, Identity, Issuers};
use livelog::value::{Value, read};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/identity");

fn livelog(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_livelog"));
    command.current_dir(FIXTURES).args(words).output().unwrap()
}

fn printed(words: &[&str]) -> String {
    let output = livelog(words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(words: &[&str]) -> String {
    let output = livelog(words);
    assert!(!output.status.success() && output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn verify(token: &str) -> Identity {
    let issuers = r#"[
        {"iss":"app","aud":"livelog","algorithms":["HS256"],"secretFile":"secret.txt"},
        {"iss":"app","aud":"x","algorithms":["RS256","ES256","EdDSA"],"jwksFile":"jwks.json"}
    ]"#;
    let issuers: Value = read(issuers, "").unwrap();
    let files = |name: &str| std::fs::read_to_string(format!("{FIXTURES}/{name}"));
    let issuers = Issuers::parse(&issuers, "issuers", &|name| {
        files(name).map_err(|error| error.to_string())
    });
    let now = Timestamp::from_millis(now()).unwrap();
    issuers.unwrap().verify(token.trim_end(), now).unwrap()
}

const WHO: [&str; 7] = ["token", "--iss", "app", "--aud", "livelog", "--sub", "u1"];

#[test]
fn a_printed_token_is_good_for_as_long_as_it_was_asked_for() {
    let by_secret = [
        "--secret-file",
        "secret.txt",
        "--ttl",
        "15m",
        "--claims",
        r#"{"role":"user","n":[1.0,2]}"#,
    ];
    let began = now();
    let token = printed(&[&WHO[..], &by_secret[..]].concat());
    assert_eq!(token.lines().count(), 1);
    let identity = verify(&token);
    assert_eq!((&*identity.issuer, &*identity.subject), ("app", "u1"));
    assert_eq!(identity.claims.get("role"), Some(&Value::from("user")));
    let n = Value::list(vec![Value::Float(1.0), Value::Int(2)]);
    assert_eq!(identity.claims.get("n"), Some(&n));
    let expires = identity.expires_at.unwrap();
    let at = |millis: i64| Timestamp::from_millis(millis).unwrap();
    assert!(at(began - 1_000 + 900_000) < expires && expires <= at(now() + 900_000));
}

#[test]
fn a_token_is_printed_by_each_kind_of_key_and_for_several_audiences() {
    for (file, kid) in [("rsa.pem", "r1"), ("ec.pem", "e1"), ("ed.pem", "d1")] {
        let further = ["--aud", "x", "--key-file", file, "--kid", kid];
        let token = printed(&[&WHO[..], &further[..]].concat());
        assert_eq!(&*verify(&token).subject, "u1", "{file}");
    }
}

#[test]
fn what_cannot_be_signed_is_said() {
    for (further, said) in [
        (&[][..], "--secret-file"),
        (&["--secret-file", "none.txt"], "cannot read none.txt"),
        (
            &["--secret-file", "rsa.pem"],
            "rsa.pem is a key in PEM, and not a secret",
        ),
        (&["--key-file", "ec-sec1.pem"], "openssl pkcs8"),
        (
            &["--key-file", "rsa-public.pem"],
            "rsa-public.pem is no private key",
        ),
        (
            &["--secret-file", "secret.txt", "--ttl", "soon"],
            "--ttl: expected a time",
        ),
        (
            &["--secret-file", "secret.txt", "--claims", "[]"],
            "--claims: ",
        ),
        (
            &[
                "--secret-file",
                "secret.txt",
                "--claims",
                r#"{"a":1,"a":2}"#,
            ],
            "the same name twice",
        ),
        (
            &["--secret-file", "secret.txt", "--claims", r#"{"exp":1}"#],
            "--claims: exp has a flag",
        ),
        (
            &["--secret-file", "secret.txt", "--key-file", "rsa.pem"],
            "cannot be used with",
        ),
    ] {
        let message = refused(&[&WHO[..], further].concat());
        assert!(message.contains(said), "{further:?}: {message}");
    }
}

#[test]
fn a_printed_key_is_known_by_the_line_below_it_and_is_never_the_same() {
    let mut keys = HashSet::new();
    for _ in 0..3 {
        let printed = printed(&["key", "new", "--id", "k-7", "--role", "reader"]);
        let (key, entry) = printed.trim_end().split_once('\n').unwrap();
        assert!(!entry.contains(key));
        let entries: Value = read(&format!("[{entry}]"), "").unwrap();
        let identity = ApiKeys::parse(&entries, "keys")
            .unwrap()
            .verify(key)
            .unwrap();
        assert_eq!(
            (&*identity.subject, identity.role.as_deref()),
            ("k-7", Some("reader"))
        );
        keys.insert(key.to_owned());
    }
    assert_eq!(keys.len(), 3);
    assert!(refused(&["key", "new", "--id", "a_b"]).contains("--id: expected 1 to 64 letters"));
    assert!(refused(&["key"]).contains("new"));
}
