//! What somebody hears while a pair's actions take place in one of its logs.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::house::{Events, House, Service, hear_out};
use super::pair::{Action, Both, Pair};
use crate::support::Client;

/// All that was heard, in the order of the actions and then by the name of what it was heard on.
pub type Transcript = Vec<(String, Value)>;

struct Player<'a> {
    house: &'a House,
    side: usize,
    token: Option<&'a str>,
    client: Client,
    resumed: Vec<Client>,
    live: BTreeSet<String>,
    events: Events,
    heard: Transcript,
}

/// Plays a pair in one of its logs: the transcript, and where the log is then. `fence` is an id that ends all.
pub async fn play(
    house: &House,
    side: usize,
    pair: &Pair,
    token: Option<&str>,
    service: &mut Service,
    fence: &str,
) -> (Transcript, u64) {
    let mut head = service_seq(service).await;
    for step in &pair.before {
        head = write(service, &step[side], head).await;
    }
    let mut client = house.session(token, Some(head)).await;
    // Its node may be another, which has not come so far.
    client
        .ok("FETCH", json!({"limit": 1, "minSeq": head}))
        .await;
    let mut player = Player {
        events: house.events(token, head).await,
        house,
        side,
        token,
        client,
        resumed: Vec::new(),
        live: BTreeSet::new(),
        heard: Vec::new(),
    };
    let start = head;
    for action in &pair.actions {
        head = player.act(action, service, head).await;
    }
    let visible = pair.visible.as_ref().map(|_| fence);
    player.note(
        "the log is where it should be",
        json!(head == pair.end[side]),
    );
    head = put_fence(service, pair, fence, head).await;
    let socketio = house.socketio(token, start, visible).await;
    player.note("socket.io", socketio);
    let transcript = player.end(visible).await;
    head = write(service, &pair.clearing[side], head).await;
    if visible.is_some() {
        let gone = json!({"type": "DELETE", "payload": {"id": fence}});
        head = write(service, &[gone], head).await;
    }
    (transcript, head)
}

async fn service_seq(service: &mut Service) -> u64 {
    let answer = service
        .writer
        .ok("FETCH", json!({"limit": 1, "filter": {"_id": "nobody"}}))
        .await;
    answer["seq"].as_u64().unwrap()
}

async fn write(service: &mut Service, requests: &[Value], mut head: u64) -> u64 {
    for request in requests {
        service.writer.send(request).await;
        let answer = service.writer.answer().await;
        assert_eq!(answer["success"], true, "{request} {answer}");
        head = answer["seq"].as_u64().unwrap_or(head);
    }
    head
}

/// What is last of all is heard, by others at least.
async fn put_fence(service: &mut Service, pair: &Pair, fence: &str, mut head: u64) -> u64 {
    if let Some(document) = &pair.visible {
        let mut document = document.clone();
        document["_id"] = json!(fence);
        head = write(
            service,
            &[json!({"type": "CREATE", "payload": document})],
            head,
        )
        .await;
    }
    hear_all_broadcasts(service, fence).await;
    head
}

/// Those that were sent are heard, and a session that comes now hears none of them.
async fn hear_all_broadcasts(service: &mut Service, fence: &str) {
    let last = json!({"fence": fence});
    service.writer.ok("BROADCAST", last).await;
    while service.ear.broadcast().await["payload"]["fence"] != fence {}
}

