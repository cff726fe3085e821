//! The format of an exported log: one JSON object a line.
//!
//! Nothing that is read here is trusted: a line is parsed into a change that some livelog can have written, or refused
//! with the reason.
//!
//! ```text
//! {"livelog":"log","format":2,"epoch":"…","head":3}
//! {"seq":1,"kind":"create","eventId":"a","version":1,"at":"…","data":{…}}
//! {"seq":2,"kind":"update","eventId":"a","version":2,"at":"…","before":{…},"patch":{"set":{…},"unset":[…]}}
//! {"seq":3,"kind":"delete","eventId":"a","version":3,"at":"…","before":{…}}
//! {"end":true,"changes":3,"digest":"sha256:…","lines":"sha256:…"}
//! ```
//!
//! `digest` is the one that `livelog verify` prints for this log. `lines` is over every byte before the last line, so
//! `head -n -1 FILE | sha256sum` checks a file without a livelog.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::import_documents::without_place;
use crate::domain::{
    Author, Change, ChangeKind, CommandId, CommandKey, Effect, Event, EventId, Patch, Path, Seq,
    Timestamp, may_be_stored,
};
use crate::store::Epoch;
use crate::value::{Document, ParseError, Value, check_stored, read};

/// The kind of file, as the first line names it.
const NAME: &str = "log";

/// The format that is written.
const FORMAT: u64 = 3;

/// The oldest that is read. In format 1 every create begins at version 1, and livelogs of that time accept no other.
const FORMAT_MIN: u64 = 1;

/// The beginning of the last line, and of no change.
const END: &str = "{\"end\":";

/// The first line: the log's epoch, and its length.
#[derive(Debug, Serialize)]
pub(super) struct HeaderLine {
    livelog: &'static str,
    format: u64,
    pub(super) epoch: Epoch,
    pub(super) head: Seq,
}

impl HeaderLine {
    pub(super) fn new(epoch: Epoch, head: Seq) -> Self {
        Self {
            livelog: NAME,
            format: FORMAT,
            epoch,
            head,
        }
    }
}

/// The last line, without which an input was cut off.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndLine {
    end: bool,
    pub(super) changes: u64,
    /// Of the events after all changes.
    pub(super) digest: String,
    /// Over every byte before this line.
    pub(super) lines: String,
}

impl EndLine {
    /// Digests in hexadecimal.
    pub(super) fn new(changes: u64, digest: &str, lines: &str) -> Self {
        Self {
            end: true,
            changes,
            digest: format!("sha256:{digest}"),
            lines: format!("sha256:{lines}"),
        }
    }
}

/// Any line but the first.
pub(super) enum ExportLine {
    Change(Change),
    End(EndLine),
}

/// A change as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangeLine<'a> {
    seq: Seq,
    kind: ChangeKind,
    event_id: &'a EventId,
    version: u64,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'a Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<&'a Patch>,
    /// Its contents were erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted: Option<bool>,
    /// If so, the event's previous change.
    #[serde(skip_serializing_if = "Option::is_none")]
    prior: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<KeyLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a Author>,
}

/// A command's key as it is written.
#[derive(Serialize)]
struct KeyLine<'a> {
    id: &'a str,
    digest: String,
}

impl<'a> ChangeLine<'a> {
    pub(super) fn of(change: &'a Change) -> Self {
        let kind = change.kind();
        Self {
            seq: change.seq,
            kind,
            event_id: change.event_id(),
            version: change.version(),
            at: change.at,
            // The event after an update follows from `before` and `patch`.
            data: change
                .after()
                .filter(|_| kind == ChangeKind::Create)
                .map(Arc::as_ref),
            before: change.before().map(Arc::as_ref),
            patch: change.patch(),
            redacted: change.is_redacted().then_some(true),
            prior: change.prior().filter(|_| change.is_redacted()),
            command: change.command.as_ref().map(|key| KeyLine {
                id: key.id.as_str(),
                digest: key.hex(),
            }),
            by: change.author.as_deref(),
        }
    }
}

/// Parses the first line.
pub(super) fn header(text: &str) -> Result<HeaderLine, String> {
    #[derive(Deserialize)]
    struct LineName {
        livelog: String,
        format: u64,
    }
    #[derive(Deserialize)]
    struct LineFields {
        epoch: Epoch,
        head: u64,
    }
    let name: Option<LineName> = read(text, "").ok();
    match name {
        Some(LineName { livelog, format })
            if livelog == NAME && (FORMAT_MIN..=FORMAT).contains(&format) => {}
        Some(LineName { livelog, format }) if livelog == NAME => {
            return Err(format!(
                "it is a log in format {format}; this livelog reads format {FORMAT}"
            ));
        }
        Some(_) | None => return Err("it is not the first line of an exported log".to_owned()),
    }
    let LineFields { epoch, head } = parse(text)?;
    Ok(HeaderLine::new(epoch, Seq::new(head)))
}

