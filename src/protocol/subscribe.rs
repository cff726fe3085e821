//! What a client asks of a subscription.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::code::Code;
use super::failure::Failure;
use super::fetch::parse_seq;
use crate::domain::Seq;
use crate::limits;
use crate::query::{Fields, Filter};
use crate::value::{Document, Invalid, Value, join};

/// The name a client gave to a subscription; all of its frames carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubName {
    name: Arc<str>,
    /// As it stands in a frame, `"sub":"open",`: written once, not with every frame.
    tag: Arc<str>,
}

/// SUBSCRIBE: which changes, and from where.
#[derive(Debug, Clone)]
pub struct Subscribe {
    /// Changes of events that this admits, before or after.
    pub filter: Arc<Filter>,
    /// What of each event.
    pub fields: Arc<Fields>,
    /// Whether to begin with the events as they are, unless `after` can be resumed from.
    pub snapshot: bool,
    /// The position to resume from; `None` is from now on.
    pub after: Option<Seq>,
    /// The log that position belongs to, if the client says.
    pub epoch: Option<Uuid>,
    /// What to tell of the changes between `after` and now.
    pub mode: Mode,
    /// How far the log must be before anything is told.
    pub min_seq: Seq,
}

/// What to tell of changes that a subscription resumes across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each of them.
    All,
    /// For each event they touched, what they come to.
    Latest,
}

impl SubName {
    /// Reads a name.
    ///
    /// # Errors
    /// If it is empty or longer than [`limits::SUB_NAME_BYTES_MAX`].
    pub fn parse(payload: &Document, at: &str) -> Result<Self, Invalid> {
        let at = join(at, "sub");
        let invalid = |reason: String| Invalid::new(&at, reason);
        match payload.get("sub") {
            None => Err(invalid("missing: a name for the subscription".to_owned())),
            Some(Value::String(name)) if (1..=limits::SUB_NAME_BYTES_MAX).contains(&name.len()) => {
                let json = serde_json::to_string(name).expect("text is JSON");
                Ok(Self {
                    name: name.as_str().into(),
                    tag: format!(r#""sub":{json},"#).into(),
                })
            }
            Some(_) => Err(invalid(format!(
                "expected a string of 1 to {} bytes",
                limits::SUB_NAME_BYTES_MAX
            ))),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    pub(super) fn tag(&self) -> &str {
        &self.tag
    }
}

impl Serialize for SubName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl Subscribe {
    /// Everything from now on.
    pub fn everything() -> Self {
        Self {
            filter: Arc::new(Filter::all()),
            fields: Arc::new(Fields::all()),
            snapshot: false,
            after: None,
            epoch: None,
            mode: Mode::All,
            min_seq: Seq::ZERO,
        }
    }

    /// What [`parse`](Self::parse) reads.
    pub const NAMES: [&str; 7] = [
        "filter", "fields", "snapshot", "after", "epoch", "mode", "minSeq",
    ];

    /// Reads what stands under [`NAMES`](Self::NAMES); the caller knows what else may. `at` is where `asked` stands.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(asked: &Document, at: &str) -> Result<Self, Failure> {
        let mut subscribe = Self::everything();
        subscribe
            .select(asked, at)
            .map_err(|invalid| Failure::at(Code::InvalidFilter, invalid))?;
        subscribe
            .place(asked, at)
            .map_err(|invalid| Failure::at(Code::BadRequest, invalid))?;
        Ok(subscribe)
    }

    fn select(&mut self, asked: &Document, at: &str) -> Result<(), Invalid> {
        if let Some(filter) = asked.get("filter") {
            self.filter = Arc::new(Filter::parse(filter, &join(at, "filter"))?);
        }
        if let Some(fields) = asked.get("fields") {
            self.fields = Arc::new(Fields::parse(fields, &join(at, "fields"))?);
        }
        Ok(())
    }

    fn place(&mut self, asked: &Document, at: &str) -> Result<(), Invalid> {
        if let Some(snapshot) = asked.get("snapshot") {
            self.snapshot = parse_flag(snapshot, &join(at, "snapshot"))?;
        }
        if let Some(after) = asked.get("after") {
            self.after = Some(parse_seq(after, &join(at, "after"))?);
        }
        if let Some(epoch) = asked.get("epoch") {
            self.epoch = Some(parse_epoch(epoch, &join(at, "epoch"))?);
        }
        if let Some(seq) = asked.get("minSeq") {
            self.min_seq = parse_seq(seq, &join(at, "minSeq"))?;
        }
        if let Some(mode) = asked.get("mode") {
            self.mode = parse_mode(mode, &join(at, "mode"))?;
        }
        if self.mode == Mode::Latest && self.after.is_none() {
            let reason = "latest is what became of events after a position: name it with after";
            return Err(Invalid::new(join(at, "mode"), reason));
        }
        Ok(())
    }
}

fn parse_flag(value: &Value, at: &str) -> Result<bool, Invalid> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        _ => Err(Invalid::new(at, "expected true or false")),
    }
}

fn parse_epoch(value: &Value, at: &str) -> Result<Uuid, Invalid> {
    let epoch = value.as_str().and_then(|text| text.parse().ok());
    epoch.ok_or_else(|| Invalid::new(at, "expected the epoch as the welcome gave it"))
}

fn parse_mode(value: &Value, at: &str) -> Result<Mode, Invalid> {
    match value.as_str() {
        Some("all") => Ok(Mode::All),
        Some("latest") => Ok(Mode::Latest),
        _ => Err(Invalid::new(at, "expected all or latest")),
    }
}
