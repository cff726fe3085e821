//! The access file, and the files with keys that it names: read, and checked as a whole.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::recent::RecentAdmissions;
use crate::access::Policy;
use crate::identity::{ApiKeys, Issuers};
use crate::limits;
use crate::value::{Document, Invalid, ParseError, Value, join, read};

/// Who is trusted, and what the roles are.
#[derive(Debug)]
pub(super) struct AccessFile {
    pub(super) policy: Policy,
    pub(super) issuers: Issuers,
    pub(super) keys: ApiKeys,
    /// What credentials came to by it.
    pub(super) recent: RecentAdmissions,
}

/// The files that one was read from, whether it was any good or not, and what was in them; the access file itself is the
/// first.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    paths: Vec<PathBuf>,
    digest: SourcesDigest,
}

/// By which it is known whether files have changed: a time may stay the same.
pub(super) type SourcesDigest = [u8; 32];

/// Reads files one after the other, and remembers what was in them.
#[derive(Default)]
struct SourceReader {
    paths: Vec<PathBuf>,
    digest: Sha256,
}

impl AccessFile {
    /// Reads the file, and what it names beside itself.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub(super) fn read(path: &Path) -> (Sources, Result<Self, String>) {
        let reader = RefCell::new(SourceReader::default());
        let folder = path.parent().unwrap_or(path);
        let read_named = |name: &str| reader.borrow_mut().read(&folder.join(name));
        let text = reader.borrow_mut().read(path);
        let text = text.map_err(|reason| format!("cannot be read: {reason}"));
        let file = text.and_then(|text| Self::parse(&text, &read_named));
        let file = file.map_err(|reason| format!("{}: {reason}", path.display()));
        (reader.into_inner().finish(), file)
    }

    fn parse(text: &str, files: &dyn Fn(&str) -> Result<String, String>) -> Result<Self, String> {
        let file = read(text, "").map_err(|error| match error {
            ParseError::Offence(invalid) => invalid.to_string(),
            ParseError::Json { error, .. } => format!("not JSON: {error}"),
        })?;
        Self::check(&file, files).map_err(|invalid| invalid.to_string())
    }

    fn check(
        file: &Document,
        files: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, Invalid> {
        let policy = Policy::parse(file)?;
        let issuers = file
            .get("issuers")
            .map(|issuers| Issuers::parse(issuers, "issuers", files));
        let keys = file.get("keys");
        let parsed = keys.map(|keys| ApiKeys::parse(keys, "keys"));
        check_roles(keys, &policy)?;
        Ok(Self {
            policy,
            issuers: issuers.transpose()?.unwrap_or_default(),
            keys: parsed.transpose()?.unwrap_or_default(),
            recent: RecentAdmissions::default(),
        })
    }
}

/// A key whose role is misspelt would be refused when it is first used.
fn check_roles(keys: Option<&Value>, policy: &Policy) -> Result<(), Invalid> {
    let Some(Value::Array(keys)) = keys else {
        return Ok(());
    };
    for (index, key) in keys.iter().enumerate() {
        let role = key.as_object().and_then(|key| key.get("role")?.as_str());
        if let Some(role) = role.filter(|role| !policy.has_role(role)) {
            let at = join(&join("keys", &index.to_string()), "role");
            return Err(Invalid::new(at, format!("there is no role {role:?}")));
        }
    }
    Ok(())
}

impl Sources {
    /// What was in them.
    pub(super) fn digest(&self) -> SourcesDigest {
        self.digest
    }

    /// Looks at them as they are now.
    pub(super) fn look(&self) -> SourcesDigest {
        let mut reader = SourceReader::default();
        for path in &self.paths {
            let _ = reader.read(path);
        }
        reader.finish().digest
    }
}

impl SourceReader {
    fn read(&mut self, path: &Path) -> Result<String, String> {
        let read = read_text(path);
        let (Ok(text) | Err(text)) = &read;
        self.digest.update([u8::from(read.is_ok())]);
        self.digest.update((text.len() as u64).to_le_bytes());
        self.digest.update(text);
        self.paths.push(path.to_owned());
        read
    }

    fn finish(self) -> Sources {
        Sources {
            paths: self.paths,
            digest: self.digest.finalize().into(),
        }
    }
}

/// The text of a file, or why it cannot be read.
fn read_text(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| error.to_string();
    let most = limits::ACCESS_FILE_BYTES_MAX;
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    let read = file.take(most as u64 + 1).read_to_string(&mut text);
    read.map_err(failed)?;
    match text.len() > most {
        true => Err(format!("it is longer than {most} bytes")),
        false => Ok(text),
    }
}
