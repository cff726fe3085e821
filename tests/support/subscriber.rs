//! A named subscription as its client keeps it, across connections: what it was told, and whether that may
//! come in this order at all.

use serde_json::{Value, json};

use super::Client;

/// A subscription. Feed it the frames under its name, in order; it panics at one that may not come now.
#[derive(Debug)]
pub struct Subscriber {
    pub name: String,
    pub filter: Value,
    /// `None` is all of them.
    pub fields: Option<Vec<String>>,
    /// Every change after this was to be told.
    pub start: u64,
    /// The events it began with, if it asked for them.
    pub snapshot: Option<Vec<Value>>,
    /// The changes, as they came.
    pub changes: Vec<Value>,
    /// Where it resumes; `None` while what it is told is no position.
    pub position: Option<u64>,
    /// How often the window overran it.
    pub overruns: usize,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Stage {
    Snapshot,
    /// What became of events is told: no position until it is live.
    Latest,
    CatchingUp,
    Live,
}

impl Subscriber {
    pub fn new(name: &str, filter: Value, fields: Option<&[&str]>) -> Self {
        let fields = fields.map(|fields| fields.iter().map(|&field| field.to_owned()).collect());
        Self {
            name: name.to_owned(),
            filter,
            fields,
            start: 0,
            snapshot: None,
            changes: Vec::new(),
            position: None,
            overruns: 0,
            stage: Stage::Live,
        }
    }

    /// The payload of its SUBSCRIBE, with what `more` says.
    pub fn payload(&self, more: Value) -> Value {
        let mut payload = json!({"sub": self.name, "filter": self.filter});
        if let Some(fields) = &self.fields {
            payload["fields"] = json!(fields);
        }
        let Value::Object(more) = more else {
            panic!("{more} is no part of a payload");
        };
        payload.as_object_mut().unwrap().extend(more);
        payload
    }

    /// Begins anew; `more` says how: `{"snapshot": true}`, `{"after": 7}`.
    pub async fn begin(&mut self, client: &mut Client, more: Value) {
        let answer = client.ok("SUBSCRIBE", self.payload(more.clone())).await;
        self.begun(&answer, &more);
    }

    /// The answer to a SUBSCRIBE that said `more`.
    pub fn begun(&mut self, answer: &Value, more: &Value) {
        assert_eq!(answer["sub"], *self.name, "{answer}");
        self.start = seq(answer);
        self.changes.clear();
        self.position = Some(self.start);
        self.snapshot = None;
        self.stage = Stage::CatchingUp;
        if more["mode"] == "latest" {
            self.position = None;
            self.stage = Stage::Latest;
        } else if more["snapshot"] == true && more.get("after").is_none() {
            self.position = None;
            self.snapshot = Some(Vec::new());
            self.stage = Stage::Snapshot;
        }
    }

    /// Goes on where it was, perhaps on another connection.
    pub async fn resume(&mut self, client: &mut Client) {
        let after = self.position.expect("a position to resume from");
        let more = json!({"after": after, "epoch": client.welcome["epoch"]});
        let answer = client.ok("SUBSCRIBE", self.payload(more)).await;
        assert_eq!(
            (&answer["sub"], &answer["seq"]),
            (&json!(self.name), &json!(after)),
            "{answer}"
        );
        self.reconnected();
    }

    /// Is on another connection, which goes on at its position without a word.
    pub fn reconnected(&mut self) {
        assert!(self.position.is_some(), "a position to resume from");
        self.stage = Stage::CatchingUp;
    }

    /// Takes the next frame under its name.
    pub fn hear(&mut self, mut frame: Value) {
        assert_eq!(frame["sub"], *self.name, "{frame}");
        let fields = frame.as_object_mut().unwrap();
        fields.remove("sub");
        match frame["type"].as_str() {
            Some("snapshot") => self.page(&frame),
            Some("change") => self.change(frame),
            Some("live") => {
                let from = [Stage::CatchingUp, Stage::Latest];
                assert!(from.contains(&self.stage), "{:?}: {frame}", self.stage);
                self.stage = Stage::Live;
                self.reach(&frame);
            }
            Some("behind") => {
                assert_eq!(self.stage, Stage::Live, "{frame}");
                self.stage = Stage::CatchingUp;
                self.overruns += 1;
                self.reach(&frame);
            }
            _ => panic!("{:?} of {}: {frame}", self.stage, self.name),
        }
    }

    pub fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Reads until it is live.
    pub async fn until_live(&mut self, client: &mut Client) {
        while self.stage != Stage::Live {
            self.hear(client.next_told().await);
        }
    }

    /// Reads until it was told of this event last.
    pub async fn until_told_of(&mut self, client: &mut Client, event: &str) {
        while !self.was_told_of(event) {
            self.hear(client.next_told().await);
        }
    }

    pub fn was_told_of(&self, event: &str) -> bool {
        let last = self.changes.last();
        last.is_some_and(|change| change["eventId"] == event)
    }

    fn page(&mut self, frame: &Value) {
        assert_eq!(self.stage, Stage::Snapshot, "{frame}");
        assert_eq!(seq(frame), self.start, "{frame}");
        let events = frame["data"].as_array().expect("data is a list");
        let known = self.snapshot.as_mut().expect("it was asked for");
        known.extend(events.iter().cloned());
        if frame["more"] == false {
            self.stage = Stage::CatchingUp;
            self.position = Some(self.start);
            return;
        }
        assert_eq!(frame["more"], true, "{frame}");
        assert!(!events.is_empty(), "an empty page, and more to come");
    }

    fn change(&mut self, frame: Value) {
        assert_ne!(self.stage, Stage::Snapshot, "amid a snapshot: {frame}");
        let before = self.changes.last().map_or(self.start, seq);
        let before = before.max(self.position.unwrap_or(0));
        assert!(seq(&frame) > before, "after {before} came {frame}");
        if self.stage != Stage::Latest {
            self.position = Some(seq(&frame));
        }
        self.changes.push(frame);
    }

    fn reach(&mut self, frame: &Value) {
        let known = self.changes.last().map_or(self.start, seq);
        let known = known.max(self.position.unwrap_or(0));
        assert!(seq(frame) >= known, "after {known} came {frame}");
        self.position = Some(seq(frame));
    }
}

/// A frame's place in the log.
pub fn seq(frame: &Value) -> u64 {
    frame["seq"]
        .as_u64()
        .unwrap_or_else(|| panic!("no seq: {frame}"))
}
