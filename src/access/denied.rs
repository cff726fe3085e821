//! Why a command is not carried out.

use crate::query::HIDDEN;
use crate::value::TooCostly;

/// Why a write is not carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum Denied {
    /// It is about an event that is not seen: as if there were none.
    Unseen,
    /// It is about contents of the past that are not seen: as if the event had never had them.
    UnseenPast,
    /// The role does not allow it; the path in the command, if one is at fault.
    Forbidden(Option<String>),
    /// A rule takes too many steps to judge.
    TooCostly,
}

impl From<TooCostly> for Denied {
    fn from(_: TooCostly) -> Self {
        Self::TooCostly
    }
}

impl Denied {
    /// What the client is told where a command is at fault by a path.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Forbidden(Some(_)) => HIDDEN,
            Self::Forbidden(None) => "your role does not allow this",
            Self::Unseen => "there is no such event",
            Self::UnseenPast => "there is no such version",
            Self::TooCostly => "the rules of your role take too long to judge",
        }
    }
}
