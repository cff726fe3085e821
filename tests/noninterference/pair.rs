//! Two logs that differ only in what somebody may not see, and what happens in both.
//!
//! Others issue the same commands in both, but for those about what is not seen: contents of events that are not,
//! events that never are, hidden fields, broadcasts that are not heard. Whether a command is of that kind says `rules`,
//! which knows nothing of livelog's own rules. What is told of all of them (that seq and versions grow, and that an id
//! exists) is the same in both or left out of the transcripts.

use std::collections::BTreeSet;

use livelog::access::Grant;
use serde_json::{Map, Value, json};

use super::random::{self, chance, one_of};
use super::rules::{holds, names_in, stripped};
use super::world::{Step as Done, World};
use crate::support::dice::Dice;

/// The same in both logs, or not.
pub type Both<T> = [T; 2];

/// What somebody may do, and with which claims.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The name of its role in the access file; empty if it is anonymous.
    pub role_name: String,
    pub role: Value,
    pub claims: Value,
    /// What it reads: the role's rule, and what its token narrows that by.
    read: Value,
    hear: Value,
    hidden: Vec<String>,
}

impl Principal {
    pub fn new(dice: &mut Dice, role_name: &str, is_anonymous: bool) -> Self {
        let (rule, hear, hidden) = (random::rule(dice), random::hear(dice), random::hidden(dice));
        let role = random::role(dice, &rule, &hidden, &hear);
        let mut claims = random::claims(dice);
        let narrows = chance(dice, 15);
        let narrower = json!({"level": {"$lt": 3}});
        if is_anonymous {
            claims = json!({});
        } else if narrows {
            claims["livelog"] = json!({"read": narrower});
        }
        let read = match (&rule, narrows && !is_anonymous) {
            (Value::Bool(true), true) => narrower,
            (Value::Object(_), true) => json!({"$and": [rule, narrower]}),
            _ => rule,
        };
        Self {
            role_name: role_name.to_owned(),
            role,
            claims,
            read,
            hear,
            hidden,
        }
    }

    fn sees(&self, document: &Value) -> bool {
        holds(&self.read, &self.claims, document)
    }

    fn hears(&self, payload: &Value) -> bool {
        holds(&self.hear, &self.claims, payload)
    }

    /// The fields that decide anything for it.
    fn deciding(&self) -> Vec<String> {
        let mut names = Vec::new();
        let role = &self.role;
        for rule in [
            &self.read,
            &role["create"]["after"],
            &role["update"]["before"],
            &role["update"]["after"],
            &role["delete"]["before"],
        ] {
            names_in(rule, &mut names);
        }
        names
    }
}

/// What happens next, in either log.
#[derive(Debug, Clone)]
pub enum Action {
    /// Others write.
    Others(Both<Vec<Value>>),
    /// Others broadcast.
    Said(Both<Vec<Value>>),
    /// It sends this, on its session.
    Own(Both<Value>),
    /// The same, and again with the cursor of the answer as long as there is one.
    Pages(Both<Value>),
    /// It looks at a live list.
    List(Both<Value>),
    /// It reads the log after these positions, by such pages.
    Log(Both<u64>, Map<String, Value>),
    /// It changes an event over HTTP, if that is at this version.
    Patch(String, Both<u64>, Value),
    History(String, Both<u64>),
    Event(String, Both<u64>),
    /// It opens another session, which resumes after these positions.
    Resume(Both<u64>),
}

#[derive(Debug, Clone)]
pub struct Pair {
    pub principal: Principal,
    /// Before it connects.
    pub before: Vec<Both<Vec<Value>>>,
    pub actions: Vec<Action>,
    /// Where the logs are then.
    pub end: Both<u64>,
    /// What deletes all that is there.
    pub clearing: Both<Vec<Value>>,
    /// A document that it sees, if one was found.
    pub visible: Option<Value>,
}

/// Whether a command is about a price that is not hidden. `items.price` hides those in a list, and `items.0.price` leads into
/// one; or, where there is none, into an object, which names whatever is in it.
fn shows_a_price(command: &Value, done: &Done) -> bool {
    let is_list = |document: &Value| document["items"].is_array();
    let lists = [&done.before, &done.after].map(|document| document.as_ref().is_some_and(is_list));
    command.to_string().contains("items.0.price") && lists != [true, true]
}

