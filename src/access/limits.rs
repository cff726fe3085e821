//! What one principal may ask of the node.

use std::fmt;
use std::num::NonZeroU32;

use crate::value::{Document, Invalid, Value, expect_object, expected, integer, join, known};

/// The limits of a role, for each of its principals. What is not said is unlimited, but for the node's own bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoleLimits {
    /// Commands, each of a batch.
    pub writes: Option<Rate>,
    /// Requests that read.
    pub reads: Option<Rate>,
    /// Bytes of requests.
    pub bytes: Option<Rate>,
    /// Sessions at once, on this node.
    pub sessions: Option<NonZeroU32>,
    /// Subscriptions at once of each session.
    pub subscriptions: Option<NonZeroU32>,
}

/// So many a second, and at most so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the type says it")]
pub struct Rate {
    pub per_second: NonZeroU32,
    pub burst: NonZeroU32,
}

const NAMES: [&str; 5] = ["writes", "reads", "bytes", "sessions", "subscriptions"];

impl RoleLimits {
    /// Parses limits at the path `at`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub(super) fn parse(value: Option<&Value>, at: &str) -> Result<Self, Invalid> {
        let Some(value) = value else {
            return Ok(Self::default());
        };
        let given = known(expect_object(value, at)?.clone(), at, &NAMES)?;
        let rate = |name: &str| {
            let rate = given
                .get(name)
                .map(|rate| Rate::parse(rate, &join(at, name)));
            rate.transpose()
        };
        let count = |name: &str| read_count(&given, name, at);
        Ok(Self {
            writes: rate("writes")?,
            reads: rate("reads")?,
            bytes: rate("bytes")?,
            sessions: count("sessions")?,
            subscriptions: count("subscriptions")?,
        })
    }
}

impl Rate {
    fn parse(value: &Value, at: &str) -> Result<Self, Invalid> {
        let given = known(
            expect_object(value, at)?.clone(),
            at,
            &["perSecond", "burst"],
        )?;
        let missing = || Invalid::new(join(at, "perSecond"), "missing: say how many a second");
        let per_second = read_count(&given, "perSecond", at)?.ok_or_else(missing)?;
        let burst = read_count(&given, "burst", at)?.unwrap_or(per_second);
        Ok(Self { per_second, burst })
    }
}

fn read_count(given: &Document, name: &str, at: &str) -> Result<Option<NonZeroU32>, Invalid> {
    let Some(value) = given.get(name) else {
        return Ok(None);
    };
    let count = integer(value).and_then(|count| u32::try_from(count).ok());
    match count.and_then(NonZeroU32::new) {
        Some(count) => Ok(Some(count)),
        None => Err(expected("an integer from 1", value, &join(at, name))),
    }
}

/// As people say it.
impl fmt::Display for RoleLimits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rates = [
            ("writes", self.writes),
            ("reads", self.reads),
            ("bytes", self.bytes),
        ];
        let rates = rates.into_iter().filter_map(|(name, rate)| {
            let Rate { per_second, burst } = rate?;
            Some(format!("{per_second} {name} a second, {burst} at once"))
        });
        let counts = [
            ("sessions", self.sessions),
            ("subscriptions of each", self.subscriptions),
        ];
        let counts = counts
            .into_iter()
            .filter_map(|(name, count)| Some(format!("{} {name}", count?)));
        let said: Vec<String> = rates.chain(counts).collect();
        match said.is_empty() {
            true => formatter.write_str("none"),
            false => formatter.write_str(&said.join("; ")),
        }
    }
}
