//! Random commands, many at once, against a model that holds all of them in its head.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::{UNIQUE, restarted, session};
use crate::support::dice::{Dice, number};
use crate::support::{Server, on_every_store};

on_every_store!(commands_do_what_the_model_says);

/// Commands that are sent together, and how often.
const TOGETHER: usize = 25;
const ROUNDS: usize = 40;

const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Debug, Clone, Default)]
struct Model {
    now: BTreeMap<String, Map<String, Value>>,
    versions: HashMap<String, u64>,
    past: HashMap<(String, u64), Map<String, Value>>,
}

/// What two events must not hold both, of both indexes.
fn held(fields: &Map<String, Value>) -> HashSet<String> {
    let values = |name: &str| -> Vec<String> {
        let items = match fields.get(name) {
            Some(Value::Array(items)) => items.clone(),
            Some(value) => vec![value.clone()],
            None => Vec::new(),
        };
        let text = |value: &Value| match value.as_f64() {
            Some(number) => number.to_string(),
            None => value.to_string(),
        };
        items
            .iter()
            .filter(|item| !item.is_null())
            .map(text)
            .collect()
    };
    let mut held: HashSet<String> = values("email").into_iter().collect();
    for tenant in values("tenant") {
        held.extend(values("n").iter().map(|n| format!("{tenant} and {n}")));
    }
    held
}

fn has_array_within(fields: &Map<String, Value>) -> bool {
    let items = fields.get("email").and_then(Value::as_array);
    items.is_some_and(|items| items.iter().any(Value::is_array))
}

impl Model {
    /// Does all, or says with which code none is done.
    fn carry_out(&mut self, commands: &[Value]) -> Result<(), &'static str> {
        let mut next = self.clone();
        for command in commands {
            next.apply(command["type"].as_str().unwrap(), &command["payload"])?;
        }
        if next.now.values().any(has_array_within) {
            return Err("not_indexable");
        }
        let mut all = HashSet::new();
        let mut every = next.now.values().flat_map(held);
        match every.all(|value| all.insert(value)) {
            true => {
                *self = next;
                Ok(())
            }
            false => Err("not_unique"),
        }
    }

    fn apply(&mut self, kind: &str, payload: &Value) -> Result<(), &'static str> {
        let id = payload.get("_id").or(payload.get("id")).unwrap();
        let id = id.as_str().unwrap().to_owned();
        let current = self.now.get(&id).cloned();
        let new = match (kind, current) {
            ("CREATE", Some(_)) => return Err("already_exists"),
            ("CREATE", None) => {
                let mut fields = payload.as_object().unwrap().clone();
                fields.remove("_id");
                Some(fields)
            }
            ("RESTORE", _) => {
                let version = payload["version"].as_u64().unwrap();
                let past = self.past.get(&(id.clone(), version));
                Some(past.cloned().ok_or("not_found")?)
            }
            (_, None) => return Err("not_found"),
            ("DELETE", Some(_)) => None,
            (_, Some(fields)) => Some(updated(fields, &payload["updateData"])?),
        };
        let version = self.versions.entry(id.clone()).or_default();
        *version += 1;
        match new {
            None => drop(self.now.remove(&id)),
            Some(fields) => {
                self.past.insert((id.clone(), *version), fields.clone());
                self.now.insert(id, fields);
            }
        }
        Ok(())
    }
}

fn updated(
    mut fields: Map<String, Value>,
    data: &Value,
) -> Result<Map<String, Value>, &'static str> {
    for (name, operand) in data.as_object().unwrap() {
        match name.as_str() {
            "$unset" => drop(fields.remove("email")),
            "$push" => {
                let list = fields.entry("email").or_insert_with(|| json!([]));
                list.as_array_mut()
                    .ok_or("does_not_fit")?
                    .push(operand["email"].clone());
            }
            _ => drop(fields.insert(name.clone(), operand.clone())),
        }
    }
    Ok(fields)
}

fn random_value(dice: &mut Dice) -> Value {
    let values = json!(["u", "v", "w", 1, 1.0, 2, {"x": 1}, null, [], ["u", "x"], [1, "y", null], ["v", "v"]]);
    values[dice.below(12)].clone()
}

fn random_command(dice: &mut Dice, model: &Model) -> Value {
    let id = IDS[dice.below(5)];
    let mut fields = json!({});
    if dice.below(4) > 0 {
        fields["email"] = random_value(dice);
    }
    if dice.below(2) > 0 {
        fields["tenant"] = json!(["S", "T"][dice.below(2)]);
        fields["n"] = random_value(dice);
    }
    match dice.below(10) {
        0..4 => {
            fields["_id"] = json!(id);
            json!({"type": "CREATE", "payload": fields})
        }
        4..6 => {
            fields["seen"] = json!(true);
            json!({"type": "UPDATE", "payload": {"id": id, "updateData": fields}})
        }
        6 => {
            json!({"type": "UPDATE", "payload": {"id": id, "updateData": {"$unset": {"email": true}}}})
        }
        7 => {
            json!({"type": "UPDATE", "payload": {"id": id, "updateData": {"$push": {"email": random_value(dice)}}}})
        }
        8 => {
            let last = model.versions.get(id).copied().unwrap_or(0);
            let version = 1 + dice.below(last + 1);
            json!({"type": "RESTORE", "payload": {"id": id, "version": version}})
        }
        _ => json!({"type": "DELETE", "payload": {"id": id}}),
    }
}

async fn commands_do_what_the_model_says(server: Server) {
    let seed =
        number("LIVELOG_UNIQUE_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("LIVELOG_UNIQUE_SEED={seed:#x}");
    let mut dice = Dice::new(seed, 0);
    let server = restarted(server, &UNIQUE).await;
    let mut client = session(&server).await;
    let mut model = Model::default();
    let mut codes: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut expected = Vec::new();
        let mut frames = Vec::new();
        for _ in 0..TOGETHER {
            let count = if dice.below(4) == 0 {
                1 + dice.below(4)
            } else {
                1
            };
            let commands: Vec<Value> = (0..count)
                .map(|_| random_command(&mut dice, &model))
                .collect();
            frames.push(match count {
                1 => commands[0].clone(),
                _ => json!({"type": "BATCH", "payload": {"commands": commands}}),
            });
            expected.push(model.carry_out(&commands));
        }
        client.send_all(frames.clone()).await;
        for (frame, expected) in frames.iter().zip(expected) {
            let answer = client.answer().await;
            // What cannot be kept is another matter.
            let code = answer["error"]["code"].as_str().unwrap_or("done");
            assert_eq!(code, expected.err().unwrap_or("done"), "{frame}: {answer}");
            *codes.entry(code.to_owned()).or_default() += 1;
        }
    }
    println!("{codes:?}");
    assert!(codes["done"] > 50 && codes["not_unique"] > 50, "{codes:?}");
    let (_, all) = server.get("/api/events", &[]).await;
    let mut now = BTreeMap::new();
    for event in all["data"].as_array().unwrap() {
        let fields = event.as_object().unwrap().iter();
        let fields = fields.filter(|(name, _)| !name.starts_with('_'));
        let id = event["_id"].as_str().unwrap().to_owned();
        now.insert(
            id,
            fields
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect::<Map<_, _>>(),
        );
    }
    assert_eq!(json!(now), json!(model.now));
    let (code, said) = server.stop().await.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}