/// Makes a pair.
pub struct Maker<'a> {
    dice: Dice,
    principal: Principal,
    deciding: Vec<String>,
    grant: &'a Grant,
    everything: Grant,
    worlds: Both<World>,
    prefix: String,
    /// Positions that it may name.
    marks: Vec<Both<u64>>,
    /// Versions of events that it may name.
    versions: Vec<(String, Both<u64>)>,
    /// What it wrote with an id of its own.
    repeatable: Vec<Both<Value>>,
    command_ids: Vec<String>,
    subs: usize,
    has_diverged: bool,
}

impl<'a> Maker<'a> {
    /// `heads` is where the logs are.
    pub fn new(
        dice: Dice,
        principal: Principal,
        grant: &'a Grant,
        prefix: &str,
        heads: Both<u64>,
    ) -> Self {
        Self {
            dice,
            deciding: principal.deciding(),
            principal,
            grant,
            everything: Grant::open(),
            worlds: heads.map(World::new),
            prefix: prefix.to_owned(),
            marks: Vec::new(),
            versions: Vec::new(),
            repeatable: Vec::new(),
            command_ids: Vec::new(),
            subs: 0,
            has_diverged: false,
        }
    }

    pub fn make(mut self, length: usize) -> Pair {
        let mut before = Vec::new();
        for _ in 0..8 {
            before.extend(self.others());
        }
        self.mark();
        let start = self.marks[0];
        let mut actions = vec![self.subscribe(false), self.subscribe(true)];
        while actions.len() < length && !self.has_diverged {
            let action = self.action();
            actions.extend(action);
            self.mark();
        }
        if !self.has_diverged && actions.len() >= length {
            actions.extend(self.last_look(start));
        }
        let end = self.heads();
        Pair {
            before,
            actions,
            end,
            clearing: [0, 1].map(|side| self.worlds[side].clearing()),
            visible: self.visible(),
            principal: self.principal,
        }
    }

    fn visible(&mut self) -> Option<Value> {
        let mut documents = (0..200).map(|_| Value::Object(random::document(&mut self.dice)));
        documents.find(|document| self.principal.sees(document))
    }

    fn heads(&self) -> Both<u64> {
        [0, 1].map(|side| self.worlds[side].seq)
    }

    fn mark(&mut self) {
        self.marks.push(self.heads());
        for id in self.shared_ids() {
            let versions = [0, 1].map(|side| self.worlds[side].version(&id));
            if versions[0] > 0 && self.is_seen(0, &id) {
                self.versions.push((id, versions));
            }
        }
    }

    fn shared_ids(&self) -> Vec<String> {
        let ids = self.worlds[0].ids();
        ids.filter(|id| !self.is_secret(id)).cloned().collect()
    }

    fn is_secret(&self, id: &str) -> bool {
        id.starts_with(&format!("{}h", self.prefix))
    }

    fn is_seen(&self, side: usize, id: &str) -> bool {
        let document = self.worlds[side].document(id);
        document.is_some_and(|document| self.principal.sees(&document))
    }

    fn id(&mut self, kind: &str, count: u64) -> String {
        format!("{}{kind}{}", self.prefix, self.dice.below(count))
    }

    fn action(&mut self) -> Option<Action> {
        match self.dice.below(100) {
            0..45 => self.others().map(Action::Others),
            45..52 => self.said().map(Action::Said),
            52..71 => Some(Action::Own(self.own())),
            71..74 => Some(self.patch()),
            74..81 => Some(self.fetch()),
            81..84 => Some(self.list()),
            84..88 => Some(self.log()),
            88..93 => {
                let id = self.some_id();
                Some(Action::History(id, self.heads()))
            }
            93..95 => {
                let id = self.some_id();
                Some(Action::Event(id, self.heads()))
            }
            95..97 => Some(Action::Resume(one_of(&mut self.dice, &self.marks))),
            _ if self.subs < 8 => Some(self.resubscribe()),
            _ => None,
        }
    }

    fn last_look(&mut self, start: Both<u64>) -> Vec<Action> {
        let all = |min: u64| json!({"type": "FETCH", "payload": {"limit": 3, "minSeq": min}});
        let mut look = vec![
            Action::Pages(self.heads().map(all)),
            Action::Log(start, Map::new()),
            Action::Resume(start),
            self.resume("all", start),
            self.resume("latest", start),
            self.subscribe(true),
            self.list(),
        ];
        for id in [self.id("e", 4), self.id("h", 2)] {
            look.push(Action::History(id.clone(), self.heads()));
            look.push(Action::Event(id, self.heads()));
        }
        look
    }

