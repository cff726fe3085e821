//! What a change is to someone who sees only the events that a filter admits.

use serde::Serialize;

use super::{Change, Event, Kind};
use crate::query::Filter;
use crate::value::{Steps, TooCostly};

/// A change in one word, as a subscription hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VisibleKind {
    /// An event that the filter admits came to be.
    Create,
    /// It was admitted before and is now.
    Update,
    /// An admitted event is gone.
    Delete,
    /// The event was there, and is admitted only now.
    Enter,
    /// The event is still there, and is admitted no more.
    Leave,
}

impl VisibleKind {
    /// What the change is to someone who sees every event.
    pub fn plainly(change: &Change) -> Self {
        match change.kind() {
            Kind::Create => Self::Create,
            Kind::Update => Self::Update,
            Kind::Delete => Self::Delete,
        }
    }

    /// Whether the event stands where it can be seen afterwards.
    pub fn shows_event(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Enter)
    }
}

/// Where an event stands: not there at all, or there and admitted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the type's own words say it")]
pub enum Visibility {
    Absent,
    Hidden,
    Shown,
}

impl Visibility {
    /// What it is to have gone from here to there; `None` if nothing of it could be seen.
    pub fn to(self, after: Self) -> Option<VisibleKind> {
        match (self, after) {
            (Self::Absent, Self::Shown) => Some(VisibleKind::Create),
            (Self::Hidden, Self::Shown) => Some(VisibleKind::Enter),
            (Self::Shown, Self::Shown) => Some(VisibleKind::Update),
            (Self::Shown, Self::Hidden) => Some(VisibleKind::Leave),
            (Self::Shown, Self::Absent) => Some(VisibleKind::Delete),
            (Self::Absent | Self::Hidden, Self::Absent | Self::Hidden) => None,
        }
    }
}

impl Filter {
    /// Where the event stands; `None` is one that is not there.
    fn standing(&self, event: Option<&Event>, steps: &Steps) -> Result<Visibility, TooCostly> {
        Ok(match event {
            None => Visibility::Absent,
            Some(event) if self.matches(event, steps)? => Visibility::Shown,
            Some(_) => Visibility::Hidden,
        })
    }

    /// Where its event stood before the change. One whose contents were erased may have stood where it is seen.
    ///
    /// # Errors
    /// If there are not enough steps to tell.
    pub fn standing_before(&self, change: &Change, steps: &Steps) -> Result<Visibility, TooCostly> {
        match (change.is_redacted(), change.kind()) {
            (true, Kind::Update | Kind::Delete) => Ok(Visibility::Shown),
            (true, Kind::Create) => Ok(Visibility::Absent),
            (false, _) => self.standing(change.before().map(|event| &**event), steps),
        }
    }

    /// Where its event stands after the change. One whose contents were erased is seen by nobody.
    ///
    /// # Errors
    /// If there are not enough steps to tell.
    pub fn standing_after(&self, change: &Change, steps: &Steps) -> Result<Visibility, TooCostly> {
        match (change.is_redacted(), change.kind()) {
            (true, Kind::Create | Kind::Update) => Ok(Visibility::Hidden),
            (true, Kind::Delete) => Ok(Visibility::Absent),
            (false, _) => self.standing(change.after().map(|event| &**event), steps),
        }
    }

    /// What the change is to someone who sees what this filter admits; `None` if nothing.
    ///
    /// Of a change whose contents were erased only that its event is gone, which it comes to in the end: whoever
    /// has the event must hear that, and to all others it is nothing new.
    ///
    /// # Errors
    /// If there are not enough steps to tell.
    pub fn sees(&self, change: &Change, steps: &Steps) -> Result<Option<VisibleKind>, TooCostly> {
        match (change.is_redacted(), change.kind()) {
            (true, _) if self.is_everything() => Ok(Some(VisibleKind::plainly(change))),
            (true, Kind::Create | Kind::Update) => Ok(None),
            _ => {
                let before = self.standing_before(change, steps)?;
                Ok(before.to(self.standing_after(change, steps)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventId, Seq, Timestamp};
    use crate::value::{Document, Value};

    fn filter(json: &str) -> Filter {
        let value: Value = serde_json::from_str(json).expect("the test's own JSON");
        Filter::parse(&value, "payload.filter").expect("a good filter")
    }

    #[test]
    fn an_event_is_matched_by_what_the_server_knows_of_it_too() {
        let at = Timestamp::parse("2026-01-31T12:00:00.000Z").expect("a fixed time");
        let event = Event {
            id: EventId::parse("e").expect("a good id"),
            version: 3,
            seq: Seq::new(7),
            created_at: at,
            updated_at: at,
            fields: Document::from_iter([("a", Value::Int(1))]),
        };
        let matches = |filter: &Filter| {
            let matches = filter.matches(&event, &Steps::unbounded());
            matches.expect("enough steps")
        };
        for json in [
            r#"{"_id":"e","_version":{"$gt":2},"_seq":7.0}"#,
            r#"{"_createdAt":{"$gte":"2026-01-31","$lt":"2026-02-01"},"a":1}"#,
            r#"{"_updatedAt":{"$type":"string"},"_other":null}"#,
            "{}",
        ] {
            assert!(matches(&filter(json)), "{json}");
        }
        assert!(!matches(&filter(r#"{"_version":2}"#)));
        assert!(matches(&Filter::all()));
    }
}
