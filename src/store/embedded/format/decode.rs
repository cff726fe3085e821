//! Decodes stored values and verifies them: bytes that livelog did not write are an error, never a wrong value.
//!
//! Nothing here trusts a length, a count or a tag: whatever the bytes are, the result is the value that was encoded,
//! or a [`DecodeError`]. The [`layout`](super::layout) says what the bytes mean.

use std::sync::Arc;

use uuid::Uuid;

use super::layout::{CHECKSUM_BYTES, VALUE_FORMAT, checksum, flag, kind, log_key, tag};
use crate::domain::{
    Author, Change, ChangeKind, CommandId, CommandKey, Effect, Event, EventId, Patch, Path, Seq,
    Timestamp,
};
use crate::limits;
use crate::store::{CorruptAt, StoreError};
use crate::value::{Document, Value};

/// Most documents have no more fields than this.
const FIELDS_EXPECTED: usize = 16;

/// Why bytes are not what livelog wrote.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DecodeError(&'static str);

type Decoded<T> = Result<T, DecodeError>;

impl DecodeError {
    /// The error of the store that names where the bytes are stored.
    fn at(&self, at: impl Into<CorruptAt>) -> StoreError {
        StoreError::Corrupt {
            at: at.into(),
            reason: self.0.to_owned(),
        }
    }
}

/// The change at `seq` of the log.
pub(crate) fn change(seq: Seq, bytes: &[u8]) -> Result<Change, StoreError> {
    entry(seq, bytes)
        .and_then(|entry| entry.change(seq))
        .map_err(|error| error.at(seq))
}

/// The id of the batch that begins at `seq` of the log, if one does.
pub(crate) fn batch(seq: Seq, bytes: &[u8]) -> Result<Option<Uuid>, StoreError> {
    match entry(seq, bytes) {
        Ok(entry) => Ok(entry.batch),
        Err(error) => Err(error.at(seq)),
    }
}

/// What a change says of its event's history, without the contents.
pub(crate) struct ChangeHeader {
    pub(crate) id: EventId,
    pub(crate) kind: ChangeKind,
    pub(crate) version: u64,
    /// The change of the event before this one.
    pub(crate) prior: Option<Seq>,
    pub(crate) is_redacted: bool,
}

/// The header of the change at `seq` of the log. Decodes no contents.
pub(crate) fn header(seq: Seq, bytes: &[u8]) -> Result<ChangeHeader, StoreError> {
    entry(seq, bytes)
        .and_then(LogEntry::header)
        .map_err(|error| error.at(seq))
}

/// The event at `id` of the view.
pub(crate) fn event(id: &str, bytes: &[u8]) -> Result<Event, StoreError> {
    let event = verified_body(id.as_bytes(), bytes).and_then(|mut rest| {
        let id = EventId::stored(id).map_err(|_| DecodeError("its id is not valid"))?;
        let event = rest.event_body(id)?;
        rest.end(event)
    });
    event.map_err(|error| error.at(format!("event {id}")))
}

/// The version of the event at `id` of the view, and the change that made it what it is.
pub(crate) fn version(id: &str, bytes: &[u8]) -> Result<(u64, Seq), StoreError> {
    verified_body(id.as_bytes(), bytes)
        .and_then(|mut rest| Ok((rest.number()?, Seq::new(rest.number()?))))
        .map_err(|error| error.at(format!("event {id}")))
}

/// A log entry, decoded up to its contents.
struct LogEntry<'a> {
    kind: ChangeKind,
    is_redacted: bool,
    batch: Option<Uuid>,
    command: Option<Arc<CommandKey>>,
    author: Option<Arc<Author>>,
    rest: ByteReader<'a>,
}

