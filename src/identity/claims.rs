//! Claims that say for whom a token is, and when.

use crate::domain::Timestamp;
use crate::limits;
use crate::value::{Document, Value, truncated};

use super::TokenError;

#[expect(clippy::cast_possible_truncation, reason = "half a minute")]
const LEEWAY_MILLIS: i64 = limits::CLOCK_LEEWAY.as_millis() as i64;

/// For whom it is: one of the audiences of its issuer, alone or in a list.
pub(super) fn check_audience(claims: &Document, audiences: &[Box<str>]) -> Result<(), TokenError> {
    let is_ours = |value: &Value| {
        let text = value.as_str();
        text.is_some_and(|text| audiences.iter().any(|ours| **ours == *text))
    };
    let fits = match claims.get("aud") {
        None => return Err(TokenError::MissingClaim("aud".into())),
        Some(Value::Array(items)) => items.iter().any(is_ours),
        Some(value) => is_ours(value),
    };
    fits.then_some(()).ok_or(TokenError::Audience)
}

/// When a token is good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    /// `iat`.
    issued_at: Option<Moment>,
    /// `nbf`.
    not_before: Option<Moment>,
    /// `exp`, without which no token is taken: it would be good for ever.
    expires_at: Moment,
}

impl Lifetime {
    pub(super) fn of(claims: &Document) -> Result<Self, TokenError> {
        let expires_at = moment(claims, "exp")?;
        Ok(Self {
            issued_at: moment(claims, "iat")?,
            not_before: moment(claims, "nbf")?,
            expires_at: expires_at.ok_or_else(|| TokenError::MissingClaim("exp".into()))?,
        })
    }

    /// Whether the token is good at this time, by a clock that may be off a little. A token of the future is refused as
    /// well, or it would outlive a revocation of all that were issued before a time.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), TokenError> {
        if now >= self.expires_at.shifted(LEEWAY_MILLIS) {
            return Err(TokenError::Expired);
        }
        let mut begins = [self.not_before, self.issued_at].into_iter().flatten();
        match begins.all(|begin| begin.shifted(-LEEWAY_MILLIS) <= now) {
            true => Ok(()),
            false => Err(TokenError::NotYetValid),
        }
    }

    pub(super) fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at.map(|moment| moment.exact)
    }

    pub(super) const fn expires_at(&self) -> Timestamp {
        self.expires_at.exact
    }
}

/// A time that a token names.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// Since 1970.
    millis: i64,
    exact: Timestamp,
}

/// The time that a claim names in seconds since 1970, perhaps with a fraction.
fn moment(claims: &Document, claim: &'static str) -> Result<Option<Moment>, TokenError> {
    let Some(value) = claims.get(claim) else {
        return Ok(None);
    };
    let millis = match value {
        Value::Int(seconds) => seconds.checked_mul(1_000),
        Value::Float(seconds) => truncated((seconds * 1_000.0).round()),
        _ => None,
    };
    let moment = millis.and_then(Moment::at);
    moment.map(Some).ok_or(TokenError::IllTypedClaim {
        claim,
        expected: "a time in seconds since 1970",
    })
}

impl Moment {
    fn at(millis: i64) -> Option<Self> {
        let exact = Timestamp::from_millis(millis)?;
        Some(Self { millis, exact })
    }

    /// So much later; the time itself where the calendar ends.
    fn shifted(self, millis: i64) -> Timestamp {
        let shifted = self.millis.checked_add(millis);
        shifted
            .and_then(Timestamp::from_millis)
            .unwrap_or(self.exact)
    }
}
