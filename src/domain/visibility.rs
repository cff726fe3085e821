//! What a change is to a subscription that sees only the events that its filter matches.
//!
//! | before \ after | absent | hidden | shown |
//! |---|---|---|---|
//! | absent | nothing | nothing | create |
//! | hidden | nothing | nothing | enter |
//! | shown | delete | leave | update |

use serde::Serialize;

use super::{Change, ChangeKind, Event};
use crate::query::Filter;
use crate::value::{Steps, TooCostly};

/// The kind of a change as a subscription is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VisibleKind {
    /// An event that the filter matches was created.
    Create,
    /// The filter matches the event before and after.
    Update,
    /// An event that the filter matched was deleted.
    Delete,
    /// The event existed, and the filter matches it only now.
    Enter,
    /// The event still exists, and the filter matches it no more.
    Leave,
}

impl VisibleKind {
    /// The kind for a subscription without a filter.
    pub fn unfiltered(change: &Change) -> Self {
        match change.kind() {
            ChangeKind::Create => Self::Create,
            ChangeKind::Update => Self::Update,
            ChangeKind::Delete => Self::Delete,
        }
    }

    /// Whether the event is visible after the change.
    pub fn shows_event(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Enter)
    }
}

/// Whether an event exists, and whether a filter matches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the type's own words say it")]
pub enum Visibility {
    Absent,
    Hidden,
    Shown,
}

impl Visibility {
    /// The kind of a change between these two; `None` if it is invisible.
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
    /// The visibility of the event; `None` is one that does not exist.
    fn visibility(&self, event: Option<&Event>, steps: &Steps) -> Result<Visibility, TooCostly> {
        Ok(match event {
            None => Visibility::Absent,
            Some(event) if self.matches(event, steps)? => Visibility::Shown,
            Some(_) => Visibility::Hidden,
        })
    }

    /// The visibility of the event before the change. If its contents were erased it may have been shown, so it counts
    /// as shown.
    ///
    /// # Errors
    /// If the steps run out before.
    pub fn visibility_before(
        &self,
        change: &Change,
        steps: &Steps,
    ) -> Result<Visibility, TooCostly> {
        match (change.is_redacted(), change.kind()) {
            (true, ChangeKind::Update | ChangeKind::Delete) => Ok(Visibility::Shown),
            (true, ChangeKind::Create) => Ok(Visibility::Absent),
            (false, _) => self.visibility(change.before().map(|event| &**event), steps),
        }
    }

    /// The visibility of the event after the change. If its contents were erased it is hidden from everyone.
    ///
    /// # Errors
    /// If the steps run out before.
    pub fn visibility_after(
        &self,
        change: &Change,
        steps: &Steps,
    ) -> Result<Visibility, TooCostly> {
        match (change.is_redacted(), change.kind()) {
            (true, ChangeKind::Create | ChangeKind::Update) => Ok(Visibility::Hidden),
            (true, ChangeKind::Delete) => Ok(Visibility::Absent),
            (false, _) => self.visibility(change.after().map(|event| &**event), steps),
        }
    }

    /// The kind of the change for a subscription with this filter; `None` if it is invisible.
    ///
    /// A redacted change is told only as the deletion in which the event's history ends: who still has the event must
    /// hear it, and to everyone else it is a no-op.
    ///
    /// # Errors
    /// If the steps run out before.
    pub fn visible_kind(
        &self,
        change: &Change,
        steps: &Steps,
    ) -> Result<Option<VisibleKind>, TooCostly> {
        match (change.is_redacted(), change.kind()) {
            (true, _) if self.is_everything() => Ok(Some(VisibleKind::unfiltered(change))),
            (true, ChangeKind::Create | ChangeKind::Update) => Ok(None),
            _ => {
                let before = self.visibility_before(change, steps)?;
                Ok(before.to(self.visibility_after(change, steps)?))
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
