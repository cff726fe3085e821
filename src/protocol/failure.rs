//! The error object: `{"code","message","retryable","retryAfterMs"?,"path"?,"details"?}`.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::error::Category;

use super::code::Code;
use crate::domain::{Event, EventId, Rejection, Seq};
use crate::value::{Invalid, ParseError, TooCostly, join};

/// Why a request failed, as the client is told.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What went wrong.
    pub code: Code,
    /// The same for people: one sentence, without the server's internals.
    pub message: String,
    /// When the same request may succeed, as far as is known.
    pub retry_after: Option<Duration>,
    /// Where in the request the error is.
    pub path: Option<String>,
    /// What the client needs to go on.
    pub details: Option<Details>,
}

/// Facts beside an error.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase", untagged)]
pub enum Details {
    /// With `version_conflict` and `precondition_failed`: the event as it is, so that the client can merge without
    /// asking.
    #[serde(rename_all = "camelCase")]
    #[expect(missing_docs, reason = "the variant says it")]
    Conflict {
        current_version: u64,
        current: Arc<Event>,
    },
    /// With `corrupt`: the entry of the log that cannot be read.
    #[expect(missing_docs, reason = "the variant says it")]
    Unreadable { seq: Seq },
}

impl Details {
    fn conflict(current: Arc<Event>) -> Self {
        Self::Conflict {
            current_version: current.version,
            current,
        }
    }
}

impl Failure {
    /// A failure without a path.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
            path: None,
            details: None,
        }
    }

    /// More was asked for than is allowed; after so long it may be asked for again.
    pub fn rate_limited(message: impl Into<String>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(Code::RateLimited, message)
        }
    }

    /// The server is at fault; only its log says how.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "the server is at fault; its log says why")
    }

    /// The same failure, of the command at the path `at` of a BATCH.
    pub fn within(mut self, at: &str) -> Self {
        self.path = Some(match self.path {
            Some(path) => join(at, &path),
            None => at.to_owned(),
        });
        self
    }

    /// The failure without the event in its details, and that event's id: it can be read again when there is room.
    pub fn without_event(self) -> (Self, Option<EventId>) {
        match self.details {
            Some(Details::Conflict { current, .. }) => {
                let short = Self {
                    details: None,
                    ..self
                };
                (short, Some(current.id.clone()))
            }
            _ => (self, None),
        }
    }

    /// The failure with the event as it is now.
    pub fn with_event(self, current: Arc<Event>) -> Self {
        Self {
            details: Some(Details::conflict(current)),
            ..self
        }
    }

    /// A failure at `invalid.path`.
    pub fn at(code: Code, invalid: Invalid) -> Self {
        Self {
            path: Some(invalid.path),
            ..Self::new(code, invalid.reason)
        }
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Offence(invalid) => Self::at(Code::BadRequest, invalid),
            ParseError::Json { at, error } => {
                let code = match error.classify() {
                    Category::Data => Code::BadRequest,
                    Category::Syntax | Category::Eof | Category::Io => Code::MalformedJson,
                };
                let path = Some(at).filter(|at| code == Code::BadRequest && !at.is_empty());
                let message = match code {
                    // Well-formed JSON that breaks no rule can only be of the wrong type as a whole; serde_json says
                    // that in terms of Rust, with a line and a column that mean nothing.
                    Code::BadRequest => "expected a JSON object".to_owned(),
                    _ => error.to_string(),
                };
                Self {
                    path,
                    ..Self::new(code, message)
                }
            }
        }
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.to_string();
        match rejection {
            Rejection::AlreadyExists { .. } => Self::new(Code::AlreadyExists, message),
            Rejection::CommandIdReused => {
                Self::at(Code::CommandIdReused, Invalid::new("commandId", message))
            }
            Rejection::NotFound { .. } => Self::new(Code::NotFound, message),
            Rejection::NoSuchVersion { .. } => {
                Self::at(Code::NotFound, Invalid::new("payload.version", message))
            }
            Rejection::Redacted { .. } => Self::new(Code::Redacted, message),
            Rejection::BatchTooLarge => Self::new(Code::BatchTooLarge, message),
            Rejection::Forbidden { path, .. } => Self {
                path: path.map(|path| join("payload", &path)),
                ..Self::new(Code::Forbidden, message)
            },
            Rejection::TooLarge { .. } => Self::new(Code::EventTooLarge, message),
            Rejection::PreconditionFailed { current, .. } => Self {
                details: current.map(Details::conflict),
                ..Self::new(Code::PreconditionFailed, message)
            },
            Rejection::NotUnique(Invalid { path, reason }) => Self::at(
                Code::NotUnique,
                Invalid::new(join("payload", &path), reason),
            ),
            Rejection::NotIndexable(Invalid { path, reason }) => Self::at(
                Code::NotIndexable,
                Invalid::new(join("payload", &path), reason),
            ),
            Rejection::DoesNotFit(invalid) => Self::at(Code::DoesNotFit, invalid),
            Rejection::TooCostly(invalid) => Self::at(Code::FilterTooSlow, invalid),
            Rejection::VersionConflict { current, .. } => Self {
                details: Some(Details::conflict(current)),
                ..Self::new(Code::VersionConflict, message)
            },
        }
    }
}

impl From<TooCostly> for Failure {
    fn from(costly: TooCostly) -> Self {
        Self::new(Code::FilterTooSlow, costly.to_string())
    }
}

impl Failure {
    /// The same in whole seconds, for who is told so; at least one.
    pub fn retry_after_seconds(&self) -> u64 {
        let wait = self.retry_after.unwrap_or_default();
        whole(wait.as_nanos(), 1_000_000_000)
    }
}

/// Rounded up, and at least one, so that who waits so long does not come too early.
fn whole(nanoseconds: u128, unit: u128) -> u64 {
    u64::try_from(nanoseconds.div_ceil(unit).max(1)).unwrap_or(u64::MAX)
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("code", &self.code)?;
        object.serialize_entry("message", &self.message)?;
        object.serialize_entry("retryable", &self.code.retryable())?;
        if let Some(wait) = self.retry_after {
            object.serialize_entry("retryAfterMs", &whole(wait.as_nanos(), 1_000_000))?;
        }
        if let Some(path) = &self.path {
            object.serialize_entry("path", path)?;
        }
        if let Some(details) = &self.details {
            object.serialize_entry("details", details)?;
        }
        object.end()
    }
}
