//! BSON to domain values: the reverse of [`encode`](super::encode).
//!
//! A document that livelog cannot have written is an error that says where it is and never what it holds.

use std::fmt;
use std::sync::Arc;

use bson::raw::{RawBsonRef, RawDocument};
use uuid::Uuid;

use crate::domain::{
    Author, Change, ChangeKind, CommandId, CommandKey, Effect, Event, EventId, Patch, Path, Seq,
    Timestamp,
};
use crate::limits;
use crate::store::{CorruptAt, StoreError};
use crate::value::{Document, Value};

/// Why livelog cannot have written a stored document.
#[derive(Debug)]
pub(crate) struct BsonError(String);

impl BsonError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// As the store's error about the document at `at`.
    pub(crate) fn at(self, at: impl Into<CorruptAt>) -> StoreError {
        StoreError::Corrupt {
            at: at.into(),
            reason: self.0,
        }
    }
}

impl fmt::Display for BsonError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

type Result<T> = std::result::Result<T, BsonError>;

/// A log entry. The error names its seq, if that can be read.
pub(crate) fn entry(entry: &RawDocument) -> std::result::Result<Change, StoreError> {
    change(entry).map_err(|unreadable| {
        let seq = seq(entry, "_id").map(CorruptAt::Log);
        unreadable.at(seq.unwrap_or_else(|_| "an entry of the log".into()))
    })
}

/// A log entry.
pub(crate) fn change(entry: &RawDocument) -> Result<Change> {
    let seq = self::seq(entry, "_id")?;
    let at = timestamp(entry, "at")?;
    let kind = ChangeKind::parse(text(entry, "kind")?);
    let kind = kind.ok_or_else(|| BsonError::new("kind is unknown"))?;
    let effect = match kind {
        kind if entry.get_bool("redacted").is_ok_and(|redacted| redacted) => redacted(entry, kind)?,
        ChangeKind::Create => create(entry, seq, at)?,
        ChangeKind::Update => update(entry, seq, at)?,
        ChangeKind::Delete => Effect::Delete {
            before: before(entry)?,
        },
    };
    let command = match entry.get("command").ok().flatten() {
        None => None,
        Some(RawBsonRef::Document(key)) => Some(Arc::new(command(key)?)),
        Some(_) => return Err(BsonError::new("command is no document")),
    };
    let author = match entry.get("author").ok().flatten() {
        None => None,
        Some(RawBsonRef::Document(author)) => Some(Arc::new(self::author(author)?)),
        Some(_) => return Err(BsonError::new("author is no document")),
    };
    Ok(Change {
        seq,
        at,
        effect,
        command,
        author,
    })
}

/// The id of the command that made a change, and the change's seq, from an entry of which no more was read.
pub(crate) fn command_seq(entry: &RawDocument) -> Result<(CommandId, Seq)> {
    let key = nested(entry, "command")?;
    Ok((command_id(key)?, seq(entry, "_id")?))
}

fn command_id(key: &RawDocument) -> Result<CommandId> {
    let id = CommandId::stored(text(key, "id")?);
    id.ok_or_else(|| BsonError::new("command.id is none"))
}

fn command(key: &RawDocument) -> Result<CommandKey> {
    let key = CommandKey::from_hex(command_id(key)?, text(key, "digest")?);
    key.ok_or_else(|| BsonError::new("command.digest is none"))
}

fn author(author: &RawDocument) -> Result<Author> {
    let part = |name| author.get_str(name).ok();
    let author = Author::stored(part("iss"), part("sub"), part("key"));
    author.ok_or_else(|| BsonError::new("author is none"))
}

fn redacted(entry: &RawDocument, kind: ChangeKind) -> Result<Effect> {
    let prior = match kind {
        ChangeKind::Create => None,
        ChangeKind::Update | ChangeKind::Delete => Some(self::seq(entry, "prior")?),
    };
    Ok(Effect::Redacted {
        kind,
        id: id(text(entry, "event")?)?,
        version: number(entry, "version")?,
        prior,
    })
}

fn create(entry: &RawDocument, seq: Seq, at: Timestamp) -> Result<Effect> {
    if let Ok(after) = entry.get_document("after") {
        let after = Arc::new(event(after)?);
        return Ok(Effect::Create { after });
    }
    let after = Event {
        id: id(text(entry, "event")?)?,
        version: number(entry, "version")?,
        seq,
        created_at: at,
        updated_at: at,
        fields: fields(nested(entry, "data")?)?,
    };
    Ok(Effect::Create {
        after: Arc::new(after),
    })
}

fn update(entry: &RawDocument, seq: Seq, at: Timestamp) -> Result<Effect> {
    let before = before(entry)?;
    let patch = patch(nested(entry, "patch")?)?;
    let after = before
        .patched(&patch, seq, at)
        .map_err(|_| BsonError::new("the patch does not fit the event before"))?;
    Ok(Effect::Update {
        before,
        patch,
        after: Arc::new(after),
    })
}

