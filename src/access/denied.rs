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
    /// This rule of the role does not hold.
    Rule(RuleName),
    /// A rule takes too many steps to judge.
    TooCostly,
}

/// The rules about writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the access file")]
pub enum RuleName {
    CreateAfter,
    UpdateBefore,
    UpdateAfter,
    DeleteBefore,
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
            Self::Rule(RuleName::CreateAfter) => {
                "your role may not create such an event (create.after)"
            }
            Self::Rule(RuleName::UpdateBefore) => {
                "your role may not update this event (update.before)"
            }
            Self::Rule(RuleName::UpdateAfter) => {
                "your role may not make the event so (update.after)"
            }
            Self::Rule(RuleName::DeleteBefore) => {
                "your role may not delete this event (delete.before)"
            }
            Self::Forbidden(None) => "your role does not allow this",
            Self::Unseen => "there is no such event",
            Self::UnseenPast => "there is no such version",
            Self::TooCostly => "the rules of your role take too long to judge",
        }
    }
}
