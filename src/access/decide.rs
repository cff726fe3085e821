//! What a command of somebody comes to: what [`domain`](crate::domain) decides, within the rules.

use super::denied::Denied;
use super::grant::Grant;
use crate::domain::{Change, Command, EventState, Precondition, Rejection, Stamp, decide, force};
use crate::value::{Invalid, Steps};

impl Grant {
    /// Decides a command against the state of its event, as it is and as it would become. An event that is not seen is as
    /// if there were none; only that its id is taken can be told, by a CREATE that is refused.
    ///
    /// # Errors
    /// Why the command has no effect.
    pub fn decide(
        &self,
        state: &EventState,
        precondition: &Precondition,
        command: &Command,
        stamp: Stamp,
        steps: &Steps,
    ) -> Result<Change, Rejection> {
        let deny = |denied: Denied| rejection(denied, state, command);
        self.check(command).map_err(deny)?;
        if let Err(denied) = self.check_target(command, state, steps) {
            if denied == Denied::Unseen {
                // What is asked of its version is answered as of none.
                precondition.check(&state.absent())?;
            }
            return Err(deny(denied));
        }
        precondition.check(state)?;
        let change = decide(state, command, stamp, steps)?;
        let change = match self.forced().is_empty() {
            true => change,
            false => force(state, change, self.forced(), stamp)?,
        };
        self.judge(&change, steps).map_err(deny)?;
        Ok(Change {
            author: self.author().cloned(),
            ..change
        })
    }

    /// Whether the command may be about this event at all.
    fn check_target(
        &self,
        command: &Command,
        state: &EventState,
        steps: &Steps,
    ) -> Result<(), Denied> {
        let current = state.current.as_deref();
        if let Command::Restore(_) = command {
            let earlier = state.earlier.as_ref().and_then(|change| change.after());
            return self.judge_restore(earlier.map(AsRef::as_ref), current, steps);
        }
        let is_seen = match current {
            None => true,
            Some(event) => self.sees(event, steps)?,
        };
        match (is_seen, command) {
            (true, _) => Ok(()),
            (false, Command::Create(_)) => Err(Denied::Forbidden(None)),
            (false, _) => Err(Denied::Unseen),
        }
    }
}

fn rejection(denied: Denied, state: &EventState, command: &Command) -> Rejection {
    let reason = denied.reason();
    match denied {
        Denied::UnseenPast => Rejection::NoSuchVersion {
            id: state.id.clone(),
            version: command.source().map_or(0, |(_, version)| version),
        },
        Denied::Unseen => Rejection::NotFound {
            id: state.id.clone(),
        },
        Denied::Forbidden(path) => Rejection::Forbidden { path, reason },
        Denied::Rule(_) => Rejection::Forbidden { path: None, reason },
        Denied::TooCostly => Rejection::TooCostly(Invalid::new("payload", reason)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::{document, event, grant, stamp};
    use super::*;
    use crate::domain::{ChangeKind, CommandBatch, CommandKind, Effect, Event, EventId};

    /// What comes of a RESTORE of version 3 from this change, to an event with these fields.
    fn restored(
        past: &str,
        earlier: Option<Effect>,
        current: Option<&str>,
    ) -> Result<Change, Rejection> {
        let payload = document(r#"{"id":"e","version":3}"#);
        let command = CommandBatch::parse(CommandKind::Restore, payload, None);
        let command = &command.expect("a good command").commands[0];
        let change = |effect| Change {
            seq: stamp(3).seq,
            at: stamp(3).at,
            effect,
            command: None,
            author: None,
        };
        let state = EventState {
            id: EventId::parse("e").expect("an id"),
            current: current.map(|json| Arc::new(event(json))),
            last_version: 5,
            earlier: earlier.map(|effect| Arc::new(change(effect))),
        };
        let role =
            format!(r#"{{"read":{{"public":true}},"create":true,"update":true,"past":"{past}"}}"#);
        let (precondition, steps) = (Precondition::default(), Steps::unbounded());
        grant(&role, "{}").decide(&state, &precondition, command, stamp(9), &steps)
    }

    fn left(json: &str) -> Option<Effect> {
        let after: Arc<Event> = Arc::new(event(json));
        Some(Effect::Create { after })
    }

    /// What cannot be seen of a version: that there was none, that it was not public, that it was the end, that it was
    /// erased.
    fn unseen() -> [Option<Effect>; 4] {
        let id = EventId::parse("e").expect("an id");
        let erased = Effect::Redacted {
            kind: ChangeKind::Update,
            id,
            version: 3,
            prior: None,
        };
        let before = Arc::new(event(r#"{"public":true}"#));
        let deletion = Effect::Delete { before };
        [
            None,
            left(r#"{"public":false}"#),
            Some(deletion),
            Some(erased),
        ]
    }

    #[test]
    fn a_version_that_was_not_seen_is_restored_as_one_that_never_was() {
        let id = || EventId::parse("e").expect("an id");
        for past in ["seen", "all"] {
            for earlier in unseen() {
                let told = format!("{past} {earlier:?}");
                let refused = restored(past, earlier.clone(), Some(r#"{"public":true,"n":1}"#));
                let no_version = Rejection::NoSuchVersion {
                    id: id(),
                    version: 3,
                };
                assert_eq!(refused, Err(no_version), "{told}");
                for current in [None, Some(r#"{"public":false}"#)] {
                    let refused = restored(past, earlier.clone(), current);
                    assert_eq!(refused, Err(Rejection::NotFound { id: id() }), "{told}");
                }
            }
            let seen = left(r#"{"public":true,"n":7}"#);
            let change = restored(past, seen.clone(), Some(r#"{"public":true}"#));
            assert_eq!(change.expect("it was seen").kind(), ChangeKind::Update);
            let gone = restored(past, seen, None);
            match past {
                "all" => assert_eq!(gone.expect("it was seen").kind(), ChangeKind::Create),
                _ => assert_eq!(gone, Err(Rejection::NotFound { id: id() })),
            }
        }
        let refused = restored(
            "none",
            left(r#"{"public":true}"#),
            Some(r#"{"public":true}"#),
        );
        assert!(
            matches!(refused, Err(Rejection::Forbidden { .. })),
            "{refused:?}"
        );
    }
}