    // What others do.

    fn others(&mut self) -> Option<Both<Vec<Value>>> {
        for _ in 0..12 {
            let commands = match self.dice.below(12) {
                0..5 => self.same(),
                10 | 11 => self.parting(),
                5 | 6 => self.unseen(),
                7 => self.hidden_fields(),
                _ => self.secret_events(),
            };
            let Some(commands) = commands else { continue };
            if self.take(&commands) {
                return Some(commands.map(|commands| self.named(commands)));
            }
        }
        None
    }

    /// Some of the commands with ids.
    fn named(&mut self, mut commands: Vec<Value>) -> Vec<Value> {
        for command in &mut commands {
            if chance(&mut self.dice, 25) {
                let id = format!("{}k{}", self.prefix, self.dice.next());
                command["commandId"] = json!(id);
                self.command_ids.push(id);
            }
        }
        commands
    }

    /// Takes the commands if they are carried out and somebody who may not see the difference sees none.
    fn take(&mut self, commands: &Both<Vec<Value>>) -> bool {
        let mut next = self.worlds.clone();
        let mut told = [Vec::new(), Vec::new()];
        let mut touched = BTreeSet::new();
        let is_parted = commands[0] != commands[1];
        for side in [0, 1] {
            for command in &commands[side] {
                let Some(steps) = next[side].carry_out(&self.everything, command) else {
                    return false;
                };
                for step in steps {
                    if is_parted && shows_a_price(command, &step) {
                        return false;
                    }
                    told[side].extend(self.told(&step));
                    touched.insert(step.id);
                }
            }
        }
        let is_same = told[0] == told[1] && touched.iter().all(|id| self.looks_same(&next, id));
        if is_same {
            self.worlds = next;
        }
        is_same
    }

    /// What is told of a change.
    fn told(&self, done: &Done) -> Option<Value> {
        let seen = |document: &Option<Value>| -> Option<Value> {
            let document = document
                .as_ref()
                .filter(|document| self.principal.sees(document))?;
            Some(stripped(document, &self.principal.hidden))
        };
        let (before, after) = (seen(&done.before), seen(&done.after));
        if before == after {
            return None;
        }
        let existed = [&done.before, &done.after].map(Option::is_some);
        Some(json!([done.id, existed, before, after]))
    }

    fn looks_same(&self, worlds: &Both<World>, id: &str) -> bool {
        let documents = [0, 1].map(|side| worlds[side].document(id));
        let sees = |document: &Option<Value>| {
            document
                .as_ref()
                .is_some_and(|document| self.principal.sees(document))
        };
        let [is_seen, is_seen_there] = [&documents[0], &documents[1]].map(sees);
        if self.is_secret(id) {
            return !is_seen && !is_seen_there;
        }
        match &documents {
            [None, None] => true,
            [Some(here), Some(there)] if is_seen && is_seen_there => {
                let hidden = &self.principal.hidden;
                let decides = |name: &String| here.get(name) == there.get(name);
                stripped(here, hidden) == stripped(there, hidden)
                    && self.deciding.iter().all(decides)
            }
            [Some(_), Some(_)] => !is_seen && !is_seen_there,
            _ => false,
        }
    }

    /// One command in both, but for hidden fields.
    fn same(&mut self) -> Option<Both<Vec<Value>>> {
        let id = self.id("e", 5);
        if self.worlds[0].document(&id).is_none() {
            let mut document = random::document(&mut self.dice);
            document.insert("_id".to_owned(), json!(id));
            let create =
                |fields: &Map<String, Value>| vec![json!({"type": "CREATE", "payload": fields})];
            let here = create(&document);
            self.vary(&mut document);
            return Some([here, create(&document)]);
        }
        if chance(&mut self.dice, 12) {
            let delete = vec![json!({"type": "DELETE", "payload": {"id": id}})];
            return Some([delete.clone(), delete]);
        }
        let update = |update: Map<String, Value>, id: &str| {
            let mut payload = update;
            payload.insert("id".to_owned(), json!(id));
            vec![json!({"type": "UPDATE", "payload": payload})]
        };
        if chance(&mut self.dice, 20) {
            let mut document = random::document(&mut self.dice);
            if document.is_empty() {
                return None;
            }
            let all = |fields: &Map<String, Value>| {
                update(
                    json!({"updateData": fields}).as_object().unwrap().clone(),
                    &id,
                )
            };
            let here = all(&document);
            self.vary(&mut document);
            return Some([here, all(&document)]);
        }
        let both = random::update(&mut self.dice);
        let there = self.with_hidden_set(both.clone());
        Some([update(both, &id), update(there, &id)])
    }