/// Parses any other line.
pub(super) fn line(text: &str) -> Result<ExportLine, String> {
    match text.starts_with(END) {
        true => parse(text).map(ExportLine::End),
        false => change(parse(text)?).map(ExportLine::Change),
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    read(text, "").map_err(|unread| match unread {
        ParseError::Offence(invalid) => invalid.to_string(),
        ParseError::Json { error, .. } => {
            format!("{} (at column {})", without_place(&error), error.column())
        }
    })
}

/// A change as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReadChange {
    seq: u64,
    kind: String,
    event_id: String,
    version: u64,
    at: String,
    data: Option<Document>,
    before: Option<Document>,
    patch: Option<ReadPatch>,
    #[serde(default)]
    redacted: bool,
    prior: Option<u64>,
    command: Option<ReadKey>,
    by: Option<ReadAuthor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadAuthor {
    iss: Option<String>,
    sub: Option<String>,
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadKey {
    id: String,
    digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadPatch {
    set: Document,
    unset: Vec<String>,
}

fn change(line: ReadChange) -> Result<Change, String> {
    let (seq, at) = (Seq::new(line.seq), timestamp(&line.at)?);
    let kind = ChangeKind::parse(&line.kind);
    let kind = kind.ok_or_else(|| format!("{:?} is no kind of change", line.kind))?;
    let effect = match (kind, line.data, line.before, line.patch) {
        (_, None, None, None) if line.redacted => {
            redacted(kind, &line.event_id, line.version, line.prior, seq)?
        }
        _ if line.redacted => return Err("what is redacted has no contents".to_owned()),
        (ChangeKind::Create, Some(data), None, None) => Effect::Create {
            after: event(data)?,
        },
        (ChangeKind::Update, None, Some(before), Some(patch)) => {
            update(event(before)?, self::patch(patch)?, seq, at)?
        }
        (ChangeKind::Delete, None, Some(before), None) => Effect::Delete {
            before: event(before)?,
        },
        (ChangeKind::Create | ChangeKind::Update | ChangeKind::Delete, ..) => {
            return Err(
                "a create has data, an update before and patch, a delete before".to_owned(),
            );
        }
    };
    let change = Change {
        seq,
        at,
        effect,
        command: line.command.as_ref().map(key).transpose()?.map(Arc::new),
        author: line.by.as_ref().map(author).transpose()?.map(Arc::new),
    };
    let agrees = change.event_id().as_str() == line.event_id && change.version() == line.version;
    match agrees && is_stamped(&change) {
        true => Ok(change),
        false => Err("its event is not that of the change".to_owned()),
    }
}

fn redacted(
    kind: ChangeKind,
    id: &str,
    version: u64,
    prior: Option<u64>,
    seq: Seq,
) -> Result<Effect, String> {
    // Of what is redacted nothing else tells which change was before it.
    if prior.is_some_and(|prior| prior >= seq.get()) {
        return Err("the change before it is not before it".to_owned());
    }
    if prior.is_some() == (kind == ChangeKind::Create) {
        return Err(
            "what is redacted names the change before it, unless it is a create".to_owned(),
        );
    }
    Ok(Effect::Redacted {
        kind,
        id: EventId::stored(id)?,
        version,
        prior: prior.map(Seq::new),
    })
}

fn key(line: &ReadKey) -> Result<CommandKey, String> {
    let id = CommandId::stored(&line.id).ok_or("command.id is none")?;
    let key = CommandKey::from_hex(id, &line.digest);
    key.ok_or_else(|| "command.digest is none".to_owned())
}

fn author(line: &ReadAuthor) -> Result<Author, String> {
    let author = Author::stored(
        line.iss.as_deref(),
        line.sub.as_deref(),
        line.key.as_deref(),
    );
    author.ok_or_else(|| "by names nobody".to_owned())
}

/// Whether a created event has the seq of its change, and times that are not later: those of another program are
/// earlier. An updated one has by construction.
fn is_stamped(change: &Change) -> bool {
    let Effect::Create { after } = &change.effect else {
        return true;
    };
    let Event { version, seq, .. } = **after;
    let times = [after.created_at, after.updated_at, change.at];
    version > 0 && seq == change.seq && times.is_sorted()
}

fn update(before: Arc<Event>, patch: Patch, seq: Seq, at: Timestamp) -> Result<Effect, String> {
    let after = before
        .patched(&patch, seq, at)
        .map_err(|error| format!("its patch does not fit: {error}"))?;
    check_fields(&after.fields)?;
    Ok(Effect::Update {
        before,
        patch,
        after: Arc::new(after),
    })
}

fn patch(patch: ReadPatch) -> Result<Patch, String> {
    let path = |text: &str| Path::stored(text).ok_or_else(|| format!("patch.{text}: no path"));
    let set = patch.set.into_iter();
    Ok(Patch {
        set: set
            .map(|(name, value)| Ok((path(&name)?, value)))
            .collect::<Result<_, String>>()?,
        unset: patch
            .unset
            .iter()
            .map(|name| path(name))
            .collect::<Result<_, String>>()?,
    })
}

/// Parses an event from the document that clients see.
fn event(mut document: Document) -> Result<Arc<Event>, String> {
    let mut take = |name: &str| match document.remove(name) {
        Some(value) => Ok(value),
        None => Err(format!("an event lacks {name}")),
    };
    let event = Event {
        id: EventId::stored(text(&take("_id")?)?)?,
        version: number(&take("_version")?)?,
        seq: Seq::new(number(&take("_seq")?)?),
        created_at: timestamp(text(&take("_createdAt")?)?)?,
        updated_at: timestamp(text(&take("_updatedAt")?)?)?,
        fields: document,
    };
    check_fields(&event.fields)?;
    Ok(Arc::new(event))
}

fn check_fields(fields: &Document) -> Result<(), String> {
    check_stored(fields).map_err(|invalid| invalid.to_string())?;
    match may_be_stored(fields) {
        true => Ok(()),
        false => Err("its event is larger than any that a livelog keeps".to_owned()),
    }
}

fn text(value: &Value) -> Result<&str, String> {
    let text = value.as_str();
    text.ok_or_else(|| format!("expected a string, found {}", value.kind()))
}

fn number(value: &Value) -> Result<u64, String> {
    let number = match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    number.ok_or_else(|| format!("expected a count, found {}", value.kind()))
}

fn timestamp(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| format!("{text:?} is no time"))
}