impl Player<'_> {
    fn note(&mut self, what: impl Into<String>, heard: Value) {
        self.heard.push((what.into(), heard));
    }

    async fn act(&mut self, action: &Action, service: &mut Service, head: u64) -> u64 {
        let (house, token, side) = (self.house, self.token, self.side);
        match action {
            Action::Others(commands) | Action::Said(commands) => {
                return write(service, &commands[side], head).await;
            }
            Action::Own(requests) => {
                let answer = self.ask(&requests[side]).await;
                let is_done = answer["success"] == true;
                let seq = answer["seq"].as_u64().filter(|_| is_done);
                self.note_subscription(&requests[side], is_done);
                self.note(requests[side].to_string(), answer);
                return seq.unwrap_or(head).max(head);
            }
            Action::Pages(requests) => self.pages(&requests[side]).await,
            Action::List(requests) => self.list(&requests[side]).await,
            Action::Log(after, asked) => self.log(after, asked, head).await,
            Action::History(id, min) => {
                let query = [("limit", "2".to_owned()), ("minSeq", min[side].to_string())];
                let path = format!("/api/events/{id}/history");
                let history = house.pages(token, &path, &query, "after").await;
                self.note(path, history);
            }
            Action::Patch(id, versions, title) => {
                let answer = house.patch(token, id, versions[side], title).await;
                let seq = answer[1]["seq"].as_u64();
                self.note(format!("PATCH {id} {title}"), answer);
                return seq.unwrap_or(head).max(head);
            }
            Action::Event(id, min) => {
                let path = format!("/api/events/{id}");
                let query = [("minSeq", min[side].to_string())];
                let (status, body) = house.get(token, &path, &query).await;
                self.note(path, json!([status, body]));
            }
            Action::Resume(after) => {
                hear_all_broadcasts(service, &format!("resumed {}", self.resumed.len())).await;
                let session = house.session(token, Some(after[side])).await;
                self.resumed.push(session);
            }
        }
        head
    }

    async fn ask(&mut self, request: &Value) -> Value {
        self.client.send(request).await;
        self.client.answer().await
    }

    /// What a list shows, as it is when all that happened is known. Which steps lead there depends on what else goes on.
    async fn list(&mut self, request: &Value) {
        let answer = self.ask(request).await;
        let is_done = answer["success"] == true;
        self.note(request.to_string(), answer);
        if !is_done {
            return;
        }
        let name = request["payload"]["sub"].clone();
        let of_list = |frame: &Value| frame["sub"] == name;
        let is_live = |frame: &Value| of_list(frame) && frame["type"] == "live";
        while !self.client.told.iter().any(is_live) {
            let reading = self.client.read();
            reading.await.expect("a list that goes live");
        }
        let told = std::mem::take(&mut self.client.told).into_iter();
        let (list, others): (Vec<Value>, Vec<Value>) = told.partition(of_list);
        self.client.told = others.into();
        let shown = list.into_iter().take_while(|frame| !is_live(frame));
        self.note(format!("list {request}"), shown.collect());
        let end = json!({"type": "UNSUBSCRIBE", "payload": {"sub": name}});
        self.ask(&end).await;
        self.client.told.retain(|frame| !of_list(frame));
    }

    fn note_subscription(&mut self, request: &Value, is_done: bool) {
        if request["type"] == "SUBSCRIBE" && is_done {
            let name = request["payload"]["sub"].as_str().unwrap();
            self.live.insert(name.to_owned());
        }
    }

    /// The pages of a FETCH on the socket, and of the same as a list.
    async fn pages(&mut self, request: &Value) {
        let mut next = request.clone();
        loop {
            let answer = self.ask(&next).await;
            let cursor = answer["next"].clone();
            self.note(request.to_string(), answer);
            if cursor.is_null() {
                break;
            }
            next["payload"]["cursor"] = cursor;
        }
        let payload = request["payload"].as_object().unwrap().iter();
        let query: Vec<(&str, String)> = payload
            .map(|(name, value)| (name.as_str(), value.to_string()))
            .collect();
        let list = self
            .house
            .pages(self.token, "/api/events", &query, "cursor")
            .await;
        self.note(format!("list {request}"), list);
        self.stats(&query).await;
    }

    /// The events that a query asks for in groups, whatever its order and page.
    async fn stats(&mut self, query: &[(&str, String)]) {
        let asked = |(name, _): &&(&str, String)| ["filter", "minSeq", "at"].contains(name);
        let mut asked: Vec<_> = query.iter().filter(asked).cloned().collect();
        let by = ["owner", "level", "secret", "box", "items.price"];
        let by = by[self.heard.len() % by.len()];
        asked.extend([("group", by.to_owned()), ("sum", "n".to_owned())]);
        let (status, stats) = self
            .house
            .get(self.token, "/api/events/stats", &asked)
            .await;
        self.note(format!("stats {asked:?}"), json!([status, stats]));
    }

    async fn log(&mut self, after: &Both<u64>, asked: &Map<String, Value>, head: u64) {
        let mut query = vec![
            ("after", after[self.side].to_string()),
            ("limit", "7".to_owned()),
            ("minSeq", head.to_string()),
        ];
        query.extend(
            asked
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_string())),
        );
        let log = self
            .house
            .pages(self.token, "/api/changes", &query, "after")
            .await;
        self.note(format!("log {asked:?}"), log);
    }

    async fn end(mut self, until: Option<&str>) -> Transcript {
        while !self.live.is_empty() {
            let is_live = |frame: &Value| frame["type"] == "live";
            for frame in self.client.told.iter().filter(|frame| is_live(frame)) {
                self.live.remove(frame["sub"].as_str().unwrap());
            }
            if !self.live.is_empty() {
                self.client
                    .read()
                    .await
                    .expect("a subscription that goes live");
            }
        }
        hear_out(&mut self.client, until).await;
        self.note_session("", until);
        for number in 0..self.resumed.len() {
            std::mem::swap(&mut self.client, &mut self.resumed[number]);
            hear_out(&mut self.client, until).await;
            self.note_session(&format!("resumed {number}: "), until);
        }
        let events = self.events.until(until).await;
        self.note("events", events);
        self.heard
    }

    fn note_session(&mut self, who: &str, until: Option<&str>) {
        let client = &mut self.client;
        let is_fence = |frame: &&Value| frame["eventId"].as_str() != until || until.is_none();
        let changes: Vec<Value> = client.changes.iter().filter(is_fence).cloned().collect();
        let broadcasts = client
            .broadcasts
            .iter()
            .filter(|frame| frame["payload"].get("fence").is_none());
        let broadcasts: Vec<Value> = broadcasts.cloned().collect();
        let notices: Vec<Value> = client.notices.iter().cloned().collect();
        // When a subscription is live depends on what else goes on.
        let is_told =
            |frame: &&Value| !["live", "behind"].contains(&frame["type"].as_str().unwrap());
        let told = client.told.iter().filter(is_fence).filter(is_told);
        let told: Vec<Value> = told.cloned().collect();
        self.note(format!("{who}changes"), changes.into());
        self.note(format!("{who}broadcasts"), broadcasts.into());
        self.note(format!("{who}notices"), notices.into());
        let names: BTreeSet<String> = told
            .iter()
            .map(|frame| frame["sub"].as_str().unwrap().to_owned())
            .collect();
        for name in names {
            let mut frames: Vec<&Value> = told
                .iter()
                .filter(|frame| frame["sub"] == name.as_str())
                .collect();
            // The last change of each event, in their order: that of an event is told by its seq.
            if name.starts_with("latest") {
                frames.sort_by_key(|frame| frame["eventId"].as_str());
            }
            self.note(format!("{who}{name}"), json!(frames));
        }
    }
}

/// A transcript without what is not the same, and is said to be seen: seqs, versions, times, and tokens of cursors.
pub fn normalized(transcript: Transcript) -> Transcript {
    let normalize = |(what, mut heard): (String, Value)| {
        normalize(&mut heard);
        (without_numbers(&what), heard)
    };
    transcript.into_iter().map(normalize).collect()
}

const LEFT_OUT: [&str; 12] = [
    "seq",
    "_seq",
    "version",
    "_version",
    "at",
    "_createdAt",
    "_updatedAt",
    "currentVersion",
    "earliest",
    "epoch",
    "session",
    "expiresAt",
];

fn normalize(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
            for (name, value) in fields.iter_mut() {
                match name.as_str() {
                    "next" => *value = json!("there is more"),
                    "message" => {
                        *value = json!(without_numbers(value.as_str().unwrap_or_default()))
                    }
                    _ => normalize(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        _ => {}
    }
}

/// Numbers in texts that name versions and positions.
fn without_numbers(text: &str) -> String {
    let digits = |character: char| match character.is_ascii_digit() {
        true => '#',
        false => character,
    };
    let mut text: String = text.chars().map(digits).collect();
    while text.contains("##") {
        text = text.replace("##", "#");
    }
    text
}
