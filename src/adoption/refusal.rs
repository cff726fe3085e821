//! Refusals, and the places in a document that they name.

use std::fmt;

use super::path::{SourcePath, quoted};
use crate::value::{Invalid, join};

/// Reasons that are kept of one document, or of all.
pub const REFUSALS_MAX: usize = 20;

/// One reason why a document is not taken, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where in the document the offender is, indexes of arrays included; empty if it is the document.
    pub path: String,
    /// One sentence without a full stop, the same for all that are refused alike.
    pub reason: String,
    /// What it is about in this document.
    about: Option<String>,
    /// The same place without indexes, if it is in a field.
    field: Option<SourcePath>,
    /// Whether another name would mend it.
    is_misnamed: bool,
}

/// Where, why, and what about; what would mend it is said apart.
impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => formatter.write_str(&self.reason)?,
            false => write!(formatter, "{}: {}", self.path, self.reason)?,
        }
        match &self.about {
            Some(about) => write!(formatter, " ({about})"),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// Refuses a document as a whole.
    pub fn whole(reason: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            reason: reason.into(),
            about: None,
            field: None,
            is_misnamed: false,
        }
    }

    /// The same, with what it is about in this document.
    #[must_use]
    pub fn about(self, about: impl Into<String>) -> Self {
        let about = Some(about.into());
        Self { about, ..self }
    }

    /// Whether the other has the same reason, at the same place but for indexes.
    pub fn is_like(&self, other: &Self) -> bool {
        let is_there = match (&self.field, &other.field) {
            (Some(one), Some(other)) => one == other,
            _ => self.path == other.path,
        };
        is_there && self.reason == other.reason
    }

    /// The field that another name would mend.
    pub fn misnamed_field(&self) -> Option<&SourcePath> {
        self.field.as_ref().filter(|_| self.is_misnamed)
    }

    /// The options that would mend it, as a shell takes them. With `=`, because a name may begin with a dash.
    pub fn remedy(&self) -> Option<String> {
        let path = self.misnamed_field()?.as_str();
        let (renamed, dropped) = (quoted(&format!("{path}=NAME")), quoted(path));
        Some(format!("--rename={renamed}, or --drop={dropped}"))
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        let path = invalid
            .path
            .strip_prefix("payload")
            .unwrap_or(&invalid.path);
        Self {
            path: path.trim_start_matches('.').to_owned(),
            ..Self::whole(invalid.reason)
        }
    }
}

/// The reasons why a document is not taken: of those that are alike the first, and of others so many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusals {
    /// In the order of the document.
    pub kept: Vec<Refusal>,
    /// How many more there were.
    pub more: u64,
}

impl Refusals {
    pub(super) fn add(&mut self, refusal: Refusal) {
        if self.kept.iter().any(|kept| kept.is_like(&refusal)) {
            return;
        }
        match self.kept.len() < REFUSALS_MAX {
            true => self.kept.push(refusal),
            false => self.more += 1,
        }
    }
}

impl From<Refusal> for Refusals {
    fn from(refusal: Refusal) -> Self {
        Self {
            kept: vec![refusal],
            more: 0,
        }
    }
}

/// A value's place, from the innermost name outwards: written out only where it is needed.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) outer: Option<&'a Place<'a>>,
    pub(super) segment: PlaceSegment<'a>,
}

#[derive(Clone, Copy)]
pub(super) enum PlaceSegment<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    pub(super) fn name(outer: Option<&'a Place<'a>>, name: &'a str) -> Self {
        let segment = PlaceSegment::Name(name);
        Self { outer, segment }
    }

    /// The path, as people read it.
    fn path(&self) -> String {
        let outer = self.outer.map(Place::path);
        match (self.segment, outer) {
            (PlaceSegment::Name(name), None) => name.to_owned(),
            (PlaceSegment::Name(name), Some(outer)) => format!("{outer}.{name}"),
            (PlaceSegment::Index(index), outer) => {
                join(&outer.unwrap_or_default(), &index.to_string())
            }
        }
    }

    /// The field that it is in, or is.
    pub(super) fn field(&self) -> Option<SourcePath> {
        let outer = self.outer.and_then(Place::field);
        match self.segment {
            PlaceSegment::Name(name) => Some(SourcePath::within(outer, name)),
            PlaceSegment::Index(_) => outer,
        }
    }

    pub(super) fn depth(&self) -> usize {
        1 + self.outer.map_or(0, Place::depth)
    }

    pub(super) fn refused(&self, reason: impl Into<String>) -> Refusal {
        Refusal {
            path: self.path(),
            field: self.field(),
            ..Refusal::whole(reason)
        }
    }

    /// A refusal that another name would mend.
    pub(super) fn misnamed(&self, reason: &str) -> Refusal {
        Refusal {
            is_misnamed: true,
            ..self.refused(reason)
        }
    }
}
