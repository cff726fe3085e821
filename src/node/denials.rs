//! What is refused for who asks for it: counted by its code, and now and then logged with who that was.
//!
//! A line names a subject, a key or an address, and what was asked for in one of livelog's own words. Nothing that a request
//! says is in it, and no credential.

use super::{Guarded, Node};
use crate::protocol::{Code, Failure};
use crate::quota::{SessionSeat, Who};
use crate::telemetry::Throttle;

// Apart, so that many of one kind do not hide the others.
static CREDENTIALS_THROTTLE: Throttle = Throttle::new();
static FORBIDDEN_THROTTLE: Throttle = Throttle::new();
static RATE_THROTTLE: Throttle = Throttle::new();

impl Node {
    /// Counts a refusal, if it is one for who asked, and logs it now and then; `what` was asked for.
    pub fn note_denial(&self, who: &Who, what: &'static str, code: Code) {
        let Some(throttle) = throttle(code) else {
            return;
        };
        self.metrics().denied(code.as_str());
        throttle.log(|suppressed| {
            let code = code.as_str();
            tracing::warn!(%who, what, code, suppressed, "denied");
        });
    }
}

fn throttle(code: Code) -> Option<&'static Throttle> {
    match code {
        Code::Unauthenticated | Code::TokenExpired => Some(&CREDENTIALS_THROTTLE),
        Code::Forbidden => Some(&FORBIDDEN_THROTTLE),
        Code::RateLimited => Some(&RATE_THROTTLE),
        _ => None,
    }
}

/// What is taken of the quota.
impl Guarded {
    /// Takes so many bytes of a request.
    ///
    /// # Errors
    /// `rate_limited`, or `message_too_large`.
    pub fn receive(&self, bytes: usize) -> Result<(), Failure> {
        self.noted("bytes", self.quota().receive(bytes))
    }

    /// Takes a seat for a session.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn seat(&self) -> Result<SessionSeat, Failure> {
        self.noted("session", self.quota().seat())
    }

    /// The seat for a session that another took; see [`Quota::reseat`](crate::quota::Quota::reseat).
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn reseat(&self, seat: &mut SessionSeat) -> Result<(), Failure> {
        self.noted("session", self.quota().reseat(seat))
    }

    pub(super) fn take_read(&self, what: &'static str) -> Result<(), Failure> {
        self.noted(what, self.quota().read())
    }

    pub(super) fn take_write(&self, what: &'static str, commands: usize) -> Result<(), Failure> {
        self.noted(what, self.quota().write(commands))
    }

    /// What came of a request, noted if it was denied.
    pub fn noted<T>(&self, what: &'static str, outcome: Result<T, Failure>) -> Result<T, Failure> {
        outcome.inspect_err(|failure| self.note_denial(self.quota().who(), what, failure.code))
    }
}
