//! What is read from the file, and the refusal to take anything else for it.
//!
//! Nothing here trusts a length, a count or a tag: whatever the bytes are, the answer is the value that
//! [`encode`](super::encode) wrote, or why it cannot be.

use std::sync::Arc;

use uuid::Uuid;

use super::encode::log_key;
use crate::domain::{
    Change, CommandId, CommandKey, Effect, Event, EventId, Kind, Patch, Path, Seq, Timestamp,
};
use crate::limits;
use crate::store::{Spot, StoreError};
use crate::value::{Document, Value};

/// The format of stored values that this program writes, and the only one it reads so far.
pub(crate) const FORMAT: u8 = 1;

pub(super) const CHECKSUM_BYTES: usize = 4;

/// Fields of most documents.
const FIELDS_EXPECTED: usize = 16;

/// What a change did.
pub(crate) mod kind {
    pub(in super::super) const CREATE: u8 = 1;
    pub(in super::super) const UPDATE: u8 = 2;
    pub(in super::super) const DELETE: u8 = 3;
}

/// What an entry of the log begins with.
pub(super) mod flag {
    /// The id of the batch that it is the first of.
    pub(in super::super) const OPENS_BATCH: u8 = 1;
    /// The key of the command that asked for it.
    pub(in super::super) const HAS_COMMAND: u8 = 2;
    /// The event's id, its version and its change before, instead of what happened to it.
    pub(in super::super) const REDACTED: u8 = 4;
    pub(in super::super) const ALL: u8 = OPENS_BATCH | HAS_COMMAND | REDACTED;
}

/// What kind of value follows.
pub(super) mod tag {
    pub(in super::super) const NULL: u8 = 0;
    pub(in super::super) const FALSE: u8 = 1;
    pub(in super::super) const TRUE: u8 = 2;
    pub(in super::super) const INT: u8 = 3;
    pub(in super::super) const FLOAT: u8 = 4;
    pub(in super::super) const STRING: u8 = 5;
    pub(in super::super) const ARRAY: u8 = 6;
    pub(in super::super) const OBJECT: u8 = 7;
}

/// Why bytes are not what livelog wrote.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DecodeError(&'static str);

type Read<T> = Result<T, DecodeError>;

impl DecodeError {
    pub(crate) fn at(&self, at: impl Into<Spot>) -> StoreError {
        StoreError::Corrupt {
            at: at.into(),
            reason: self.0.to_owned(),
        }
    }
}

/// Over the key and what stands under it.
pub(crate) fn checksum(key: &[u8], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), content)
}

/// The change at `seq` of the log.
pub(crate) fn change(seq: Seq, bytes: &[u8]) -> Result<Change, StoreError> {
    entry(seq, bytes)
        .and_then(|entry| entry.change(seq))
        .map_err(|unreadable| unreadable.at(seq))
}

/// The id of the batch that begins at `seq` of the log, if one does.
pub(crate) fn batch(seq: Seq, bytes: &[u8]) -> Result<Option<Uuid>, StoreError> {
    match entry(seq, bytes) {
        Ok(entry) => Ok(entry.batch),
        Err(unreadable) => Err(unreadable.at(seq)),
    }
}

/// A change's place in the history of its event.
pub(crate) struct ChangeHeader {
    pub(crate) id: EventId,
    pub(crate) kind: Kind,
    pub(crate) version: u64,
    /// The change of the event before this one.
    pub(crate) prior: Option<Seq>,
    pub(crate) is_redacted: bool,
}

/// The same change without what it did.
pub(crate) fn link(seq: Seq, bytes: &[u8]) -> Result<ChangeHeader, StoreError> {
    entry(seq, bytes)
        .and_then(LogEntry::link)
        .map_err(|unreadable| unreadable.at(seq))
}

/// The event at `id` of the view.
pub(crate) fn event(id: &str, bytes: &[u8]) -> Result<Event, StoreError> {
    let event = unseal(id.as_bytes(), bytes).and_then(|mut rest| {
        let id = EventId::stored(id).map_err(|_| DecodeError("its id is none"))?;
        let event = rest.event_body(id)?;
        rest.end(event)
    });
    event.map_err(|unreadable| unreadable.at(format!("event {id}")))
}

/// The version of the event at `id` of the view, and the change that made it what it is.
pub(crate) fn version(id: &str, bytes: &[u8]) -> Result<(u64, Seq), StoreError> {
    unseal(id.as_bytes(), bytes)
        .and_then(|mut rest| Ok((rest.number()?, Seq::new(rest.number()?))))
        .map_err(|unreadable| unreadable.at(format!("event {id}")))
}

/// A log entry up to its effect.
struct LogEntry<'a> {
    kind: Kind,
    is_redacted: bool,
    batch: Option<Uuid>,
    command: Option<Arc<CommandKey>>,
    rest: ByteReader<'a>,
}

fn entry(seq: Seq, bytes: &[u8]) -> Read<LogEntry<'_>> {
    let mut rest = unseal(&log_key(seq), bytes)?;
    let kind = match rest.byte()? {
        kind::CREATE => Kind::Create,
        kind::UPDATE => Kind::Update,
        kind::DELETE => Kind::Delete,
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
    Ok(LogEntry {
        kind,
        is_redacted: flags & flag::REDACTED != 0,
        batch,
        command,
        rest,
    })
}

