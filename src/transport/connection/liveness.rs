//! Whether a WebSocket's client is alive: silent clients are pinged, and a message must be whole in time.

use std::time::Duration;

use tokio::time::Instant;

use super::byte_counters::ByteCounters;
use crate::limits;
use crate::protocol::Code;

/// What is known of a client from the bytes that it sends.
#[derive(Debug)]
pub(crate) struct Liveness {
    counters: ByteCounters,
    /// When a ping was sent that is not answered.
    pinged: Option<Instant>,
    /// Bytes received when the last message was whole.
    received: u64,
    /// Bytes of pings and pongs received since, which belong to no message.
    control: u64,
    partial: Option<PartialMessage>,
}

/// A message of which a part has arrived.
#[derive(Debug, Clone, Copy)]
struct PartialMessage {
    /// When it was first seen.
    since: Instant,
    /// How long of that the server did not read.
    excused: Duration,
}

/// The result of a check.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LivenessCheck {
    /// Check again then.
    Alive(Instant),
    /// Send a ping, and check again then.
    PingDue(Instant),
    /// Close the connection.
    Dead(Code),
}

/// The header of a control frame from a client: two bytes and the mask.
const CONTROL_HEADER_BYTES: u64 = 6;

impl Liveness {
    pub(crate) fn new(counters: ByteCounters) -> Self {
        Self {
            received: counters.received(),
            counters,
            pinged: None,
            control: 0,
            partial: None,
        }
    }

    /// A message is whole.
    pub(crate) fn message_received(&mut self) {
        self.received = self.counters.received();
        self.control = 0;
        self.partial = None;
    }

    /// A ping or pong was received.
    pub(crate) fn control_received(&mut self, payload: usize) {
        self.control += payload as u64 + CONTROL_HEADER_BYTES;
    }

    /// The server did not read for so long.
    pub(crate) fn excuse(&mut self, time: Duration) {
        if let Some(partial) = &mut self.partial {
            partial.excused += time;
        }
    }

    /// Whether a message has begun since the last [`check`](Self::check), so that another is due.
    pub(crate) fn has_new_partial(&self) -> bool {
        self.partial.is_none() && self.has_partial()
    }

    /// Whether a part of a message has arrived.
    pub(crate) fn has_partial(&self) -> bool {
        self.partial_bytes() > 0
    }

    fn partial_bytes(&self) -> u64 {
        (self.counters.received() - self.received).saturating_sub(self.control)
    }

    /// While the connection is not read, the client cannot be heard and is taken for alive.
    pub(crate) fn check(&mut self, now: Instant, is_read: bool) -> LivenessCheck {
        if !is_read {
            self.pinged = None;
            return LivenessCheck::Alive(now + limits::PONG_DEADLINE);
        }
        let deadline = match self.partial_deadline(now) {
            Some(deadline) if now >= deadline => return LivenessCheck::Dead(Code::TimedOut),
            deadline => deadline,
        };
        let until = |then: Instant| deadline.map_or(then, |deadline| deadline.min(then));
        let heard = self.counters.last_received();
        let pinged = self.pinged.filter(|pinged| heard < *pinged);
        if let Some(pinged) = pinged {
            let deadline = pinged + limits::PONG_DEADLINE;
            return match now >= deadline {
                true => LivenessCheck::Dead(Code::TimedOut),
                false => LivenessCheck::Alive(until(deadline)),
            };
        }
        self.pinged = None;
        if now < heard + limits::PING_INTERVAL {
            return LivenessCheck::Alive(until(heard + limits::PING_INTERVAL));
        }
        self.pinged = Some(now);
        LivenessCheck::PingDue(until(now + limits::PONG_DEADLINE))
    }

    /// When the rest of a message must have arrived, if a part of one has.
    fn partial_deadline(&mut self, now: Instant) -> Option<Instant> {
        let bytes = self.partial_bytes();
        if bytes == 0 {
            self.partial = None;
            return None;
        }
        let partial = self.partial.get_or_insert(PartialMessage {
            since: now,
            excused: Duration::ZERO,
        });
        let earned = Duration::from_secs(bytes / limits::MESSAGE_BYTES_PER_SECOND);
        Some(partial.since + partial.excused + limits::MESSAGE_DEADLINE + earned)
    }
}
