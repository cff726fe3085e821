//! Decides one command against the current state of its event: a change, or a rejection.
//!
//! By construction a change raises its event's version by exactly one, whatever the state.

use std::sync::Arc;

use super::change::{Change, Effect};
use super::command::Command;
use super::event::{Event, EventId, OriginalTimes};
use super::patch::Patch;
use super::seq::Seq;
use super::size::{Excess, check_growth};
use super::timestamp::Timestamp;
use crate::limits;
use crate::value::{Document, Invalid, Steps};

/// The seq and time of the change, if the command is accepted.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// The next seq of the log.
    pub seq: Seq,
    /// The writer's clock.
    pub at: Timestamp,
}

/// The one event a command touches.
#[derive(Debug)]
pub struct EventState {
    /// Which event.
    pub id: EventId,
    /// The event now; `None` if it does not exist.
    pub current: Option<Arc<Event>>,
    /// If it does not exist, the highest version that it ever had; 0 if it never existed.
    pub last_version: u64,
    /// For a RESTORE, the change that left the event at the version to restore, if there is one.
    pub earlier: Option<Arc<Change>>,
}

/// Why a command certainly has no effect.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Rejection {
    #[error("event {id} already exists")]
    AlreadyExists { id: EventId },
    #[error("event {id} does not exist")]
    NotFound { id: EventId },
    #[error("event {id} was redacted: what it was then is known no more")]
    Redacted { id: EventId },
    #[error("event {id} never had contents at version {version}")]
    NoSuchVersion { id: EventId, version: u64 },
    #[error("event {} is at version {}, not {expected}", current.id, current.version)]
    VersionConflict { expected: u64, current: Arc<Event> },
    #[error("event {id} is not as the request's conditions ask")]
    PreconditionFailed {
        id: EventId,
        current: Option<Arc<Event>>,
    },
    #[error("{}", .0.reason)]
    DoesNotFit(Invalid),
    #[error("{}", .0.reason)]
    TooCostly(Invalid),
    #[error(
        "the events of the batch would be more than {} bytes of JSON, or hold more than {} values, together",
        limits::COMMAND_BATCH_BYTES_MAX,
        limits::COMMAND_BATCH_VALUES_MAX
    )]
    BatchTooLarge,
    #[error("{}", .0.reason)]
    NotUnique(Invalid),
    #[error("{}", .0.reason)]
    NotIndexable(Invalid),
    // It does not say which: what is stored is not always the client's own.
    #[error("this command id was given to another command before")]
    CommandIdReused,
    #[error("the fields of event {id} would {excess}")]
    TooLarge { id: EventId, excess: Excess },
    #[error("{reason}")]
    Forbidden {
        /// In the command, if one is at fault.
        path: Option<String>,
        reason: &'static str,
    },
}

/// Decides `command` against the state of its event. The conditions of its `$pull` take no more than `steps`.
///
/// # Errors
/// Why the command has no effect.
pub fn decide(
    state: &EventState,
    command: &Command,
    stamp: Stamp,
    steps: &Steps,
) -> Result<Change, Rejection> {
    let effect: Effect = match command {
        Command::Create(create) => create.decide(state, stamp),
        Command::Update(update) => update.decide(state, stamp, steps),
        Command::Delete(delete) => delete.decide(state),
        Command::Restore(restore) => restore.decide(state, stamp),
        Command::Replace(replace) => replace.decide(state, stamp),
    }?;
    let change = Change {
        seq: stamp.seq,
        at: stamp.at,
        effect,
        command: None,
        author: None,
    };
    assert_eq!(
        change.version(),
        state.version() + 1,
        "a change raises the version of its event by one"
    );
    debug_assert_eq!(
        change.event_id(),
        &state.id,
        "the state is that of the event"
    );
    Ok(change)
}

impl EventState {
    /// That of the event for whom it is as if there never was one.
    pub fn absent(&self) -> Self {
        Self {
            id: self.id.clone(),
            current: None,
            last_version: 0,
            earlier: None,
        }
    }

    /// The version that the next change raises by one.
    fn version(&self) -> u64 {
        let current = self.current.as_ref();
        current.map_or(self.last_version, |event| event.version)
    }

