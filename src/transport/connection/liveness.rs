//! Whether a WebSocket's client is still there: pings for the silent, and an end for half messages.

use std::time::Duration;

use tokio::time::Instant;

use super::meter::Meter;
use crate::limits;
use crate::protocol::Code;

/// What is known of a client from the bytes that it sends.
#[derive(Debug)]
pub(crate) struct Liveness {
    meter: Meter,
    pinged: Option<Instant>,
    /// What had come when its last message was whole.
    whole: u64,
    /// Bytes of pings and pongs that have come since, which are no part of a message.
    control: u64,
    half: Option<Half>,
}

/// A message of which a part has come.
#[derive(Debug, Clone, Copy)]
struct Half {
    /// When it was first seen.
    since: Instant,
    /// What of the time since was the server's, which did not read.
    excused: Duration,
}

/// What is to be done about a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing, until then.
    Well(Instant),
    /// Send a ping, and look again then.
    Silent(Instant),
    /// End the connection.
    Over(Code),
}

/// The header of a frame from a client: two bytes and the mask. Control frames are too short for more.
const CONTROL_HEADER_BYTES: u64 = 6;

impl Liveness {
    pub(crate) fn new(meter: Meter) -> Self {
        let whole = meter.read();
        Self {
            meter,
            pinged: None,
            whole,
            control: 0,
            half: None,
        }
    }

    /// A message has come.
    pub(crate) fn message(&mut self) {
        self.whole = self.meter.read();
        self.control = 0;
        self.half = None;
    }

    /// A ping or pong has come.
    pub(crate) fn control(&mut self, payload: usize) {
        self.control += payload as u64 + CONTROL_HEADER_BYTES;
    }

    /// The server did not read for so long.
    pub(crate) fn excuse(&mut self, time: Duration) {
        if let Some(half) = &mut self.half {
            half.excused += time;
        }
    }

    /// Whether a message has begun that is not seen yet: then it is time to [`check`](Self::check).
    pub(crate) fn has_begun_half(&self) -> bool {
        self.half.is_none() && self.has_half()
    }

    /// Whether a part of a message has come.
    pub(crate) fn has_half(&self) -> bool {
        self.half_bytes() > 0
    }

    fn half_bytes(&self) -> u64 {
        (self.meter.read() - self.whole).saturating_sub(self.control)
    }

    /// Who is not read cannot be heard: nothing is held against him meanwhile.
    pub(crate) fn check(&mut self, now: Instant, is_read: bool) -> Finding {
        if !is_read {
            self.pinged = None;
            return Finding::Well(now + limits::PONG_DEADLINE);
        }
        let half = match self.half_deadline(now) {
            Some(deadline) if now >= deadline => return Finding::Over(Code::TimedOut),
            half => half,
        };
        let until = |then: Instant| half.map_or(then, |half| half.min(then));
        let heard = self.meter.heard();
        let pinged = self.pinged.filter(|pinged| heard < *pinged);
        if let Some(pinged) = pinged {
            let deadline = pinged + limits::PONG_DEADLINE;
            return match now >= deadline {
                true => Finding::Over(Code::TimedOut),
                false => Finding::Well(until(deadline)),
            };
        }
        self.pinged = None;
        if now < heard + limits::PING_INTERVAL {
            return Finding::Well(until(heard + limits::PING_INTERVAL));
        }
        self.pinged = Some(now);
        Finding::Silent(until(now + limits::PONG_DEADLINE))
    }

    /// When the rest of a message must have come, if a part of one has.
    fn half_deadline(&mut self, now: Instant) -> Option<Instant> {
        let bytes = self.half_bytes();
        if bytes == 0 {
            self.half = None;
            return None;
        }
        let half = self.half.get_or_insert(Half {
            since: now,
            excused: Duration::ZERO,
        });
        let earned = Duration::from_secs(bytes / limits::MESSAGE_BYTES_PER_SECOND);
        Some(half.since + half.excused + limits::MESSAGE_DEADLINE + earned)
    }
}
