//! `livelog token` and `livelog key new`: credentials for trying out, and for services.

mod arguments;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};

use crate::identity::{NewApiKey, SigningKey};
use crate::value::{Document, Value};

use arguments::KeyFile;
pub use arguments::{KeyArguments, TokenArguments, TokenOptions};

/// Prints a token.
///
/// # Errors
/// If the key cannot be read, or cannot sign.
pub fn print_token(options: &TokenOptions) -> anyhow::Result<ExitCode> {
    let key = signing_key(&options.key)?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let claims = options.claims_at(i64::try_from(since_1970.as_secs())?);
    let token = key.sign(&claims, options.key_name.as_deref());
    print(&[&token.map_err(|reason| anyhow!(reason))?])
}

/// Prints a new API key, and what the access file holds of it.
///
/// # Errors
/// If the id cannot be one, or the system gives no random bytes.
pub fn print_api_key(arguments: &KeyArguments) -> anyhow::Result<ExitCode> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).context("the system gives no random bytes")?;
    let made = NewApiKey::make(&arguments.id, &arguments.role, &random);
    let made = made.map_err(|reason| anyhow!("--id: {reason}"))?;
    print(&[&made.key, &serde_json::to_string(&made.entry)?])
}

fn signing_key(file: &KeyFile) -> anyhow::Result<SigningKey> {
    let (key, path) = match file {
        KeyFile::Secret(path) => (SigningKey::from_secret(&read_text(path)?), path),
        KeyFile::Private(path) => (SigningKey::from_pem(&read_text(path)?), path),
    };
    key.map_err(|reason| anyhow!("{} {reason}", path.display()))
}

fn read_text(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn print(lines: &[&str]) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    for line in lines {
        writeln!(stdout, "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

impl TokenOptions {
    /// The claims of a token that is issued at this time, in seconds since 1970.
    fn claims_at(&self, now: i64) -> Document {
        let mut claims = Document::from_iter([
            ("iss", Value::from(self.issuer.as_str())),
            ("aud", self.audience()),
            ("sub", Value::from(self.subject.as_str())),
            ("iat", Value::from(now)),
            ("nbf", Value::from(now)),
            ("exp", Value::from(now.saturating_add(self.seconds))),
        ]);
        for (name, value) in self.claims.iter() {
            claims.push(name, value.clone());
        }
        claims
    }

    fn audience(&self) -> Value {
        let mut names = self.audiences.iter().map(|name| Value::from(name.as_str()));
        match self.audiences.len() {
            1 => names.next().unwrap_or(Value::Null),
            _ => Value::list(names.collect()),
        }
    }
}