impl LogEntry<'_> {
    /// The event as it was stands first, or where there was none the event as it became.
    fn link(mut self) -> Read<ChangeHeader> {
        let rest = &mut self.rest;
        rest.timestamp()?;
        if self.is_redacted {
            return rest.redacted(self.kind);
        }
        let (id, version, seq) = (rest.id()?, rest.number()?, Seq::new(rest.number()?));
        let (version, prior) = match self.kind {
            Kind::Create => (version, None),
            Kind::Update | Kind::Delete => (version + 1, Some(seq)),
        };
        Ok(ChangeHeader {
            id,
            kind: self.kind,
            version,
            prior,
            is_redacted: false,
        })
    }

    fn change(mut self, seq: Seq) -> Read<Change> {
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
            Kind::Create => Effect::Create {
                after: rest.event()?,
            },
            Kind::Update => Effect::Update {
                before: rest.event()?,
                patch: rest.patch()?,
                after: rest.event()?,
            },
            Kind::Delete => Effect::Delete {
                before: rest.event()?,
            },
        };
        let command = self.command;
        self.rest.end(Change {
            seq,
            at,
            effect,
            command,
        })
    }
}

fn unseal<'a>(key: &[u8], bytes: &'a [u8]) -> Read<ByteReader<'a>> {
    let Some((sum, content)) = bytes.split_first_chunk::<CHECKSUM_BYTES>() else {
        return Err(DecodeError("too short"));
    };
    if u32::from_le_bytes(*sum) != checksum(key, content) {
        return Err(DecodeError("its checksum does not match"));
    }
    let mut rest = ByteReader(content);
    match rest.byte()? {
        FORMAT => Ok(rest),
        _ => Err(DecodeError(
            "written in a format this livelog does not know",
        )),
    }
}

/// Bytes not read yet.
struct ByteReader<'a>(&'a [u8]);

impl<'a> ByteReader<'a> {
    fn event(&mut self) -> Read<Arc<Event>> {
        let id = self.id()?;
        self.event_body(id).map(Arc::new)
    }

    fn redacted(&mut self, kind: Kind) -> Read<ChangeHeader> {
        Ok(ChangeHeader {
            id: self.id()?,
            kind,
            version: self.number()?,
            // No change is at 0.
            prior: Some(Seq::new(self.number()?)).filter(|prior| *prior != Seq::ZERO),
            is_redacted: true,
        })
    }

    fn id(&mut self) -> Read<EventId> {
        EventId::stored(self.text()?).map_err(|_| DecodeError("an id that is none"))
    }

    fn event_body(&mut self, id: EventId) -> Read<Event> {
        Ok(Event {
            id,
            version: self.number()?,
            seq: Seq::new(self.number()?),
            created_at: self.timestamp()?,
            updated_at: self.timestamp()?,
            fields: self.document(0)?,
        })
    }

    fn command(&mut self) -> Read<CommandKey> {
        let id = CommandId::stored(self.text()?);
        Ok(CommandKey {
            id: id.ok_or(DecodeError("a command id that is none"))?,
            digest: self.array()?,
        })
    }

    fn patch(&mut self) -> Read<Patch> {
        let mut patch = Patch::default();
        for _ in 0..self.length()? {
            patch.set.push((self.path()?, self.value(0)?));
        }
        for _ in 0..self.length()? {
            patch.unset.push(self.path()?);
        }
        Ok(patch)
    }

    fn path(&mut self) -> Read<Path> {
        Path::stored(self.text()?).ok_or(DecodeError("a path that is none"))
    }

    fn document(&mut self, depth: usize) -> Read<Document> {
        let count = self.length()?;
        // A small guess, so that a wild count asks for little.
        let mut fields = Vec::with_capacity(count.min(FIELDS_EXPECTED));
        for _ in 0..count {
            fields.push((self.text()?.to_owned(), self.value(depth)?));
        }
        Ok(fields.into_iter().collect())
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
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
                Value::list(items.collect::<Read<_>>()?)
            }
            tag::OBJECT => Value::Object(self.document(depth + 1)?),
            _ => return Err(DecodeError("an unknown kind of value")),
        })
    }

    fn timestamp(&mut self) -> Read<Timestamp> {
        let text = str::from_utf8(self.take(24)?).ok();
        text.and_then(Timestamp::parse)
            .ok_or(DecodeError("a time that is none"))
    }

    fn text(&mut self) -> Read<&'a str> {
        let length = self.length()?;
        str::from_utf8(self.take(length)?).map_err(|_| DecodeError("text that is not UTF-8"))
    }

    /// Each thing counted takes at least a byte, so a wild count ends here and not in an allocation.
    fn length(&mut self) -> Read<usize> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        match length <= self.0.len() {
            true => Ok(length),
            false => Err(DecodeError("it ends early")),
        }
    }

    fn number(&mut self) -> Read<u64> {
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

    fn byte(&mut self) -> Read<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (array, rest) = self
            .0
            .split_first_chunk()
            .ok_or(DecodeError("it ends early"))?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(DecodeError("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// `whole`, if it was read to the last byte.
    fn end<T>(&self, whole: T) -> Read<T> {
        match self.0.is_empty() {
            true => Ok(whole),
            false => Err(DecodeError("more follows than should")),
        }
    }
}
