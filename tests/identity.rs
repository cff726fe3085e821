//! Tokens and API keys: which prove something, and that nothing else does.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm as LibraryAlgorithm, EncodingKey, crypto};
use livelog::domain::Timestamp;
use livelog::identity::{
    Algorithm, ApiKeys, Identity, IdentityKind, Issuers, NewApiKey, SigningKey, TokenError,
    TrustedKeys,
};
use livelog::limits;
use livelog::value::{Document, Value, read};
use proptest::prelude::*;

/// 2026-11-28T12:00:00Z.
const NOW: i64 = 1_795_867_200;

const ISSUER: &str = "https://id.example";

fn fixture(name: &str) -> Result<String, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/identity/");
    std::fs::read_to_string(format!("{folder}{name}")).map_err(|error| error.to_string())
}

fn json<T: for<'a> serde::Deserialize<'a>>(text: &str) -> T {
    read(text, "").unwrap()
}

fn parse(issuers: &str) -> Result<Issuers, (String, String)> {
    let parsed = Issuers::parse(&json(issuers), "issuers", &fixture);
    parsed.map_err(|invalid| (invalid.path, invalid.reason))
}

/// One issuer with these further fields.
fn issuer(fields: &str) -> Issuers {
    parse(&format!(
        r#"[{{"iss":"{ISSUER}","aud":"livelog",{fields}}}]"#
    ))
    .unwrap()
}

const HS256: &str = r#""algorithms":["HS256"],"secretFile":"secret.txt""#;
const RS256: &str = r#""algorithms":["RS256"],"pemFile":"rsa-public.pem""#;
const SET: &str = r#""algorithms":["RS256","ES256","EdDSA"],"jwksFile":"jwks.json""#;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000).unwrap()
}

fn verify(issuers: &Issuers, token: &str) -> Result<Identity, TokenError> {
    issuers.verify(token, at(NOW))
}

/// Signs any text, whether it is a token or not.
fn sign(header: &str, claims: &str, key: &EncodingKey, algorithm: LibraryAlgorithm) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = crypto::sign(signed.as_bytes(), key, algorithm).unwrap();
    format!("{signed}.{signature}")
}

fn secret() -> EncodingKey {
    EncodingKey::from_secret(fixture("secret.txt").unwrap().trim_end().as_bytes())
}

/// A token by HS256 with these claims.
fn token(claims: &str) -> String {
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    sign(header, claims, &secret(), LibraryAlgorithm::HS256)
}

