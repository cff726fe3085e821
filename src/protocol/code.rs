//! The table of errors: each code with its name on the wire, its HTTP status, its close code, and whether the same
//! request may be sent again. No other list says any of this.

use serde::{Serialize, Serializer};

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says it")]
pub enum Code {
    AddressTooLong,
    AlreadyExists,
    BadRequest,
    BatchTooLarge,
    BinaryFrame,
    Busy,
    CommandIdReused,
    Corrupt,
    DoesNotFit,
    EventTooLarge,
    FilterTooSlow,
    Forbidden,
    ForbiddenHost,
    ForbiddenOrigin,
    HeadersTooLarge,
    Internal,
    InvalidFilter,
    MalformedJson,
    MessageTooLarge,
    MethodNotAllowed,
    NodeFailed,
    NotFound,
    NotIndexable,
    NotUnique,
    OutcomeUnknown,
    PreconditionFailed,
    QueryTooSlow,
    RateLimited,
    Redacted,
    SeqNotReached,
    ShuttingDown,
    StalePosition,
    StorageFailed,
    StorageFull,
    SubscriptionExists,
    TimedOut,
    TokenExpired,
    TooManyGroups,
    TooManySubscriptions,
    TooSlow,
    Unauthenticated,
    Unavailable,
    UnknownType,
    UnsupportedMediaType,
    UpgradeRequired,
    VersionConflict,
}

/// A row of the table.
struct Rule {
    name: &'static str,
    status: u16,
    /// Whether the same request may succeed later, unchanged, with no risk of a second effect.
    retryable: bool,
    /// 4000-4499: reconnect and resume. 4500-4999: do not come back the same way.
    close: Option<u16>,
}

const fn rule(name: &'static str, status: u16) -> Rule {
    Rule {
        name,
        status,
        retryable: false,
        close: None,
    }
}

impl Rule {
    const fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    const fn closes(mut self, code: u16) -> Self {
        self.close = Some(code);
        self
    }
}

impl Code {
    /// Every code, in the order of their names.
    pub const ALL: [Self; 46] = [
        Self::AddressTooLong,
        Self::AlreadyExists,
        Self::BadRequest,
        Self::BatchTooLarge,
        Self::BinaryFrame,
        Self::Busy,
        Self::CommandIdReused,
        Self::Corrupt,
        Self::DoesNotFit,
        Self::EventTooLarge,
        Self::FilterTooSlow,
        Self::Forbidden,
        Self::ForbiddenHost,
        Self::ForbiddenOrigin,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::InvalidFilter,
        Self::MalformedJson,
        Self::MessageTooLarge,
        Self::MethodNotAllowed,
        Self::NodeFailed,
        Self::NotFound,
        Self::NotIndexable,
        Self::NotUnique,
        Self::OutcomeUnknown,
        Self::PreconditionFailed,
        Self::QueryTooSlow,
        Self::RateLimited,
        Self::Redacted,
        Self::SeqNotReached,
        Self::ShuttingDown,
        Self::StalePosition,
        Self::StorageFailed,
        Self::StorageFull,
        Self::SubscriptionExists,
        Self::TimedOut,
        Self::TokenExpired,
        Self::TooManyGroups,
        Self::TooManySubscriptions,
        Self::TooSlow,
        Self::Unauthenticated,
        Self::Unavailable,
        Self::UnknownType,
        Self::UnsupportedMediaType,
        Self::UpgradeRequired,
        Self::VersionConflict,
    ];

    const fn rule(self) -> Rule {
        match self {
            Self::AddressTooLong => rule("address_too_long", 414),
            Self::AlreadyExists => rule("already_exists", 409),
            Self::BadRequest => rule("bad_request", 400),
            Self::BatchTooLarge => rule("batch_too_large", 413),
            Self::BinaryFrame => rule("binary_frame", 400),
            Self::Busy => rule("busy", 429).retryable(),
            Self::CommandIdReused => rule("command_id_reused", 422),
            Self::Corrupt => rule("corrupt", 500).closes(4501),
            Self::DoesNotFit => rule("does_not_fit", 422),
            Self::EventTooLarge => rule("event_too_large", 413),
            Self::FilterTooSlow => rule("filter_too_slow", 422),
            Self::Forbidden => rule("forbidden", 403).closes(4503),
            Self::ForbiddenHost => rule("forbidden_host", 403),
            Self::ForbiddenOrigin => rule("forbidden_origin", 403),
            Self::HeadersTooLarge => rule("headers_too_large", 431),
            Self::Internal => rule("internal", 500),
            Self::InvalidFilter => rule("invalid_filter", 400),
            Self::MalformedJson => rule("malformed_json", 400),
            Self::MessageTooLarge => rule("message_too_large", 413).closes(4500),
            Self::MethodNotAllowed => rule("method_not_allowed", 405),
            Self::NodeFailed => rule("node_failed", 503).retryable(),
            Self::NotFound => rule("not_found", 404),
            Self::NotIndexable => rule("not_indexable", 422),
            Self::NotUnique => rule("not_unique", 409),
            Self::OutcomeUnknown => rule("outcome_unknown", 503),
            Self::PreconditionFailed => rule("precondition_failed", 412),
            Self::QueryTooSlow => rule("query_too_slow", 503),
            Self::RateLimited => rule("rate_limited", 429).retryable().closes(4004),
            Self::Redacted => rule("redacted", 410),
            Self::SeqNotReached => rule("seq_not_reached", 503).retryable(),
            Self::ShuttingDown => rule("shutting_down", 503).retryable().closes(4000),
            Self::StalePosition => rule("stale_position", 410),
            Self::StorageFailed => rule("storage_failed", 503).retryable(),
            Self::StorageFull => rule("storage_full", 507).retryable(),
            Self::SubscriptionExists => rule("subscription_exists", 409),
            Self::TimedOut => rule("timed_out", 408).closes(4001),
            Self::TokenExpired => rule("token_expired", 401).closes(4003),
            Self::TooManyGroups => rule("too_many_groups", 422),
            Self::TooManySubscriptions => rule("too_many_subscriptions", 429),
            Self::TooSlow => rule("too_slow", 408).closes(4002),
            Self::Unauthenticated => rule("unauthenticated", 401).closes(4502),
            Self::Unavailable => rule("unavailable", 503).retryable().closes(4005),
            Self::UnknownType => rule("unknown_type", 400),
            Self::UnsupportedMediaType => rule("unsupported_media_type", 415),
            Self::UpgradeRequired => rule("upgrade_required", 426),
            Self::VersionConflict => rule("version_conflict", 409),
        }
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        self.rule().name
    }

    /// The HTTP status.
    pub const fn http_status(self) -> u16 {
        self.rule().status
    }

    /// Whether the same request may succeed later, with no risk of a second effect.
    pub const fn retryable(self) -> bool {
        self.rule().retryable
    }

    /// What a connection ends with for this reason: the code itself, or one that says to come back.
    pub const fn as_end(self) -> Self {
        match self.close_code() {
            Some(_) => self,
            None => Self::Unavailable,
        }
    }

    /// The WebSocket close code, if a connection can end for this reason.
    pub const fn close_code(self) -> Option<u16> {
        self.rule().close
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_in_the_order_of_their_names_once_each() {
        assert!(
            Code::ALL
                .windows(2)
                .all(|pair| pair[0].as_str() < pair[1].as_str())
        );
    }

    #[test]
    fn close_codes_are_private_use_and_unique() {
        let mut codes: Vec<u16> = Code::ALL.into_iter().filter_map(Code::close_code).collect();
        assert!(codes.iter().all(|code| (4000..5000).contains(code)));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 10);
    }
}
