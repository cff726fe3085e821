//! The labels of metrics: closed sets of words.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// A request and its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The word of the wire: `CREATE`, `FETCH` …
    pub verb: &'static str,
    /// `done`, `repeated`, or the code of the refusal.
    pub outcome: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(missing_docs, reason = "its name says it")]
pub struct CodeLabel {
    /// Of the refusal, as on the wire.
    pub code: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(missing_docs, reason = "its name says it")]
pub struct PlanLabel {
    /// A word of [`QueryPlan`](crate::store::QueryPlan).
    pub plan: &'static str,
}

/// How a session is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Transport {
    WebSocket,
    Sse,
    SocketIo,
}

// By hand, because the derived ones are named as Rust names them.
impl EncodeLabelValue for Transport {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let word = match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
            Self::SocketIo => "socketio",
        };
        word.encode(encoder)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(missing_docs, reason = "its name says it")]
pub struct TransportLabel {
    pub transport: Transport,
}

/// Why the log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// For sessions and subscriptions that are behind the window: one page, however many share it.
    CatchUp,
    /// For `GET /api/changes`.
    Page,
    /// For the history of an event.
    History,
}

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let word = match self {
            Self::CatchUp => "catch_up",
            Self::Page => "page",
            Self::History => "history",
        };
        word.encode(encoder)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(missing_docs, reason = "its name says it")]
pub struct ReasonLabel {
    pub reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(missing_docs, reason = "its name says it")]
pub struct OutcomeLabel {
    /// `done`, or why not.
    pub outcome: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(missing_docs, reason = "its name says it")]
pub struct KindLabel {
    /// A word of [`StoreError::kind`](crate::store::StoreError::kind).
    pub kind: &'static str,
}
