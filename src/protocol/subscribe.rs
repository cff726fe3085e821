//! SUBSCRIBE: which changes, and from which position.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::code::Code;
use super::failure::Failure;
use super::fetch::parse_seq;
use super::live_list::LiveList;
use crate::domain::Seq;
use crate::limits;
use crate::query::{Fields, Filter};
use crate::value::{Document, Invalid, Value, expect_flag, join};

/// The name that a client gave to a subscription; each of its frames carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubName {
    name: Arc<str>,
    /// As it is written in a frame, `"sub":"open",`: encoded once, not with every frame.
    field: Arc<str>,
}

/// SUBSCRIBE: which changes, and from which position.
#[derive(Debug, Clone)]
pub struct Subscribe {
    /// Changes of events that match this, before or after.
    pub filter: Arc<Filter>,
    /// What of each event.
    pub fields: Arc<Fields>,
    /// Whether to begin with the events as they are, unless it resumes from `after`.
    pub snapshot: bool,
    /// The first events of an order, in the place of all; it begins with them, and has no position to resume from.
    pub list: Option<LiveList>,
    /// The position to resume from; `None` is from now on.
    pub after: Option<Seq>,
    /// The log that position belongs to, if the client says.
    pub epoch: Option<Uuid>,
    /// What to send of the changes between `after` and now.
    pub mode: Mode,
    /// The log must reach this seq before anything is sent.
    pub min_seq: Seq,
    /// Where it stands in the request, e.g. `payload`.
    pub at: &'static str,
}

/// What to send of the changes that a resumed subscription has missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each of them.
    All,
    /// For each event that they touched, one: from what it was to what it is.
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
                    field: format!(r#""sub":{json},"#).into(),
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

    pub(super) fn field(&self) -> &str {
        &self.field
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
            list: None,
            after: None,
            epoch: None,
            mode: Mode::All,
            min_seq: Seq::ZERO,
            at: "",
        }
    }

    /// The same, begun anew from now on.
    pub fn anew(&self) -> Self {
        Self {
            after: None,
            epoch: None,
            min_seq: Seq::ZERO,
            ..self.clone()
        }
    }

    /// The names that [`parse`](Self::parse) reads.
    pub const NAMES: [&str; 10] = [
        "filter", "fields", "snapshot", "sort", "limit", "count", "after", "epoch", "mode",
        "minSeq",
    ];

    /// Reads the values of [`NAMES`](Self::NAMES); the caller checks that there are no others. `at` is the path of
    /// `params`.
    ///
    /// # Errors
    /// The first error, with its path.
    pub fn parse(params: &Document, at: &'static str) -> Result<Self, Failure> {
        let mut subscribe = Self {
            at,
            ..Self::everything()
        };
        subscribe
            .read_selection(params, at)
            .map_err(|invalid| Failure::at(Code::InvalidFilter, invalid))?;
        subscribe
            .read_position(params, at)
            .map_err(|invalid| Failure::at(Code::BadRequest, invalid))?;
        Ok(subscribe)
    }

    fn read_selection(&mut self, params: &Document, at: &str) -> Result<(), Invalid> {
        if let Some(filter) = params.get("filter") {
            self.filter = Arc::new(Filter::parse(filter, &join(at, "filter"))?);
        }
        if let Some(fields) = params.get("fields") {
            self.fields = Arc::new(Fields::parse(fields, &join(at, "fields"))?);
        }
        self.list = LiveList::parse(params, at)?;
        Ok(())
    }

    fn read_position(&mut self, params: &Document, at: &str) -> Result<(), Invalid> {
        if let Some(snapshot) = params.get("snapshot") {
            let at = join(at, "snapshot");
            self.snapshot = expect_flag(snapshot, &at)?;
            if self.list.is_some() && !self.snapshot {
                return Err(Invalid::new(at, "a list begins with what it shows"));
            }
        }
        if let Some(after) = params.get("after") {
            let at = join(at, "after");
            self.after = Some(parse_seq(after, &at)?);
            if self.list.is_some() {
                let reason = "a list begins with what it shows: it resumes from no position";
                return Err(Invalid::new(at, reason));
            }
        }
        if let Some(epoch) = params.get("epoch") {
            self.epoch = Some(parse_epoch(epoch, &join(at, "epoch"))?);
        }
        if let Some(seq) = params.get("minSeq") {
            self.min_seq = parse_seq(seq, &join(at, "minSeq"))?;
        }
        if let Some(mode) = params.get("mode") {
            self.mode = parse_mode(mode, &join(at, "mode"))?;
        }
        if self.mode == Mode::Latest && self.after.is_none() {
            let reason = "latest is what became of events after a position: name it with after";
            return Err(Invalid::new(join(at, "mode"), reason));
        }
        Ok(())
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