    /// The current event, if it exists and has the version that the client expects.
    pub(super) fn expect_version(&self, expected: Option<u64>) -> Result<&Arc<Event>, Rejection> {
        let current = self.current.as_ref().ok_or_else(|| self.not_found())?;
        match expected {
            Some(expected) if expected != current.version => Err(Rejection::VersionConflict {
                expected,
                current: Arc::clone(current),
            }),
            _ => Ok(current),
        }
    }

    pub(super) fn not_found(&self) -> Rejection {
        Rejection::NotFound {
            id: self.id.clone(),
        }
    }

    /// The effect of creating the event with these fields.
    pub(super) fn created(
        &self,
        fields: &Document,
        stamp: Stamp,
        times: Option<OriginalTimes>,
    ) -> Result<Effect, Rejection> {
        self.check_size(None, fields)?;
        let version = self.last_version + 1;
        let created = Event::created(&self.id, version, fields.clone(), stamp.seq, stamp.at);
        let after = match times {
            Some(times) => created.with_times(times),
            None => created,
        };
        Ok(Effect::Create {
            after: Arc::new(after),
        })
    }

    /// The effect of giving the event other top-level fields, by the patch that does it.
    pub(super) fn replaced(
        &self,
        before: &Arc<Event>,
        patch: Patch,
        stamp: Stamp,
    ) -> Result<Effect, Rejection> {
        let after = before
            .patched(&patch, stamp.seq, stamp.at)
            .expect("a top-level name is a path that fits");
        self.updated(before, patch, after)
    }

    /// The effect of a patch, which made `after` of `before`.
    pub(super) fn updated(
        &self,
        before: &Arc<Event>,
        patch: Patch,
        after: Event,
    ) -> Result<Effect, Rejection> {
        self.check_size(Some(&before.fields), &after.fields)?;
        Ok(Effect::Update {
            before: Arc::clone(before),
            patch,
            after: Arc::new(after),
        })
    }

