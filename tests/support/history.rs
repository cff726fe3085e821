//! Changes made by hand, for tests that talk to a store directly.

use std::collections::BTreeMap;
use std::sync::Arc;

use livelog::domain::{Change, Effect, Event, EventId, Patch, Path, Seq, Timestamp};
use livelog::store::Batch;
use livelog::value::{Document, Value};
use uuid::Uuid;

pub type Events = BTreeMap<EventId, Arc<Event>>;

/// A log, and the events that its changes come to.
#[derive(Debug, Default)]
pub struct History {
    pub events: Events,
    pub log: Vec<Arc<Change>>,
    /// Each life begins at version 1, as in the logs of earlier livelogs.
    pub begins_anew: bool,
    /// The highest version that each event ever had.
    pub last_versions: BTreeMap<EventId, u64>,
}

impl History {
    /// The history that this log tells.
    pub fn of(log: Vec<Arc<Change>>) -> Self {
        let mut history = Self::default();
        log.into_iter().for_each(|change| history.take(change));
        history
    }

    pub fn head(&self) -> Seq {
        Seq::new(self.log.len() as u64)
    }

    pub fn create(&mut self, name: &str, fields: Document) {
        let last = self.last_versions.get(&id(name)).copied();
        let last = last.filter(|_| !self.begins_anew);
        let after = Arc::new(Event {
            id: id(name),
            version: last.unwrap_or(0) + 1,
            seq: self.head().next(),
            created_at: now(),
            updated_at: now(),
            fields,
        });
        self.push(Effect::Create { after });
    }

    /// Sets a top-level field.
    pub fn set(&mut self, name: &str, field: &str, value: impl Into<Value>) {
        let before = Arc::clone(&self.events[&id(name)]);
        let patch = Patch {
            set: vec![(Path::parse(field).unwrap(), value.into())],
            unset: Vec::new(),
        };
        let after = Arc::new(Event {
            version: before.version + 1,
            seq: self.head().next(),
            fields: patch.apply(&before.fields).unwrap(),
            ..(*before).clone()
        });
        self.push(Effect::Update {
            before,
            patch,
            after,
        });
    }

    pub fn delete(&mut self, name: &str) {
        let before = Arc::clone(&self.events[&id(name)]);
        self.push(Effect::Delete { before });
    }

    /// Everything after `after` as one batch.
    pub fn batch(&self, after: Seq) -> Arc<Batch> {
        self.batch_named(after, Uuid::new_v4())
    }

    pub fn batch_named(&self, after: Seq, id: Uuid) -> Arc<Batch> {
        let changes = self.log[usize::try_from(after.get()).unwrap()..].to_vec();
        Arc::new(Batch { id, after, changes })
    }

    fn push(&mut self, effect: Effect) {
        let (seq, at) = (self.head().next(), now());
        let change = Change {
            seq,
            at,
            effect,
            command: None,
            author: None,
        };
        self.take(Arc::new(change));
    }

    fn take(&mut self, change: Arc<Change>) {
        apply(&mut self.events, &change);
        let last = self.last_versions.entry(change.event_id().clone());
        let last = last.or_default();
        *last = change.version().max(*last);
        self.log.push(change);
    }
}

pub fn fold(log: &[Arc<Change>]) -> Events {
    let mut events = Events::new();
    log.iter().for_each(|change| apply(&mut events, change));
    events
}

fn apply(events: &mut Events, change: &Change) {
    match change.after() {
        Some(after) => drop(events.insert(after.id.clone(), Arc::clone(after))),
        None => drop(events.remove(change.event_id())),
    }
}

pub fn id(name: &str) -> EventId {
    EventId::parse(name).unwrap()
}

fn now() -> Timestamp {
    Timestamp::parse("2026-01-31T12:00:00.000Z").unwrap()
}