    /// Other values for hidden fields at the top.
    fn vary(&mut self, document: &mut Map<String, Value>) {
        for path in self.principal.hidden.clone() {
            match path.split_once('.') {
                None if chance(&mut self.dice, 50) => {
                    let value = random::value_of(&mut self.dice, &path);
                    document.insert(path, value);
                }
                None => drop(document.remove(&path)),
                Some((top, _)) => {
                    let Some(fields) = document.get_mut(top).and_then(Value::as_object_mut) else {
                        continue;
                    };
                    let (_, name) = path.rsplit_once('.').unwrap();
                    let fields = match path.matches('.').count() {
                        1 => Some(fields),
                        _ => fields.get_mut("deep").and_then(Value::as_object_mut),
                    };
                    if let Some(fields) = fields {
                        fields.insert(name.to_owned(), json!(self.dice.below(9)));
                    }
                }
            }
        }
    }

    /// A plain update that sets a hidden field as well.
    fn with_hidden_set(&mut self, mut update: Map<String, Value>) -> Map<String, Value> {
        let path = random::hidden_path(&mut self.dice, &self.principal.hidden);
        let fields = update.get_mut("updateData").and_then(Value::as_object_mut);
        if let (Some(path), Some(fields)) = (path, fields)
            && fields.keys().all(|name| !name.starts_with('$'))
        {
            let value = random::value_of(&mut self.dice, &path);
            fields.insert(path, value);
        }
        update
    }

    /// Whatever, of an event that is not seen.
    fn unseen(&mut self) -> Option<Both<Vec<Value>>> {
        let mut ids = self.shared_ids();
        ids.retain(|id| self.worlds[0].document(id).is_some() && !self.is_seen(0, id));
        if ids.is_empty() {
            return None;
        }
        let id = one_of(&mut self.dice, &ids);
        Some([0, 1].map(|_| {
            let count = self.dice.below(3);
            let updates = (0..count).map(|_| {
                let mut payload = random::update(&mut self.dice);
                payload.insert("id".to_owned(), json!(id));
                json!({"type": "UPDATE", "payload": payload})
            });
            updates.collect()
        }))
    }

    /// An event that is seen, and no more afterwards: what it is then may be anything.
    fn parting(&mut self) -> Option<Both<Vec<Value>>> {
        let mut ids = self.shared_ids();
        ids.retain(|id| self.is_seen(0, id));
        if ids.is_empty() {
            return None;
        }
        let id = one_of(&mut self.dice, &ids);
        Some([0, 1].map(|_| {
            let fields = random::document(&mut self.dice);
            vec![json!({"type": "UPDATE", "payload": {"id": id, "updateData": fields}})]
        }))
    }

    /// Hidden fields of an event that is seen.
    fn hidden_fields(&mut self) -> Option<Both<Vec<Value>>> {
        let mut ids = self.shared_ids();
        ids.retain(|id| self.is_seen(0, id));
        if ids.is_empty() || self.principal.hidden.is_empty() {
            return None;
        }
        let id = one_of(&mut self.dice, &ids);
        Some([0, 1].map(|_| {
            let count = self.dice.below(3);
            (0..count).map(|_| self.hidden_update(&id)).collect()
        }))
    }

    fn hidden_update(&mut self, id: &str) -> Value {
        let path = random::hidden_path(&mut self.dice, &self.principal.hidden).unwrap();
        let value = random::value_of(&mut self.dice, &path);
        let update = match chance(&mut self.dice, 25) {
            true => json!({"$unset": {path: true}}),
            false => json!({path: value}),
        };
        json!({"type": "UPDATE", "payload": {"id": id, "updateData": update}})
    }

    /// Events that are never seen.
    fn secret_events(&mut self) -> Option<Both<Vec<Value>>> {
        Some([0, 1].map(|side| {
            let count = self.dice.below(3);
            (0..count).map(|_| self.secret_event(side)).collect()
        }))
    }

    fn secret_event(&mut self, side: usize) -> Value {
        let id = self.id("h", 3);
        if self.worlds[side].document(&id).is_none() {
            let mut document = random::document(&mut self.dice);
            document.insert("_id".to_owned(), json!(id));
            return json!({"type": "CREATE", "payload": document});
        }
        if chance(&mut self.dice, 20) {
            return json!({"type": "DELETE", "payload": {"id": id}});
        }
        let mut payload = random::update(&mut self.dice);
        payload.insert("id".to_owned(), json!(id));
        json!({"type": "UPDATE", "payload": payload})
    }