/// Good claims, of which some are others, and those set to nothing are left out.
fn claims_with(changes: &[(&str, &str)]) -> String {
    let mut claims = vec![
        ("iss", format!("{ISSUER:?}")),
        ("aud", r#""livelog""#.to_owned()),
        ("sub", r#""u1""#.to_owned()),
        ("exp", (NOW + 60).to_string()),
    ];
    for (name, value) in changes {
        claims.retain(|(known, _)| known != name);
        claims.push((name, (*value).to_owned()));
    }
    let claims = claims.iter().filter(|(_, value)| !value.is_empty());
    let claims = claims.map(|(name, value)| format!("{name:?}:{value}"));
    format!("{{{}}}", claims.collect::<Vec<_>>().join(","))
}

/// What is said of a token with changed claims.
fn judged(changes: &[(&str, &str)]) -> Result<Identity, TokenError> {
    verify(&issuer(HS256), &token(&claims_with(changes)))
}

fn foreign_tokens() -> Vec<(Algorithm, String)> {
    let tokens: Document = json(&fixture("tokens.json").unwrap());
    let token = |algorithm: Algorithm| {
        let token = tokens.get(algorithm.as_str()).and_then(Value::as_str);
        (algorithm, token.unwrap().to_owned())
    };
    Algorithm::ALL.map(token).into()
}

/// An issuer that signs by the algorithm alone.
fn issuer_by(algorithm: Algorithm) -> Issuers {
    match algorithm {
        Algorithm::Hs256 => issuer(HS256),
        Algorithm::Rs256 => issuer(RS256),
        Algorithm::Es256 => issuer(r#""algorithms":["ES256"],"pemFile":"ec-public.pem""#),
        Algorithm::EdDsa => issuer(r#""algorithms":["EdDSA"],"pemFile":"ed-public.pem""#),
    }
}

#[test]
fn the_tokens_of_another_library_are_taken_by_each_algorithm() {
    for (algorithm, token) in foreign_tokens() {
        let identity = verify(&issuer_by(algorithm), &token).unwrap();
        assert_eq!(identity.kind, IdentityKind::Token);
        assert_eq!((&*identity.issuer, &*identity.subject), (ISSUER, "u1"));
        assert_eq!(identity.issued_at, Some(at(1_764_324_000)));
        assert_eq!(identity.expires_at, Some(at(4_102_444_800)));
        let teams = Value::list(vec![Value::from("a"), Value::from("ü")]);
        assert_eq!(identity.claims.get("teams"), Some(&teams));
        let by_set = verify(&issuer(SET), &token);
        match algorithm {
            Algorithm::Hs256 => assert_eq!(by_set, Err(TokenError::ForeignAlgorithm(algorithm))),
            _ => assert_eq!(by_set, Ok(identity)),
        }
    }
    let pkcs1 = issuer(r#""algorithms":["RS256"],"pemFile":"rsa-public-pkcs1.pem""#);
    let [_, (_, by_rsa), ..] = &foreign_tokens()[..] else {
        panic!("four tokens")
    };
    verify(&pkcs1, by_rsa).unwrap();
}

#[test]
fn a_token_proves_nothing_to_the_issuers_of_other_algorithms() {
    for (algorithm, token) in foreign_tokens() {
        for other in Algorithm::ALL {
            let judged = verify(&issuer_by(other), &token);
            assert_eq!(
                judged.is_ok(),
                other == algorithm,
                "{algorithm:?} {other:?}"
            );
        }
    }
}

#[test]
fn what_livelog_signs_it_verifies() {
    let claims: Document = json(&claims_with(&[]));
    let keys = [
        (
            Algorithm::Hs256,
            SigningKey::from_secret(&fixture("secret.txt").unwrap()),
        ),
        (
            Algorithm::Rs256,
            SigningKey::from_pem(&fixture("rsa.pem").unwrap()),
        ),
        (
            Algorithm::Es256,
            SigningKey::from_pem(&fixture("ec.pem").unwrap()),
        ),
        (
            Algorithm::EdDsa,
            SigningKey::from_pem(&fixture("ed.pem").unwrap()),
        ),
    ];
    for (algorithm, key) in keys {
        let token = key.unwrap().sign(&claims, Some("any")).unwrap();
        assert_eq!(
            verify(&issuer_by(algorithm), &token).unwrap().claims,
            claims
        );
    }
    for file in ["ec-sec1.pem", "rsa-public.pem", "secret.txt", "jwks.json"] {
        assert!(
            SigningKey::from_pem(&fixture(file).unwrap()).is_err(),
            "{file}"
        );
    }
    for text in [
        "",
        "short",
        &fixture("rsa-public.pem").unwrap(),
        &fixture("ec.pem").unwrap(),
    ] {
        assert!(SigningKey::from_secret(text).is_err(), "{text}");
    }
}

#[test]
fn a_token_that_is_signed_by_none_is_refused() {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let claims = encode(&claims_with(&[]));
    for name in [
        "none", "None", "NONE", "", "HS384", "hs256", "PS256", "ES384", "RS1",
    ] {
        let header = encode(&format!(r#"{{"alg":"{name}"}}"#));
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{claims}.{signature}");
            for algorithm in Algorithm::ALL {
                let judged = verify(&issuer_by(algorithm), &token);
                assert_eq!(judged, Err(TokenError::UnknownAlgorithm), "{name}");
            }
        }
    }
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":1}"#,
    ] {
        let token = format!("{}.{claims}.", encode(header));
        assert_eq!(
            verify(&issuer(HS256), &token),
            Err(TokenError::UnknownAlgorithm)
        );
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let claims = claims_with(&[]);
    let both = parse(&format!(
        r#"[{{"iss":"{ISSUER}","aud":"livelog",{RS256}}},{{"iss":"{ISSUER}","aud":"livelog",{HS256}}}]"#
    ));
    let both = both.unwrap();
    for file in ["rsa-public.pem", "rsa-public-pkcs1.pem"] {
        let pem = fixture(file).unwrap();
        for secret in [pem.as_str(), pem.trim_end()] {
            let key = EncodingKey::from_secret(secret.as_bytes());
            let token = sign(r#"{"alg":"HS256"}"#, &claims, &key, LibraryAlgorithm::HS256);
            let judged = verify(&issuer(RS256), &token);
            assert_eq!(judged, Err(TokenError::ForeignAlgorithm(Algorithm::Hs256)));
            assert_eq!(verify(&both, &token), Err(TokenError::Signature));
            let claimed = sign(r#"{"alg":"RS256"}"#, &claims, &key, LibraryAlgorithm::HS256);
            assert_eq!(verify(&issuer(RS256), &claimed), Err(TokenError::Signature));
            assert_eq!(verify(&both, &claimed), Err(TokenError::Signature));
        }
    }
    verify(&both, &token(&claims)).unwrap();
}

#[test]
fn a_claim_that_must_be_there_is() {
    judged(&[]).unwrap();
    for name in ["iss", "aud", "sub", "exp"] {
        assert_eq!(
            judged(&[(name, "")]),
            Err(TokenError::MissingClaim(name.into()))
        );
    }
    let strict = issuer(&format!(r#"{HS256},"require":["nbf","role"]"#));
    for (changes, missing) in [
        (&[][..], Some("nbf")),
        (&[("nbf", "1"), ("role", r#""user""#)], None),
        (&[("nbf", "1")], Some("role")),
    ] {
        let judged = verify(&strict, &token(&claims_with(changes)));
        let missing = missing.map(|name| TokenError::MissingClaim(name.into()));
        assert_eq!(judged.err(), missing);
    }
}

#[test]
fn a_claim_of_another_kind_than_it_must_have_is_refused() {
    for name in ["iss", "sub"] {
        for value in ["null", "1", "[]", r#"["u1"]"#, "{}", r#""""#] {
            let judged = judged(&[(name, value)]);
            assert!(
                matches!(judged, Err(TokenError::IllTypedClaim { .. })),
                "{name} {value}"
            );
        }
    }
    for name in ["exp", "nbf", "iat"] {
        for value in [
            "null",
            "true",
            "[]",
            "{}",
            r#""1795867260""#,
            "9223372036854775807",
            "1e300",
            "-9223372036854775808",
            "-1e300",
            "1e17",
        ] {
            let judged = judged(&[(name, value)]);
            assert!(
                matches!(judged, Err(TokenError::IllTypedClaim { .. })),
                "{name} {value}"
            );
        }
    }
}

#[test]
fn a_token_is_good_from_its_beginning_to_its_end_give_or_take_the_leeway() {
    let leeway = i64::try_from(limits::CLOCK_LEEWAY.as_secs()).unwrap();
    let by = |name: &str, offset: i64| judged(&[(name, &(NOW + offset).to_string())]).err();
    assert_eq!(by("exp", 1 - leeway), None);
    assert_eq!(by("exp", -leeway), Some(TokenError::Expired));
    assert_eq!(by("exp", -NOW), Some(TokenError::Expired));
    for name in ["nbf", "iat"] {
        assert_eq!(by(name, leeway), None);
        assert_eq!(by(name, leeway + 1), Some(TokenError::NotYetValid));
        assert_eq!(by(name, -NOW), None);
    }
    let fraction = judged(&[("exp", "1795867170.001")]).unwrap();
    assert_eq!(
        fraction.expires_at.unwrap().as_str(),
        "2026-11-28T11:59:30.001Z"
    );
    assert_eq!(
        judged(&[("exp", "1795867169.999")]),
        Err(TokenError::Expired)
    );
    assert!(judged(&[("exp", "1795867200.0")]).is_ok());
    assert!(TokenError::Expired.is_expired() && !TokenError::NotYetValid.is_expired());
}

#[test]
fn a_token_is_for_one_of_the_audiences() {
    for (audience, fits) in [
        (r#""livelog""#, true),
        (r#"["x","livelog"]"#, true),
        (r#"["livelog",1,null]"#, true),
        (r#""Livelog""#, false),
        (r#""livelog ""#, false),
        (r#"["x"]"#, false),
        ("[]", false),
        (r#"[["livelog"]]"#, false),
        (r#"{"livelog":true}"#, false),
        ("null", false),
        ("1", false),
    ] {
        let judged = judged(&[("aud", audience)]);
        let refused = (!fits).then_some(TokenError::Audience);
        assert_eq!(judged.err(), refused, "{audience}");
    }
    let several = parse(&format!(
        r#"[{{"iss":"{ISSUER}","aud":["a","livelog"],{HS256}}}]"#
    ));
    verify(&several.unwrap(), &token(&claims_with(&[]))).unwrap();
}

#[test]
fn an_issuer_vouches_for_its_own_tokens_alone() {
    let two = parse(
        r#"[{"iss":"a","aud":"x","algorithms":["HS256"],"secretFile":"secret.txt"},
            {"iss":"b","aud":"x","algorithms":["EdDSA"],"pemFile":"ed-public.pem"}]"#,
    );
    let two = two.unwrap();
    let claims = |name: &str| claims_with(&[("iss", &format!("{name:?}")), ("aud", r#""x""#)]);
    verify(&two, &token(&claims("a"))).unwrap();
    assert_eq!(
        verify(&two, &token(&claims("b"))),
        Err(TokenError::ForeignAlgorithm(Algorithm::Hs256))
    );
    let unknown = verify(&two, &token(&claims("c"))).unwrap_err();
    assert_eq!(unknown.to_string(), r#"no issuer is called "c""#);
    let long = verify(&two, &token(&claims(&"ü".repeat(500)))).unwrap_err();
    assert!(long.to_string().len() < 110, "{long}");
}

#[test]
fn a_token_names_the_key_that_it_is_signed_with() {
    let sign_by = |header: &str, file: &str| {
        let key = EncodingKey::from_ed_pem(fixture(file).unwrap().as_bytes()).unwrap();
        sign(header, &claims_with(&[]), &key, LibraryAlgorithm::EdDSA)
    };
    let set = issuer(SET);
    for (kid, file, refused) in [
        (r#","kid":"d1""#, "ed.pem", None),
        (r#","kid":"d2""#, "ed-other.pem", None),
        (
            r#","kid":"d1""#,
            "ed-other.pem",
            Some("the signature is not that of the issuer's key"),
        ),
        (
            r#","kid":"d2""#,
            "ed.pem",
            Some("the signature is not that of the issuer's key"),
        ),
        (
            r#","kid":"D1""#,
            "ed.pem",
            Some(r#"the issuer has no key "D1" for the algorithm of the token"#),
        ),
        (
            r#","kid":"r1""#,
            "ed.pem",
            Some(r#"the issuer has no key "r1" for the algorithm of the token"#),
        ),
        (
            r#","kid":"""#,
            "ed.pem",
            Some(r#"the issuer has no key "" for the algorithm of the token"#),
        ),
        (
            "",
            "ed.pem",
            Some(
                "the token names no key (kid), and its issuer has not exactly one for its algorithm",
            ),
        ),
        (
            r#","kid":1"#,
            "ed.pem",
            Some("the header of the token has a kid that is no short text"),
        ),
        (
            r#","kid":null"#,
            "ed.pem",
            Some("the header of the token has a kid that is no short text"),
        ),
    ] {
        let judged = verify(&set, &sign_by(&format!(r#"{{"alg":"EdDSA"{kid}}}"#), file));
        let judged = judged.err().map(|error| error.to_string());
        assert_eq!(judged.as_deref(), refused, "{kid} {file}");
    }
    let named = issuer(r#""algorithms":["EdDSA"],"pemFile":"ed-public.pem","kid":"k""#);
    verify(&named, &sign_by(r#"{"alg":"EdDSA","kid":"k"}"#, "ed.pem")).unwrap();
    verify(&named, &sign_by(r#"{"alg":"EdDSA"}"#, "ed.pem")).unwrap();
    assert!(verify(&named, &sign_by(r#"{"alg":"EdDSA","kid":"l"}"#, "ed.pem")).is_err());
}

#[test]
fn an_old_key_and_a_new_one_are_two_issuers_of_one_name() {
    let rotating = parse(&format!(
        r#"[{{"iss":"{ISSUER}","aud":"livelog","algorithms":["EdDSA"],"pemFile":"ed-public.pem"}},
            {{"iss":"{ISSUER}","aud":"livelog","algorithms":["EdDSA"],"pemFile":"ed-other-public.pem"}}]"#
    ));
    let rotating = rotating.unwrap();
    for file in ["ed.pem", "ed-other.pem"] {
        let key = SigningKey::from_pem(&fixture(file).unwrap()).unwrap();
        let sign = |changes: &[(&str, &str)]| key.sign(&json(&claims_with(changes)), None).unwrap();
        verify(&rotating, &sign(&[])).unwrap();
        // What is told is how far the token came, and not what the other key says of it.
        assert_eq!(
            verify(&rotating, &sign(&[("exp", "1")])),
            Err(TokenError::Expired)
        );
    }
}

#[test]
fn a_header_that_makes_demands_is_refused() {
    let judge = |header: &str| {
        let token = sign(
            header,
            &claims_with(&[]),
            &secret(),
            LibraryAlgorithm::HS256,
        );
        verify(&issuer(HS256), &token)
    };
    judge(
        r#"{"alg":"HS256","jku":"https://evil.example","jwk":{"kty":"oct","k":"AAAA"},"x5c":[]}"#,
    )
    .unwrap();
    for crit in [r#"["b64"]"#, r#"["exp"]"#, "[]", "null"] {
        let header = format!(r#"{{"alg":"HS256","b64":false,"crit":{crit}}}"#);
        assert_eq!(judge(&header), Err(TokenError::CriticalExtension), "{crit}");
    }
}

#[test]
fn a_name_that_stands_twice_is_refused_wherever_it_does() {
    let good = claims_with(&[]);
    let twice =
        |name: &str, value: &str| format!(r#"{},{name}:{value}}}"#, &good[..good.len() - 1]);
    for (name, value) in [
        (r#""sub""#, r#""root""#),
        (r#""s\u0075b""#, r#""root""#),
        (r#""exp""#, "9999999999"),
        (r#""a""#, r#"{"b":1,"b":2}"#),
        (r#""a""#, "1e999"),
        (r#""a""#, "123456789012345678901234567890"),
    ] {
        let judged = verify(&issuer(HS256), &token(&twice(name, value)));
        assert!(
            matches!(judged, Err(TokenError::Malformed { .. })),
            "{name} {judged:?}"
        );
    }
    let header = r#"{"alg":"HS256","alg":"none"}"#;
    let token = sign(header, &good, &secret(), LibraryAlgorithm::HS256);
    let judged = verify(&issuer(HS256), &token);
    assert!(matches!(judged, Err(TokenError::Malformed { .. })));
}

#[test]
fn claims_are_bounded_in_depth() {
    let nested = |levels: usize| {
        let value = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        judged(&[("a", &value)])
    };
    nested(limits::CLAIMS_DEPTH_MAX - 1).unwrap();
    for levels in [limits::CLAIMS_DEPTH_MAX, 127, 200, 2_000] {
        assert!(
            matches!(nested(levels), Err(TokenError::Malformed { .. })),
            "{levels}"
        );
    }
}

#[test]
fn a_token_that_is_too_long_is_not_decoded() {
    let fill = |bytes: usize| token(&claims_with(&[("a", &format!("{:?}", "x".repeat(bytes)))]));
    let bytes = (0..).map(|more| fill(5_800 + more).len()).take(400);
    let largest = bytes
        .filter(|bytes| *bytes <= limits::TOKEN_BYTES_MAX)
        .max();
    assert!(
        largest.unwrap() > limits::TOKEN_BYTES_MAX - 4,
        "the bound is met"
    );
    for (more, is_good) in [(0, true), (300, true), (2_000, false), (1_000_000, false)] {
        let judged = verify(&issuer(HS256), &fill(5_000 + more));
        assert_eq!(judged.is_ok(), is_good, "{more}");
    }
    let garbage = "\u{0}".repeat(limits::TOKEN_BYTES_MAX + 1);
    assert_eq!(verify(&issuer(HS256), &garbage), Err(TokenError::TooLong));
}

#[test]
fn no_part_of_a_token_can_be_changed_cut_or_added_to() {
    for (algorithm, token) in foreign_tokens() {
        let issuers = issuer_by(algorithm);
        verify(&issuers, &token).unwrap();
        for at in 0..token.len() {
            let other = if token.as_bytes()[at] == b'A' {
                "B"
            } else {
                "A"
            };
            let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            assert!(verify(&issuers, &changed).is_err(), "{algorithm:?} {at}");
            assert!(
                verify(&issuers, &token[..at]).is_err(),
                "{algorithm:?} {at}"
            );
            assert!(
                verify(&issuers, &token[at + 1..]).is_err(),
                "{algorithm:?} {at}"
            );
        }
        for at in token
            .match_indices('.')
            .map(|(at, _)| at)
            .chain([0, token.len()])
        {
            for garbage in [
                ".", "=", "==", " ", "\n", "\0", "é", "\u{202e}", "A", "..", "+", "/",
            ] {
                let changed = format!("{}{garbage}{}", &token[..at], &token[at..]);
                assert!(
                    verify(&issuers, &changed).is_err(),
                    "{algorithm:?} {at} {garbage:?}"
                );
            }
        }
    }
}

#[test]
fn a_signature_can_be_written_in_one_way_only() {
    let [(_, token), ..] = &foreign_tokens()[..] else {
        panic!("four tokens")
    };
    // The last letter of 32 bytes in base64 has two bits that decode to nothing.
    let (head, last) = token.split_at(token.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let taken = alphabet
        .chars()
        .filter(|letter| verify(&issuer(HS256), &format!("{head}{letter}")).is_ok());
    assert_eq!(taken.collect::<String>(), last);
}

#[test]
fn what_is_said_of_a_token_holds_nothing_of_it() {
    let issuers = issuer(SET);
    let mut messages = Vec::new();
    let tokens = foreign_tokens().into_iter().map(|(_, token)| token);
    let tokens = tokens.chain([
        token(&claims_with(&[("exp", "1")])),
        "SecretSecretSecret".into(),
    ]);
    for token in tokens {
        for at in 0..token.len() {
            let changed = format!("{}!{}", &token[..at], &token[at..]);
            for text in [&changed, &token[..at]] {
                let Err(error) = verify(&issuers, text) else {
                    continue;
                };
                messages.push((format!("{error} {error:?}"), text.to_owned()));
            }
        }
    }
    assert!(messages.len() > 1_000);
    for (message, token) in messages {
        for part in token.split(['.', '!']).filter(|part| part.len() > 5) {
            assert!(!message.contains(part), "{message}");
        }
        assert!(!message.contains("u1"), "{message}");
    }
}

#[test]
fn what_is_shown_of_issuers_holds_no_secret() {
    let secret = fixture("secret.txt").unwrap();
    let shown = format!("{:?}", issuer(HS256));
    assert!(!shown.contains(secret.trim_end()), "{shown}");
    let bytes = format!("{:?}", secret.trim_end().as_bytes());
    assert!(!shown.contains(&bytes[1..20]), "{shown}");
}

/// The set of the fixture with one field of its RSA key set to another value, or taken away.
fn changed_set(field: &str, value: &str) -> String {
    let set = fixture("jwks.json").unwrap();
    let set: Document = json(&set);
    let Some(Value::Array(keys)) = set.get("keys") else {
        panic!("a list")
    };
    let mut key = keys[0].as_object().unwrap().clone();
    key.remove(field);
    if !value.is_empty() {
        key.push(field, json::<Value>(value));
    }
    serde_json::to_string(&Document::from_iter([(
        "keys",
        Value::list(vec![Value::Object(key)]),
    )]))
    .unwrap()
}

#[test]
fn a_key_that_says_it_is_for_something_else_is_for_nothing() {
    let [_, (_, token), ..] = &foreign_tokens()[..] else {
        panic!("four tokens")
    };
    let judge = |set: &str| {
        let files = |_: &str| Ok(set.to_owned());
        let issuer = format!(
            r#"[{{"iss":"{ISSUER}","aud":"livelog","algorithms":["RS256"],"jwksFile":"x"}}]"#
        );
        let issuers = Issuers::parse(&json(&issuer), "issuers", &files);
        issuers.is_ok_and(|issuers| verify(&issuers, token).is_ok())
    };
    let short = format!("{:?}", BASE64_URL_SAFE_NO_PAD.encode([0xff; 128]));
    for (field, value, is_good) in [
        ("alg", r#""RS256""#, true),
        ("alg", "", true),
        ("use", "", true),
        ("key_ops", r#"["verify","sign"]"#, true),
        ("x5c", r#"["any"]"#, true),
        ("kid", "", true),
        ("alg", r#""RS512""#, false),
        ("alg", r#""PS256""#, false),
        ("alg", r#""HS256""#, false),
        ("alg", r#""none""#, false),
        ("alg", "null", false),
        ("use", r#""enc""#, false),
        ("use", "null", false),
        ("key_ops", r#"["encrypt"]"#, false),
        ("key_ops", r#""verify""#, false),
        ("kty", r#""EC""#, false),
        ("kty", r#""oct""#, false),
        ("kty", "", false),
        ("kid", r#""r2""#, false),
        ("kid", "1", false),
        ("n", "", false),
        ("n", "1", false),
        ("n", r#""AQAB""#, false),
        ("n", r#""AQ==""#, false),
        ("n", &short, false),
        ("e", "", false),
        ("e", r#""AQ""#, false),
        ("e", r#""AA""#, false),
        ("e", r#""""#, false),
    ] {
        assert_eq!(
            judge(&changed_set(field, value)),
            is_good,
            "{field} {value}"
        );
    }
    assert!(judge(&fixture("jwks.json").unwrap()));
}

#[test]
fn a_set_without_a_key_for_this_or_with_two_of_one_name_is_refused() {
    let set = fixture("jwks.json").unwrap();
    let twice = set.replace("\"d2\"", "\"d1\"");
    let algorithms = issuer_algorithms();
    let many = format!(
        r#"{{"keys":[{}]}}"#,
        vec!["{}"; limits::JWKS_KEYS_MAX + 1].join(",")
    );
    for (text, reason) in [
        (
            twice.as_str(),
            "keys.3: has the kid and algorithm of another key",
        ),
        (
            r#"{"keys":[]}"#,
            "has no key that verifies by RS256, ES256, EdDSA ()",
        ),
        (
            r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#,
            "has no key that verifies by RS256, ES256, EdDSA (keys.0 is of another kind)",
        ),
        (r#"{"keys":[1]}"#, "keys.0: is not an object"),
        (r#"{"keys":{}}"#, "is not a JWK set: it has no list of keys"),
        ("{}", "is not a JWK set: it has no list of keys"),
        (
            r#"{"keys":[],"keys":[]}"#,
            "is not a JWK set: keys: the same name twice in one object",
        ),
        (&many, "has more than 100 keys"),
    ] {
        assert_eq!(
            TrustedKeys::parse_jwks(text, algorithms).unwrap_err(),
            reason
        );
    }
    for text in ["", "null", "[]", "<html>", "{\"keys\":[{\"kty\":\"RSA\"}"] {
        assert!(TrustedKeys::parse_jwks(text, algorithms).is_err(), "{text}");
    }
}

/// Algorithms come out of an access file alone.
fn issuer_algorithms() -> livelog::identity::Algorithms {
    let issuers = parse(
        r#"[{"iss":"i","aud":"a","algorithms":["RS256","ES256","EdDSA"],"jwks":"https://i.example/"}]"#,
    );
    let issuers = issuers.unwrap();
    issuers.key_addresses().next().unwrap().algorithms
}

#[test]
fn a_fault_of_the_file_is_told_with_its_place() {
    let base = r#""iss":"i","aud":"a""#;
    for (issuer, path, reason) in [
        ("1".to_owned(), "", "expected an object, found an integer"),
        ("{}".to_owned(), "algorithms", "missing"),
        (
            r#"{"aud":"a","algorithms":["HS256"]}"#.into(),
            "iss",
            "missing",
        ),
        (
            r#"{"iss":"i","algorithms":["HS256"]}"#.into(),
            "aud",
            "missing",
        ),
        (
            r#"{"iss":"","aud":"a","algorithms":["HS256"]}"#.into(),
            "iss",
            "expected a text that is not empty",
        ),
        (
            r#"{"iss":"i","aud":[],"algorithms":["HS256"]}"#.into(),
            "aud",
            "expected a text, or a list of them, found an array",
        ),
        (
            r#"{"iss":"i","aud":["a",1],"algorithms":["HS256"]}"#.into(),
            "aud.1",
            "expected a string, found an integer",
        ),
        (
            format!(r#"{{{base},"algorithms":[]}}"#),
            "algorithms",
            "expected one of HS256, RS256, ES256, EdDSA at least",
        ),
        (
            format!(r#"{{{base},"algorithms":"HS256"}}"#),
            "algorithms",
            "expected an array, found a string",
        ),
        (
            format!(r#"{{{base},"algorithms":["none"]}}"#),
            "algorithms.0",
            "unknown algorithm: expected HS256, RS256, ES256, EdDSA",
        ),
        (
            format!(r#"{{{base},"algorithms":["RS256","HS256"]}}"#),
            "algorithms",
            "HS256 stands alone: make another issuer of the same name for the others",
        ),
        (
            format!(r#"{{{base},"algorithms":["HS256"]}}"#),
            "",
            "expected exactly one of secretFile, pemFile, jwksFile, jwks",
        ),
        (
            format!(r#"{{{base},"algorithms":["HS256"],"secretFile":"a","pemFile":"b"}}"#),
            "",
            "expected exactly one of secretFile, pemFile, jwksFile, jwks",
        ),
        (
            format!(r#"{{{base},"algorithms":["RS256"],"secretFile":"secret.txt"}}"#),
            "secretFile",
            "HS256 needs a secretFile, and only it",
        ),
        (
            format!(r#"{{{base},"algorithms":["HS256"],"jwks":"https://i"}}"#),
            "jwks",
            "HS256 needs a secretFile, and only it",
        ),
        (
            format!(r#"{{{base},"algorithms":["HS256"],"secretFile":1}}"#),
            "secretFile",
            "expected a string, found an integer",
        ),
        (
            format!(r#"{{{base},"algorithms":["HS256"],"secretFile":"none"}}"#),
            "secretFile",
            "none cannot be read: No such file or directory (os error 2)",
        ),
        (
            format!(r#"{{{base},"algorithms":["HS256"],"secretFile":"rsa-public.pem"}}"#),
            "secretFile",
            "rsa-public.pem is a key in PEM, and not a secret",
        ),
        (
            format!(r#"{{{base},"algorithms":["RS256"],"pemFile":"ec-public.pem"}}"#),
            "pemFile",
            "ec-public.pem is a key for ES256, where RS256 is expected",
        ),
        (
            format!(r#"{{{base},"algorithms":["RS256","ES256"],"pemFile":"ec-public.pem"}}"#),
            "pemFile",
            "ec-public.pem is one key, for ES256: leave out the other algorithms",
        ),
        (
            format!(r#"{{{base},"algorithms":["RS256"],"pemFile":"rsa-1024-public.pem"}}"#),
            "pemFile",
            "rsa-1024-public.pem is an RSA key of other than 2048 to 8192 bits",
        ),
        (
            format!(r#"{{{base},"algorithms":["ES256"],"pemFile":"ec-384-public.pem"}}"#),
            "pemFile",
            "ec-384-public.pem is a key of another curve than P-256",
        ),
        (
            format!(r#"{{{base},"algorithms":["RS256"],"jwksFile":"secret.txt"}}"#),
            "jwksFile",
            "",
        ),
        (
            format!(r#"{{{base},"algorithms":["RS256"],"jwks":"http://i.example/"}}"#),
            "jwks",
            "keys that come by http could be anybody's: expected https",
        ),
        (
            format!(r#"{{{base},"algorithms":["RS256"],"jwks":"https://i","kid":"k"}}"#),
            "kid",
            "the keys of a set have a kid each, in the set",
        ),
        (
            format!(r#"{{{base},"algorithms":["HS256"],"secretFile":"secret.txt","kid":1}}"#),
            "kid",
            "expected a string, found an integer",
        ),
        (
            format!(r#"{{{base},"algorithms":["HS256"],"secret":"x"}}"#),
            "secret",
            "unknown field: did you mean secretFile?",
        ),
        (
            format!(r#"{{{base},"algorithms":["HS256"],"secretFile":"secret.txt","require":[1]}}"#),
            "require.0",
            "expected a string, found an integer",
        ),
    ] {
        let (found, why) = parse(&format!("[{issuer}]")).unwrap_err();
        let path = format!("issuers.0.{path}");
        assert_eq!(found, path.trim_end_matches('.'), "{issuer}");
        assert!(reason.is_empty() || why == reason, "{issuer}: {why}");
    }
    for private in [
        "rsa.pem",
        "ec.pem",
        "ed.pem",
        "tls-certificate.pem",
        "secret.txt",
    ] {
        let issuer = format!(r#"[{{{base},"algorithms":["RS256"],"pemFile":"{private}"}}]"#);
        assert!(
            parse(&issuer).unwrap_err().1.contains("openssl pkey"),
            "{private}"
        );
    }
    let many = vec!["{}"; limits::ISSUERS_MAX + 1].join(",");
    assert_eq!(parse(&format!("[{many}]")).unwrap_err().0, "issuers");
}

#[test]
fn a_secret_is_long_enough_and_its_line_may_end() {
    let parse_secret = |secret: &str| {
        let files = |_: &str| Ok(secret.to_owned());
        let issuer = format!(r#"[{{"iss":"{ISSUER}","aud":"livelog",{HS256}}}]"#);
        Issuers::parse(&json(&issuer), "issuers", &files)
    };
    let bare = "s".repeat(limits::SECRET_BYTES_MIN);
    let key = EncodingKey::from_secret(bare.as_bytes());
    let token = sign(
        r#"{"alg":"HS256"}"#,
        &claims_with(&[]),
        &key,
        LibraryAlgorithm::HS256,
    );
    for text in [bare.clone(), format!("{bare}\n"), format!("{bare}\r\n")] {
        verify(&parse_secret(&text).unwrap(), &token).unwrap();
    }
    for text in ["", "\n", &bare[1..], &format!("{}\n", &bare[1..])] {
        assert!(parse_secret(text).is_err(), "{text:?}");
    }
}

fn api_keys(entries: &[&Document]) -> ApiKeys {
    let entries = entries.iter().map(|entry| Value::Object((*entry).clone()));
    ApiKeys::parse(&Value::list(entries.collect()), "keys").unwrap()
}

#[test]
fn an_api_key_proves_its_id_and_nothing_else_does() {
    let made = NewApiKey::make("k-1", "service", &[7; 32]).unwrap();
    let other = NewApiKey::make("k2", "reader", &[8; 32]).unwrap();
    let mut with_claims = made.entry.clone();
    with_claims.push("claims", json::<Value>(r#"{"team":"ops"}"#));
    let keys = api_keys(&[&with_claims, &other.entry]);
    let identity = keys.verify(&made.key).unwrap();
    assert_eq!(identity.kind, IdentityKind::Key);
    assert_eq!((&*identity.issuer, &*identity.subject), ("", "k-1"));
    assert_eq!(identity.role.as_deref(), Some("service"));
    assert_eq!(identity.claims, json(r#"{"team":"ops","sub":"k-1"}"#));
    assert_eq!(&*keys.verify(&other.key).unwrap().subject, "k2");
    assert!(ApiKeys::is_key(&made.key) && !ApiKeys::is_key(&token("{}")));
    for at in 0..made.key.len() {
        let digit = if made.key.as_bytes()[at] == b'0' {
            "1"
        } else {
            "0"
        };
        let changed = format!("{}{digit}{}", &made.key[..at], &made.key[at + 1..]);
        assert!(keys.verify(&changed).is_none(), "{changed}");
        assert!(keys.verify(&made.key[..at]).is_none(), "{at}");
    }
    let swapped = made.key.replace("k-1", "k2");
    for text in [
        &swapped,
        "",
        "lk_",
        "lk__",
        "lk_k-1_",
        "lk_k-1",
        &format!("{}0", made.key),
        &made.key.to_uppercase(),
    ] {
        assert!(keys.verify(text).is_none(), "{text}");
    }
    let digest = made.entry.get("sha256").and_then(Value::as_str).unwrap();
    assert!(keys.verify(&format!("lk_k-1_{digest}")).is_none());
}

#[test]
fn a_fault_of_an_api_key_is_told_with_its_place() {
    let digest = "0".repeat(64);
    for (keys, path) in [
        ("{}".to_owned(), "keys"),
        ("[1]".to_owned(), "keys.0"),
        ("[{}]".to_owned(), "keys.0.id"),
        (
            format!(r#"[{{"id":"a_b","sha256":"{digest}","role":"r"}}]"#),
            "keys.0.id",
        ),
        (
            format!(r#"[{{"id":"","sha256":"{digest}","role":"r"}}]"#),
            "keys.0.id",
        ),
        (
            format!(r#"[{{"id":"a","sha256":"{digest}"}}]"#),
            "keys.0.role",
        ),
        (
            r#"[{"id":"a","sha256":"00","role":"r"}]"#.to_owned(),
            "keys.0.sha256",
        ),
        (
            format!(r#"[{{"id":"a","sha256":"{digest}","role":"r","claims":1}}]"#),
            "keys.0.claims",
        ),
        (
            format!(r#"[{{"id":"a","sha256":"{digest}","role":"r","claims":{{"sub":"b"}}}}]"#),
            "keys.0.claims.sub",
        ),
        (
            format!(r#"[{{"id":"a","sha256":"{digest}","role":"r","key":"x"}}]"#),
            "keys.0.key",
        ),
        (
            format!(
                r#"[{{"id":"a","sha256":"{digest}","role":"r"}},{{"id":"a","sha256":"{digest}","role":"r"}}]"#
            ),
            "keys.1.id",
        ),
    ] {
        let invalid = ApiKeys::parse(&json(&keys), "keys").unwrap_err();
        assert_eq!(invalid.path, path, "{keys}");
    }
    assert!(NewApiKey::make(&"a".repeat(65), "r", &[0; 32]).is_err());
}

/// Text that is nearly a token, a set, or a key: cut, repeated and changed pieces of good ones.
fn nearly(good: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece = (
        prop::sample::select(good),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
    );
    let cut = piece.prop_map(|(text, from, to)| {
        let text: Vec<char> = text.chars().collect();
        let (from, to) = (from.index(text.len() + 1), to.index(text.len() + 1));
        text[from.min(to)..from.max(to)].iter().collect::<String>()
    });
    prop::collection::vec(
        prop_oneof![cut, "\\PC{0,8}", "[.=\\-_A-Za-z0-9{}\",:\\[\\]]{0,12}"],
        0..8,
    )
    .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_a_token_by_chance_and_none_ends_the_server(
        text in nearly(&["eyJhbGciOiJIUzI1NiJ9", "eyJpc3MiOiJpIn0", ".", "eyJhbGciOiJFZERTQSIsImtpZCI6ImQxIn0"]),
    ) {
        for issuers in [issuer(HS256), issuer(SET)] {
            prop_assert!(verify(&issuers, &text).is_err());
            let thrice = [text.as_str(); 3].join(".");
            prop_assert!(verify(&issuers, &thrice).is_err());
        }
        let key = ["lk_", &text].concat();
        prop_assert!(ApiKeys::default().verify(&key).is_none());
    }

    #[test]
    fn no_header_or_payload_is_taken_without_its_signature(header in nearly(&[r#"{"alg":"HS256","kid":"a"}"#]), claims in nearly(&[r#"{"iss":"https://id.example","aud":["livelog"],"exp":99e9,"sub":"a"}"#])) {
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.AAAA", encode(&header), encode(&claims));
        prop_assert!(verify(&issuer(HS256), &token).is_err());
        // Signed, it may be good: but nothing panics.
        let _ = verify(&issuer(HS256), &sign(&header, &claims, &secret(), LibraryAlgorithm::HS256));
    }

    #[test]
    fn no_set_and_no_key_file_ends_the_server(text in nearly(&[
        include_str!("../fixtures/identity/jwks.json"),
        include_str!("../fixtures/identity/rsa-public.pem"),
        include_str!("../fixtures/identity/ec-public.pem"),
        include_str!("../fixtures/identity/ed.pem"),
    ])) {
        let files = |_: &str| Ok(text.clone());
        for fields in [HS256, RS256, SET] {
            let issuer = format!(r#"[{{"iss":"i","aud":"a",{fields}}}]"#);
            let _ = Issuers::parse(&json(&issuer), "issuers", &files);
        }
        let _ = SigningKey::from_pem(&text);
    }
}
