//! The body of a poll's answer: packets with a separator between. It is made as the connection takes it, from frames that
//! are shared, so that a slow client costs a few fragments.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use tokio::sync::oneshot;

use crate::limits;
use crate::protocol::socketio;
use crate::session::Outbox;

/// Packets on their way to a client.
pub(super) struct PollBody {
    unsent: Outbox,
    has_begun: bool,
    /// Dropped when the connection has taken everything, or is lost.
    _on_its_way: oneshot::Sender<Infallible>,
}

impl PollBody {
    pub(super) fn new(packets: Outbox, on_its_way: oneshot::Sender<Infallible>) -> Self {
        Self {
            unsent: packets,
            has_begun: false,
            _on_its_way: on_its_way,
        }
    }

    /// The packets, if nothing was taken of them.
    pub(super) fn into_unsent(self) -> Outbox {
        debug_assert!(!self.has_begun, "packets are sent once");
        self.unsent
    }

    /// The same as a body.
    pub(super) fn into_body(self) -> Body {
        Body::from_stream(stream::iter(self.map(Ok::<Bytes, Infallible>)))
    }
}

impl Iterator for PollBody {
    type Item = Bytes;

    /// Small packets are gathered, and a fragment of a large one goes as it is.
    fn next(&mut self) -> Option<Bytes> {
        let mut chunk = Vec::new();
        while chunk.len() < limits::FRAGMENT_BYTES_MAX
            && let Some(fragment) = self.unsent.next_fragment()
        {
            if fragment.is_first && self.has_begun {
                chunk.extend(socketio::SEPARATOR.to_string().into_bytes());
            }
            self.has_begun = true;
            if chunk.is_empty() && fragment.bytes.len() == limits::FRAGMENT_BYTES_MAX {
                return Some(fragment.bytes);
            }
            chunk.extend_from_slice(&fragment.bytes);
        }
        (!chunk.is_empty()).then(|| chunk.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::protocol;

    #[test]
    fn packets_are_separated_however_large_they_are() {
        let sizes = [
            1,
            100,
            3 * limits::FRAGMENT_BYTES_MAX,
            2,
            limits::FRAGMENT_BYTES_MAX,
            5,
        ];
        let frames: Vec<_> = sizes
            .iter()
            .map(|size| {
                let payload: Box<RawValue> =
                    serde_json::from_str(&format!("\"{}\"", "x".repeat(*size))).unwrap();
                protocol::broadcast(&payload)
            })
            .collect();
        let expected = frames
            .iter()
            .map(|frame| frame.as_str())
            .collect::<Vec<_>>();
        let expected = expected.join("\x1e");
        let body = PollBody::new(Outbox::new(frames.clone()), oneshot::channel().0);
        let chunks: Vec<Bytes> = body.collect();
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk.len() <= 2 * limits::FRAGMENT_BYTES_MAX)
        );
        assert!(chunks.concat() == expected.as_bytes());
    }
}