    fn said(&mut self) -> Option<Both<Vec<Value>>> {
        let payload = Value::Object(random::document(&mut self.dice));
        let broadcast = |payload: &Value| json!({"type": "BROADCAST", "payload": payload});
        if self.principal.hears(&payload) {
            return Some([vec![broadcast(&payload)], vec![broadcast(&payload)]]);
        }
        let one = vec![broadcast(&payload)];
        Some(match chance(&mut self.dice, 50) {
            true => [one, Vec::new()],
            false => [Vec::new(), one],
        })
    }

    // What it does itself.

    fn some_id(&mut self) -> String {
        let mut seen = self.shared_ids();
        seen.retain(|id| self.is_seen(0, id));
        if !seen.is_empty() && chance(&mut self.dice, 45) {
            return one_of(&mut self.dice, &seen);
        }
        match self.dice.below(10) {
            0..6 => self.id("e", 5),
            6..8 => self.id("h", 3),
            _ => self.id("p", 3),
        }
    }

    fn own(&mut self) -> Both<Value> {
        if chance(&mut self.dice, 10) && !self.repeatable.is_empty() {
            return one_of(&mut self.dice, &self.repeatable);
        }
        if chance(&mut self.dice, 6) {
            let broadcast =
                json!({"type": "BROADCAST", "payload": random::document(&mut self.dice)});
            return [broadcast.clone(), broadcast];
        }
        let mut requests = match chance(&mut self.dice, 15) {
            false => self.own_command(),
            true => {
                let count = 2 + self.dice.below(2);
                let commands: Vec<_> = (0..count).map(|_| self.own_command()).collect();
                [0, 1].map(|side| {
                    let commands: Vec<&Value> = commands.iter().map(|both| &both[side]).collect();
                    json!({"type": "BATCH", "payload": {"commands": commands}})
                })
            }
        };
        let is_named = chance(&mut self.dice, 40);
        if is_named {
            let id = match self.command_ids.is_empty() || chance(&mut self.dice, 50) {
                true => format!("{}own{}", self.prefix, self.dice.next()),
                false => {
                    let at = self.dice.below(self.command_ids.len() as u64);
                    self.command_ids.swap_remove(at)
                }
            };
            for request in &mut requests {
                request["commandId"] = json!(id);
            }
        }
        let done = [0, 1].map(|side| self.worlds[side].carry_out(self.grant, &requests[side]));
        if is_named && done[0].is_some() {
            self.repeatable.push(requests.clone());
        }
        let touched = done.iter().flatten().flatten();
        let is_same = touched
            .map(|step| &step.id)
            .all(|id| self.looks_same(&self.worlds, id));
        self.has_diverged = !is_same || done[0].is_some() != done[1].is_some();
        requests
    }

    fn own_command(&mut self) -> Both<Value> {
        let kind = self.dice.below(10);
        let id = match kind {
            // That an id is taken is told.
            0..3 if chance(&mut self.dice, 60) => self.id("p", 3),
            0..3 => self.id("e", 6),
            _ => self.some_id(),
        };
        match kind {
            0..3 => {
                let mut document = random::document(&mut self.dice);
                if chance(&mut self.dice, 80) {
                    // Most roles refuse what sets a hidden field.
                    let left = stripped(&Value::Object(document), &self.principal.hidden);
                    document = left.as_object().unwrap().clone();
                }
                document.insert("_id".to_owned(), json!(id));
                let create = json!({"type": "CREATE", "payload": document});
                [create.clone(), create]
            }
            3..7 => {
                let mut update = random::update(&mut self.dice);
                if chance(&mut self.dice, 10) {
                    update = self.with_hidden_set(update);
                }
                update.insert("id".to_owned(), json!(id));
                let update = json!({"type": "UPDATE", "payload": update});
                self.expecting(&id, update)
            }
            7 => {
                let delete = json!({"type": "DELETE", "payload": {"id": id}});
                self.expecting(&id, delete)
            }
            _ => self.restore(id),
        }
    }

