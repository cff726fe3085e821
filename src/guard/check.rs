//! `livelog access check`: whether an access file is good, and what its roles come to.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::access_file::AccessFile;
use crate::access::{Claims, Explained};
use crate::domain::{Event, EventId};
use crate::value::{Document, Value, read};

/// What is asked of an access file. Doc comments here are the text of `--help`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The access file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Tell what this role comes to.
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// … for who has these claims.
    #[arg(long, value_name = "JSON", default_value = "{}", requires = "role")]
    claims: String,
    /// … and what it may do with this event of the store, which no server may be running on if it is a folder.
    #[arg(long, value_name = "ID", requires = "role", value_parser = EventId::parse)]
    event: Option<EventId>,
}

impl CheckArguments {
    /// The event to read.
    pub fn event(&self) -> Option<&EventId> {
        self.event.as_ref()
    }
}

/// What is to be said of the file; `event` is the one that was asked for, if it was found.
///
/// # Errors
/// What is wrong with the file, or with what was asked.
pub fn check(arguments: &CheckArguments, event: Option<&Event>) -> Result<String, String> {
    let (_, file) = AccessFile::read(&arguments.file);
    let file = file?;
    let mut text = summary(&file, &arguments.file);
    let Some(role) = &arguments.role else {
        return Ok(text);
    };
    let claims: Document = read(&arguments.claims, "").map_err(|_| {
        format!(
            "--claims: expected a JSON object, found {}",
            arguments.claims
        )
    })?;
    let claims = Claims::new(claims);
    let rules = file.policy.explain(role, &claims);
    let rules = rules.ok_or_else(|| format!("--role: the file has no role {role:?}"))?;
    writeln!(text, "role {role} with the claims {}", arguments.claims).expect("memory takes it");
    for (name, explained) in rules {
        writeln!(text, "  {name:15} {}", words(explained)).expect("memory takes it");
    }
    if let Some(id) = arguments.event() {
        let rights = event.and_then(|event| file.policy.explain_event(role, &claims, event));
        let yes = |is: bool| if is { "yes" } else { "no" };
        match rights {
            None => writeln!(text, "event {}: there is none", id.as_str()),
            Some(rights) => writeln!(
                text,
                "event {}: seen {}, may be updated {}, may be deleted {}",
                id.as_str(),
                yes(rights.is_seen),
                yes(rights.may_be_updated),
                yes(rights.may_be_deleted),
            ),
        }
        .expect("memory takes it");
    }
    Ok(text)
}

fn summary(file: &AccessFile, path: &Path) -> String {
    let roles = file.policy.role_names().join(", ");
    let anonymous = match file.policy.anonymous_role() {
        Some(role) => format!("who shows nothing is {role}"),
        None => "who shows nothing stays outside".to_owned(),
    };
    let signed_in = file.policy.signed_in_role();
    let signed_in = signed_in.map(|role| format!("; a token without a role is {role}"));
    let signed_in = signed_in.unwrap_or_default();
    let mut text = format!(
        "{} is good: roles {roles}; {anonymous}{signed_in}\n",
        path.display()
    );
    for note in notes(file) {
        writeln!(text, "note: {note}").expect("memory takes it");
    }
    text
}

/// What a good file may say by mistake.
fn notes(file: &AccessFile) -> Vec<String> {
    let AccessFile {
        policy,
        issuers,
        keys,
        ..
    } = file;
    let nobody = policy.anonymous_role().is_none() && issuers.is_empty() && keys.is_empty();
    let nobody = nobody
        .then(|| "nobody gets in: there are no issuers, no keys, and no anonymous role".to_owned());
    let unknown = policy.revoked_keys().filter(|id| !keys.has(id));
    let unknown = unknown.map(|id| format!("revoke: there is no key {id:?}, or no more"));
    nobody.into_iter().chain(unknown).collect()
}

fn words(explained: Explained) -> String {
    match explained {
        Explained::Everything => "everything".to_owned(),
        Explained::Nothing => "nothing".to_owned(),
        Explained::ClaimMissing => "nothing: a claim is missing, or of another kind".to_owned(),
        Explained::NoWrites => "no writes: a claim is missing, or of another kind".to_owned(),
        Explained::Where(filter) => json(&filter),
        Explained::Sets(fields) => json(&Value::Object(fields)),
        Explained::Fields(paths) => paths.join(", "),
        Explained::Is(text) => text,
    }
}

fn json(value: &Value) -> String {
    serde_json::to_string(value).expect("a value is JSON")
}