fn before(entry: &RawDocument) -> Result<Arc<Event>> {
    event(nested(entry, "before")?).map(Arc::new)
}

fn patch(document: &RawDocument) -> Result<Patch> {
    let mut patch = Patch::default();
    for item in items(document, "set")? {
        let RawBsonRef::Document(item) = item? else {
            return Err(BsonError::new("patch.set holds no document"));
        };
        let value = item.get("value").ok().flatten();
        let value = value.ok_or_else(|| missing("value"))?;
        patch
            .set
            .push((path(text(item, "path")?)?, self::value(value, 1)?));
    }
    for item in items(document, "unset")? {
        let RawBsonRef::String(item) = item? else {
            return Err(BsonError::new("patch.unset holds no string"));
        };
        patch.unset.push(path(item)?);
    }
    Ok(patch)
}

fn items<'a>(
    document: &'a RawDocument,
    name: &str,
) -> Result<impl Iterator<Item = Result<RawBsonRef<'a>>>> {
    let list = document.get_array(name).map_err(|_| missing(name))?;
    Ok(list
        .into_iter()
        .map(|item| item.map_err(|_| BsonError::new("not BSON"))))
}

/// An event of the view, or one in a log entry.
pub(crate) fn event(document: &RawDocument) -> Result<Event> {
    Ok(Event {
        id: id(text(document, "_id")?)?,
        version: number(document, "_version")?,
        seq: seq(document, "_seq")?,
        created_at: timestamp(document, "_createdAt")?,
        updated_at: timestamp(document, "_updatedAt")?,
        fields: fields(document)?,
    })
}

/// The user's fields: all but those whose names are the server's.
fn fields(document: &RawDocument) -> Result<Document> {
    let mut fields = Document::new();
    for element in document {
        let (name, value) = element.map_err(|_| BsonError::new("not BSON"))?;
        if !name.as_str().starts_with('_') {
            fields.push(name.as_str(), self::value(value, 1)?);
        }
    }
    Ok(fields)
}

fn object(document: &RawDocument, depth: usize) -> Result<Document> {
    let mut fields = Document::new();
    for element in document {
        let (name, value) = element.map_err(|_| BsonError::new("not BSON"))?;
        fields.push(name.as_str(), self::value(value, depth)?);
    }
    Ok(fields)
}

/// A value that is `depth` levels deep in its document.
fn value(value: RawBsonRef<'_>, depth: usize) -> Result<Value> {
    if depth > limits::STORED_DEPTH_MAX {
        return Err(BsonError::new("nested too deep"));
    }
    Ok(match value {
        RawBsonRef::Null => Value::Null,
        RawBsonRef::Boolean(flag) => Value::Bool(flag),
        RawBsonRef::Int64(number) => Value::Int(number),
        RawBsonRef::Int32(number) => Value::Int(number.into()),
        RawBsonRef::Double(number) => Value::Float(number),
        RawBsonRef::String(text) => Value::String(text.to_owned()),
        RawBsonRef::Document(document) => Value::Object(object(document, depth + 1)?),
        RawBsonRef::Array(list) => {
            let items = list.into_iter().map(|item| {
                let item = item.map_err(|_| BsonError::new("not BSON"))?;
                self::value(item, depth + 1)
            });
            Value::list(items.collect::<Result<_>>()?)
        }
        _ => return Err(BsonError::new("a value of a type that JSON does not have")),
    })
}

/// The id of the batch that begins with this entry.
pub(crate) fn batch(entry: &RawDocument) -> Option<Uuid> {
    let binary = entry.get_binary("batch").ok()?;
    Uuid::from_slice(binary.bytes).ok()
}

/// A seq: at most 2^53.
pub(crate) fn seq(document: &RawDocument, name: &str) -> Result<Seq> {
    let seq = Seq::stored(number(document, name)?);
    seq.ok_or_else(|| BsonError::new(format!("{name} is beyond 2^53, which no log reaches")))
}

/// A count: never negative.
pub(crate) fn number(document: &RawDocument, name: &str) -> Result<u64> {
    let number = document.get_i64(name).map_err(|_| missing(name))?;
    u64::try_from(number).map_err(|_| BsonError::new(format!("{name} is negative")))
}

pub(crate) fn text<'a>(document: &'a RawDocument, name: &str) -> Result<&'a str> {
    document.get_str(name).map_err(|_| missing(name))
}

fn nested<'a>(document: &'a RawDocument, name: &str) -> Result<&'a RawDocument> {
    document.get_document(name).map_err(|_| missing(name))
}

fn timestamp(document: &RawDocument, name: &str) -> Result<Timestamp> {
    Timestamp::parse(text(document, name)?)
        .ok_or_else(|| BsonError::new(format!("{name} is no timestamp")))
}

fn id(text: &str) -> Result<EventId> {
    EventId::stored(text).map_err(BsonError)
}

fn path(text: &str) -> Result<Path> {
    Path::stored(text).ok_or_else(|| BsonError::new("a path that is none"))
}

fn missing(name: &str) -> BsonError {
    BsonError(format!("{name} is missing or of another type"))
}