fn entry(seq: Seq, bytes: &[u8]) -> Decoded<LogEntry<'_>> {
    let mut rest = verified_body(&log_key(seq), bytes)?;
    let kind = match rest.byte()? {
        kind::CREATE => ChangeKind::Create,
        kind::UPDATE => ChangeKind::Update,
        kind::DELETE => ChangeKind::Delete,
        _ => return Err(DecodeError("an unknown kind of change")),
    };
    let flags = rest.byte()?;
    if flags & !flag::ALL != 0 {
        return Err(DecodeError("an unknown flag"));
    }
    let batch = match flags & flag::OPENS_BATCH {
        0 => None,
        _ => Some(Uuid::from_bytes(rest.array()?)),
    };
    let command = match flags & flag::HAS_COMMAND {
        0 => None,
        _ => Some(Arc::new(rest.command()?)),
    };
    let author = match (flags & flag::BY_TOKEN, flags & flag::BY_KEY) {
        (0, 0) => None,
        (_, 0) => Some(rest.author(true)?),
        (0, _) => Some(rest.author(false)?),
        _ => return Err(DecodeError("two authors")),
    };
    Ok(LogEntry {
        kind,
        is_redacted: flags & flag::REDACTED != 0,
        batch,
        command,
        author: author.map(Arc::new),
        rest,
    })
}

impl LogEntry<'_> {
    /// The contents begin with the event before the change, or, where there was none, after it.
    fn header(mut self) -> Decoded<ChangeHeader> {
        let rest = &mut self.rest;
        rest.timestamp()?;
        if self.is_redacted {
            return rest.redacted(self.kind);
        }
        let (id, version, seq) = (rest.id()?, rest.number()?, Seq::new(rest.number()?));
        let (version, prior) = match self.kind {
            ChangeKind::Create => (version, None),
            ChangeKind::Update | ChangeKind::Delete => (version + 1, Some(seq)),
        };
        Ok(ChangeHeader {
            id,
            kind: self.kind,
            version,
            prior,
            is_redacted: false,
        })
    }

    fn change(mut self, seq: Seq) -> Decoded<Change> {
        let rest = &mut self.rest;
        let at = rest.timestamp()?;
        let effect = match self.kind {
            kind if self.is_redacted => {
                let ChangeHeader {
                    id, version, prior, ..
                } = rest.redacted(kind)?;
                Effect::Redacted {
                    kind,
                    id,
                    version,
                    prior,
                }
            }
            ChangeKind::Create => Effect::Create {
                after: rest.event()?,
            },
            ChangeKind::Update => Effect::Update {
                before: rest.event()?,
                patch: rest.patch()?,
                after: rest.event()?,
            },
            ChangeKind::Delete => Effect::Delete {
                before: rest.event()?,
            },
        };
        let (command, author) = (self.command, self.author);
        self.rest.end(Change {
            seq,
            at,
            effect,
            command,
            author,
        })
    }
}

/// The bytes after the checksum and the format number, once both are verified.
fn verified_body<'a>(key: &[u8], bytes: &'a [u8]) -> Decoded<ByteReader<'a>> {
    let Some((sum, content)) = bytes.split_first_chunk::<CHECKSUM_BYTES>() else {
        return Err(DecodeError("too short"));
    };
    if u32::from_le_bytes(*sum) != checksum(key, content) {
        return Err(DecodeError("its checksum does not match"));
    }
    let mut rest = ByteReader(content);
    match rest.byte()? {
        VALUE_FORMAT => Ok(rest),
        _ => Err(DecodeError(
            "written in a format this livelog does not know",
        )),
    }
}

/// The bytes that are not read yet.
struct ByteReader<'a>(&'a [u8]);

impl<'a> ByteReader<'a> {
    fn event(&mut self) -> Decoded<Arc<Event>> {
        let id = self.id()?;
        self.event_body(id).map(Arc::new)
    }

    fn redacted(&mut self, kind: ChangeKind) -> Decoded<ChangeHeader> {
        Ok(ChangeHeader {
            id: self.id()?,
            kind,
            version: self.number()?,
            // Stored as 0 if there is none.
            prior: Some(Seq::new(self.number()?)).filter(|prior| *prior != Seq::ZERO),
            is_redacted: true,
        })
    }

