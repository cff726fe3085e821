//! A log as its writers know it: what each command makes of it, told by the domain itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use livelog::access::Grant;
use livelog::domain::{
    Change, Command, CommandBatch, CommandKind, Event, EventId, EventState, Precondition, Seq,
    Stamp, Timestamp,
};
use livelog::limits;
use livelog::value::{Document, Steps};
use serde_json::{Value, json};

/// One log: its events, and how far it goes.
#[derive(Debug, Clone)]
pub struct World {
    pub seq: u64,
    events: BTreeMap<String, Life>,
}

#[derive(Debug, Clone, Default)]
struct Life {
    current: Option<Arc<Event>>,
    last_version: u64,
    changes: Vec<Arc<Change>>,
}

/// What a change did, as JSON of the fields.
#[derive(Debug, Clone)]
pub struct Step {
    pub id: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

fn fields(event: &Event) -> Value {
    serde_json::to_value(&event.fields).unwrap()
}

impl World {
    pub fn new(seq: u64) -> Self {
        Self {
            seq,
            events: BTreeMap::new(),
        }
    }

    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.events.keys()
    }

    /// The fields of an event, if it exists.
    pub fn document(&self, id: &str) -> Option<Value> {
        Some(fields(self.events.get(id)?.current.as_ref()?))
    }

    /// The version of an event; 0 if it does not exist.
    pub fn version(&self, id: &str) -> u64 {
        let current = self.events.get(id).and_then(|life| life.current.as_ref());
        current.map_or(0, |event| event.version)
    }

    /// Carries out a request of who has this grant: what it did, or `None` if it was refused.
    pub fn carry_out(&mut self, grant: &Grant, request: &Value) -> Option<Vec<Step>> {
        let payload: Document = serde_json::from_value(request["payload"].clone()).unwrap();
        let word = request["type"].as_str().unwrap();
        let batch = match CommandKind::parse(word) {
            Some(verb) => CommandBatch::parse(verb, payload, None),
            None => CommandBatch::parse_batch(payload, None),
        };
        let mut next = self.clone();
        let commands = batch.ok()?.commands;
        let steps = commands.iter().map(|command| next.decide(grant, command));
        let steps = steps.collect::<Option<Vec<Step>>>()?;
        *self = next;
        Some(steps)
    }

    fn decide(&mut self, grant: &Grant, command: &Command) -> Option<Step> {
        let id = command.target().expect("every command names its event");
        let life = self.events.entry(id.as_str().to_owned()).or_default();
        let stamp = Stamp {
            seq: Seq::new(self.seq + 1),
            at: Timestamp::from_millis(0).unwrap(),
        };
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        let state = life.state(id, command);
        let change = grant.decide(&state, &Precondition::default(), command, stamp, &steps);
        let change = Arc::new(change.ok()?);
        self.seq += 1;
        life.last_version = change.version();
        life.current = change.after().cloned();
        life.changes.push(Arc::clone(&change));
        Some(Step {
            id: id.as_str().to_owned(),
            before: change.before().map(|event| fields(event)),
            after: change.after().map(|event| fields(event)),
        })
    }

    /// What deletes everything that is there.
    pub fn clearing(&self) -> Vec<Value> {
        let there = self
            .events
            .iter()
            .filter(|(_, life)| life.current.is_some());
        let delete = |(id, _): (&String, _)| json!({"type": "DELETE", "payload": {"id": id}});
        there.map(delete).collect()
    }
}

impl Life {
    fn state(&self, id: &EventId, command: &Command) -> EventState {
        let source = command.source().map(|(_, version)| version);
        let mut changes = self.changes.iter().rev();
        EventState {
            id: id.clone(),
            current: self.current.clone(),
            last_version: self.last_version,
            earlier: source
                .and_then(|version| changes.find(|change| change.version() == version).cloned()),
        }
    }
}
