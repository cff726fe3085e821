//! What the command line says of tokens and keys. Doc comments here are the text of `--help`.

use std::path::PathBuf;

use anyhow::{Context, anyhow, ensure};
use clap::Args;

use crate::value::{Document, read};

/// What a token says, and what signs it.
#[derive(Debug, Args)]
pub struct TokenArguments {
    /// Sign by HS256 with the shared secret in this file.
    #[arg(long, value_name = "FILE", required_unless_present = "key_file")]
    secret_file: Option<PathBuf>,
    /// Sign with the private key in this PEM file: RSA by RS256, P-256 by ES256, Ed25519 by EdDSA.
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    key_file: Option<PathBuf>,
    /// The issuer, as the access file calls it.
    #[arg(long, value_name = "NAME")]
    iss: String,
    /// Whom the token is for. May be given more than once.
    #[arg(long, value_name = "NAME", required = true)]
    aud: Vec<String>,
    /// Whose token it is.
    #[arg(long, value_name = "NAME")]
    sub: String,
    /// Further claims, such as `{"role":"user","teams":["a"]}`.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    claims: String,
    /// How long it is good: seconds, or with a unit `90s`, `15m`, `1h`, `7d`.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    ttl: String,
    /// The name of the key, for an issuer that has several.
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,
}

/// A token to make.
#[derive(Debug)]
pub struct TokenOptions {
    pub(super) key: KeyFile,
    pub(super) key_name: Option<String>,
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    pub(super) subject: String,
    pub(super) claims: Document,
    pub(super) seconds: i64,
}

/// What signs a token.
#[derive(Debug)]
pub(super) enum KeyFile {
    Secret(PathBuf),
    Private(PathBuf),
}

/// An API key to make.
#[derive(Debug, Args)]
pub struct KeyArguments {
    /// Its id, by which the log calls who uses it.
    #[arg(long, value_name = "ID", default_value = "k1")]
    pub(super) id: String,
    /// The role of the access file that it has.
    #[arg(long, value_name = "ROLE", default_value = "service")]
    pub(super) role: String,
}

impl TokenArguments {
    /// What to make.
    ///
    /// # Errors
    /// If a value cannot be used.
    pub fn into_options(self) -> anyhow::Result<TokenOptions> {
        let key = match (self.secret_file, self.key_file) {
            (Some(file), _) => KeyFile::Secret(file),
            (None, Some(file)) => KeyFile::Private(file),
            (None, None) => return Err(anyhow!("--secret-file or --key-file is missing")),
        };
        Ok(TokenOptions {
            key,
            key_name: self.kid,
            issuer: self.iss,
            audiences: self.aud,
            subject: self.sub,
            claims: further_claims(&self.claims)?,
            seconds: seconds(&self.ttl)
                .context("--ttl: expected a time such as 90s, 15m, 1h or 7d")?,
        })
    }
}

fn further_claims(json: &str) -> anyhow::Result<Document> {
    let claims: Document = read(json, "").map_err(|error| anyhow!("--claims: {error}"))?;
    for name in ["iss", "aud", "sub", "iat", "nbf", "exp"] {
        ensure!(
            claims.get(name).is_none(),
            "--claims: {name} has a flag of its own, or is the time"
        );
    }
    Ok(claims)
}

fn seconds(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    let count: u32 = digits.parse().ok()?;
    i64::from(count).checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_unit() {
        for (text, expected) in [
            ("0", Some(0)),
            ("90", Some(90)),
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("1h", Some(3_600)),
            ("7d", Some(604_800)),
            ("", None),
            ("h", None),
            ("-1h", None),
            ("1.5h", None),
            ("1w", None),
            ("1 h", None),
            ("4294967296", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