    fn id(&mut self) -> Decoded<EventId> {
        EventId::stored(self.text()?).map_err(|_| DecodeError("an id that is not valid"))
    }

    fn event_body(&mut self, id: EventId) -> Decoded<Event> {
        Ok(Event {
            id,
            version: self.number()?,
            seq: Seq::new(self.number()?),
            created_at: self.timestamp()?,
            updated_at: self.timestamp()?,
            fields: self.document(0)?,
        })
    }

    fn command(&mut self) -> Decoded<CommandKey> {
        let id = CommandId::stored(self.text()?);
        Ok(CommandKey {
            id: id.ok_or(DecodeError("a command id that is not valid"))?,
            digest: self.array()?,
        })
    }

    fn author(&mut self, has_token: bool) -> Decoded<Author> {
        let author = match has_token {
            true => Author::stored(Some(self.text()?), Some(self.text()?), None),
            false => Author::stored(None, None, Some(self.text()?)),
        };
        author.ok_or(DecodeError("an author that is not valid"))
    }

    fn patch(&mut self) -> Decoded<Patch> {
        let mut patch = Patch::default();
        for _ in 0..self.length()? {
            patch.set.push((self.path()?, self.value(0)?));
        }
        for _ in 0..self.length()? {
            patch.unset.push(self.path()?);
        }
        Ok(patch)
    }

    fn path(&mut self) -> Decoded<Path> {
        Path::stored(self.text()?).ok_or(DecodeError("a path that is not valid"))
    }

    fn document(&mut self, depth: usize) -> Decoded<Document> {
        let count = self.length()?;
        // The count is not trusted: a damaged one must not allocate much.
        let mut fields = Vec::with_capacity(count.min(FIELDS_EXPECTED));
        for _ in 0..count {
            fields.push((self.text()?.to_owned(), self.value(depth)?));
        }
        Ok(fields.into_iter().collect())
    }

    fn value(&mut self, depth: usize) -> Decoded<Value> {
        if depth > limits::STORED_DEPTH_MAX {
            return Err(DecodeError("nested too deep"));
        }
        Ok(match self.byte()? {
            tag::NULL => Value::Null,
            tag::FALSE => Value::Bool(false),
            tag::TRUE => Value::Bool(true),
            tag::INT => {
                let zigzag = self.number()?;
                Value::Int((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
            }
            tag::FLOAT => Value::Float(f64::from_le_bytes(self.array()?)),
            tag::STRING => Value::String(self.text()?.to_owned()),
            tag::ARRAY => {
                let items = (0..self.length()?).map(|_| self.value(depth + 1));
                Value::list(items.collect::<Decoded<_>>()?)
            }
            tag::OBJECT => Value::Object(self.document(depth + 1)?),
            _ => return Err(DecodeError("an unknown kind of value")),
        })
    }

    fn timestamp(&mut self) -> Decoded<Timestamp> {
        let text = str::from_utf8(self.take(24)?).ok();
        text.and_then(Timestamp::parse)
            .ok_or(DecodeError("a time that is not valid"))
    }

    fn text(&mut self) -> Decoded<&'a str> {
        let length = self.length()?;
        str::from_utf8(self.take(length)?).map_err(|_| DecodeError("text that is not UTF-8"))
    }

    /// A length or a count. Each counted item takes at least a byte, so a damaged count ends here and not in an
    /// allocation.
    fn length(&mut self) -> Decoded<usize> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        match length <= self.0.len() {
            true => Ok(length),
            false => Err(DecodeError("it ends early")),
        }
    }

    fn number(&mut self) -> Decoded<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError("a number of more than 64 bits"))
    }

    fn byte(&mut self) -> Decoded<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (array, rest) = self
            .0
            .split_first_chunk()
            .ok_or(DecodeError("it ends early"))?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, count: usize) -> Decoded<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(DecodeError("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// `value`, if every byte was read.
    fn end<T>(&self, value: T) -> Decoded<T> {
        match self.0.is_empty() {
            true => Ok(value),
            false => Err(DecodeError("more bytes follow than should")),
        }
    }
}