    fn patch(&mut self) -> Action {
        let id = self.some_id();
        let title = json!({"title": one_of(&mut self.dice, &["a", "b", "c"])});
        let update = json!({"type": "UPDATE", "payload": {"id": id, "updateData": title}});
        let wrong = self.dice.below(2) as u64;
        let versions = [0, 1].map(|side| match self.is_seen(side, &id) {
            true => self.worlds[side].version(&id) + wrong,
            false => 1,
        });
        for side in [0, 1] {
            let mut update = update.clone();
            update["payload"]["expectedVersion"] = json!(versions[side]);
            self.worlds[side].carry_out(self.grant, &update);
        }
        Action::Patch(id, versions, title)
    }

    fn restore(&mut self, id: String) -> Both<Value> {
        let (id, versions) = match chance(&mut self.dice, 70) && !self.versions.is_empty() {
            true => one_of(&mut self.dice, &self.versions),
            false => (id, [1, 1]),
        };
        // The first version of what is seen now may have been another's: it is told by no version.
        let is_known = self
            .versions
            .iter()
            .any(|(known, at)| *known == id && *at == versions);
        let versions = match is_known || self.is_secret(&id) {
            true => versions,
            false => [99, 99],
        };
        versions
            .map(|version| json!({"type": "RESTORE", "payload": {"id": id, "version": version}}))
    }

    /// Some commands are for one version alone: the one that there is, or one that there is not.
    fn expecting(&mut self, id: &str, command: Value) -> Both<Value> {
        let wrong = match self.dice.below(4) {
            0 => 0,
            1 => 1,
            _ => return [command.clone(), command],
        };
        [0, 1].map(|side| {
            let mut command = command.clone();
            let version = match self.is_seen(side, id) {
                true => self.worlds[side].version(id) + wrong,
                false => 1,
            };
            command["payload"]["expectedVersion"] = json!(version);
            command
        })
    }

    fn fetch(&mut self) -> Action {
        let mut payload = random::fetch(&mut self.dice);
        if chance(&mut self.dice, 25) {
            let marks = one_of(&mut self.dice, &self.marks);
            return Action::Pages(marks.map(|mark| {
                payload.insert("at".to_owned(), json!(mark));
                json!({"type": "FETCH", "payload": payload})
            }));
        }
        Action::Pages(self.heads().map(|head| {
            payload.insert("minSeq".to_owned(), json!(head));
            json!({"type": "FETCH", "payload": payload})
        }))
    }

    fn list(&mut self) -> Action {
        let mut payload = random::fetch(&mut self.dice);
        if chance(&mut self.dice, 50) {
            payload.insert("count".to_owned(), json!(true));
        }
        payload.insert("sub".to_owned(), json!("list"));
        Action::List(self.heads().map(|head| {
            payload.insert("minSeq".to_owned(), json!(head));
            json!({"type": "SUBSCRIBE", "payload": payload})
        }))
    }

    fn log(&mut self) -> Action {
        let mut asked = Map::new();
        asked.insert("filter".to_owned(), random::question(&mut self.dice));
        if chance(&mut self.dice, 30) {
            asked.insert("fields".to_owned(), random::fields(&mut self.dice));
        }
        Action::Log(one_of(&mut self.dice, &self.marks), asked)
    }

    fn subscribe(&mut self, has_snapshot: bool) -> Action {
        let filter = match has_snapshot {
            true => json!({}),
            false => random::question(&mut self.dice),
        };
        self.subscription(&json!({"snapshot": has_snapshot, "filter": filter}), None)
    }

    fn resubscribe(&mut self) -> Action {
        let mode = one_of(&mut self.dice, &["all", "latest", "latest"]);
        let mark = one_of(&mut self.dice, &self.marks);
        self.resume(mode, mark)
    }

    fn resume(&mut self, mode: &str, after: Both<u64>) -> Action {
        let mut payload = json!({"mode": mode, "filter": random::question(&mut self.dice)});
        if chance(&mut self.dice, 30) {
            payload["fields"] = random::fields(&mut self.dice);
        }
        self.subscription(&payload, Some(after))
    }

    fn subscription(&mut self, payload: &Value, after: Option<Both<u64>>) -> Action {
        self.subs += 1;
        let heads = self.heads();
        Action::Own([0, 1].map(|side| {
            let mut payload = payload.clone();
            payload["sub"] = json!(format!(
                "{}{}",
                payload["mode"].as_str().unwrap_or("now"),
                self.subs
            ));
            payload["minSeq"] = json!(heads[side]);
            if let Some(after) = after {
                payload["after"] = json!(after[side]);
            }
            json!({"type": "SUBSCRIBE", "payload": payload})
        }))
    }
}