    fn check_size(&self, before: Option<&Document>, after: &Document) -> Result<(), Rejection> {
        check_growth(before, after).map_err(|excess| Rejection::TooLarge {
            id: self.id.clone(),
            excess,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ChangeKind;
    use crate::domain::command::{Create, Delete, Update};
    use crate::query::Conditions;

    const AT: &str = "2026-01-31T12:00:00.000Z";

    fn payload(json: &str) -> crate::value::Document {
        serde_json::from_str(json).expect("the test's own JSON")
    }

    fn create(json: &str) -> Result<Command, Invalid> {
        Create::parse(payload(json)).map(Command::Create)
    }

    fn update(json: &str) -> Result<Command, Invalid> {
        Update::parse(payload(json), &mut Conditions::default()).map(Command::Update)
    }

    fn delete(json: &str) -> Result<Command, Invalid> {
        Delete::parse(payload(json)).map(Command::Delete)
    }

    /// Decides `when` after all of `given`, each of which must be accepted.
    fn decided(given: &[Command], when: &Command) -> Result<Change, Rejection> {
        let mut current = None;
        let mut last_version = 0;
        let mut seq = Seq::ZERO;
        let mut next = |current: &mut Option<Arc<Event>>, command: &Command| {
            seq = seq.next();
            let stamp = Stamp {
                seq,
                at: Timestamp::parse(AT).expect("a fixed time"),
            };
            let id = command
                .target()
                .cloned()
                .expect("these tests name their event");
            let state = EventState {
                id,
                current: current.clone(),
                last_version,
                earlier: None,
            };
            let change = decide(&state, command, stamp, &Steps::unbounded())?;
            last_version = change.version();
            *current = change.after().cloned();
            Ok::<_, Rejection>(change)
        };
        for command in given {
            next(&mut current, command).expect("given commands are accepted");
        }
        next(&mut current, when)
    }

    #[test]
    fn a_change_alone_tells_before_and_after() {
        let given = [create(r#"{"_id":"e","a":1,"b":{"c":2}}"#).unwrap()];
        let change = decided(
            &given,
            &update(r#"{"id":"e","updateData":{"b.c":3},"expectedVersion":1}"#).unwrap(),
        )
        .unwrap();
        assert_eq!(
            (change.kind(), change.version(), change.seq),
            (ChangeKind::Update, 2, Seq::new(2))
        );
        assert_eq!(
            change.before().unwrap().fields,
            payload(r#"{"a":1,"b":{"c":2}}"#)
        );
        assert_eq!(
            change.after().unwrap().fields,
            payload(r#"{"a":1,"b":{"c":3}}"#)
        );
        let after = change.after().unwrap();
        assert_eq!((after.version, after.seq), (2, Seq::new(2)));
    }

    #[test]
    fn what_is_not_there_cannot_be_changed_and_what_is_cannot_be_created() {
        let exists = [create(r#"{"_id":"e"}"#).unwrap()];
        let gone = [
            create(r#"{"_id":"e"}"#).unwrap(),
            delete(r#"{"id":"e"}"#).unwrap(),
        ];
        let again = create(r#"{"_id":"e"}"#).unwrap();
        let update = update(r#"{"id":"e","updateData":{"a":1}}"#).unwrap();
        assert!(matches!(
            decided(&exists, &again),
            Err(Rejection::AlreadyExists { .. })
        ));
        assert!(matches!(
            decided(&gone, &update),
            Err(Rejection::NotFound { .. })
        ));
        assert!(matches!(
            decided(&[], &delete(r#"{"id":"e"}"#).unwrap()),
            Err(Rejection::NotFound { .. })
        ));
        let reborn = decided(&gone, &again).unwrap();
        assert_eq!(
            (reborn.version(), reborn.after().unwrap().version),
            (3, 3),
            "its deletion was version 2"
        );
    }

    #[test]
    fn another_version_than_expected_is_a_conflict_that_carries_the_event() {
        let given = [create(r#"{"_id":"e","a":1}"#).unwrap()];
        let stale = delete(r#"{"id":"e","expectedVersion":7}"#).unwrap();
        let Err(Rejection::VersionConflict {
            expected: 7,
            current,
        }) = decided(&given, &stale)
        else {
            panic!("a version conflict");
        };
        assert_eq!(current.version, 1);
    }

    #[test]
    fn an_event_cannot_grow_without_bound() {
        let text = "x".repeat(limits_half());
        let given = [create(&format!(r#"{{"_id":"e","a":"{text}"}}"#)).unwrap()];
        let grow = update(&format!(r#"{{"id":"e","updateData":{{"b":"{text}"}}}}"#)).unwrap();
        let push = update(&format!(
            r#"{{"id":"e","updateData":{{"$push":{{"b":"{text}"}}}}}}"#
        ))
        .unwrap();
        for grow in [grow, push] {
            assert!(matches!(
                decided(&given, &grow),
                Err(Rejection::TooLarge { .. })
            ));
        }
    }

    fn limits_half() -> usize {
        limits::EVENT_BYTES_MAX / 2
    }

    #[test]
    fn bad_payloads_are_refused_with_the_path_of_the_offender() {
        let path = |result: Result<Command, Invalid>| result.unwrap_err().path;
        assert_eq!(path(create(r#"{"_id":7}"#)), "payload._id");
        assert_eq!(path(create(r#"{"_id":""}"#)), "payload._id");
        assert_eq!(path(create(r#"{"_seq":1}"#)), "payload._seq");
        assert_eq!(path(update(r#"{"updateData":{"a":1}}"#)), "payload.id");
        assert_eq!(path(update(r#"{"id":"e"}"#)), "payload.updateData");
        assert_eq!(
            path(update(r#"{"id":"e","updateData":[]}"#)),
            "payload.updateData"
        );
        assert_eq!(
            path(update(r#"{"id":"e","updateData":{}}"#)),
            "payload.updateData"
        );
        assert_eq!(
            path(update(r#"{"id":"e","updateData":{"$foo":{"a":1}}}"#)),
            "payload.updateData.$foo"
        );
        assert_eq!(
            path(update(r#"{"id":"e","updateData":{"_version":1}}"#)),
            "payload.updateData._version"
        );
        assert_eq!(
            path(update(r#"{"id":"e","updateData":{"a..b":1}}"#)),
            "payload.updateData.a..b"
        );
        assert_eq!(
            path(update(r#"{"id":"e","updateData":{"a":1,"a.b":2}}"#)),
            "payload.updateData.a.b"
        );
        assert_eq!(
            path(update(r#"{"id":"e","updateData":{"a":{"$b":1}}}"#)),
            "payload.updateData.a.$b"
        );
        assert_eq!(path(delete(r#"{"id":1}"#)), "payload.id");
        assert_eq!(
            path(delete(r#"{"id":"e","expectedVersion":"1"}"#)),
            "payload.expectedVersion"
        );
    }
}
