//! Refusals, and the places in a document that they name.

use std::fmt;

use crate::value::{Invalid, join};

/// Why a document is not taken, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where in the document the offender is, indexes of arrays included; empty if it is the document.
    pub path: String,
    /// One sentence without a full stop.
    pub reason: String,
    /// If another name would mend it, the path as `--rename` takes it.
    pub rename: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => formatter.write_str(&self.reason)?,
            false => write!(formatter, "{}: {}", self.path, self.reason)?,
        }
        match &self.rename {
            Some(path) => write!(formatter, " (--rename '{path}=NAME', or --drop '{path}')"),
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
            rename: None,
        }
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

    /// The path without indexes, as `--rename` takes it.
    pub(super) fn named(&self) -> String {
        let outer = self.outer.map(Place::named);
        match (self.segment, outer) {
            (PlaceSegment::Name(name), None) => name.to_owned(),
            (PlaceSegment::Name(name), Some(outer)) => format!("{outer}.{name}"),
            (PlaceSegment::Index(_), outer) => outer.unwrap_or_default(),
        }
    }

    pub(super) fn depth(&self) -> usize {
        1 + self.outer.map_or(0, Place::depth)
    }

    pub(super) fn refused(&self, reason: impl Into<String>) -> Refusal {
        Refusal {
            path: self.path(),
            ..Refusal::whole(reason)
        }
    }

    /// A refusal that another name would mend.
    pub(super) fn misnamed(&self, reason: &str) -> Refusal {
        Refusal {
            rename: Some(self.named()),
            ..self.refused(reason)
        }
    }
}
