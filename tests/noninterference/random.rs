//! Rules, documents, updates and questions by chance.

use serde_json::{Map, Value, json};

use crate::support::dice::Dice;

pub const NAMES: [&str; 3] = ["ann", "bob", "eve"];
pub const TEAMS: [&str; 3] = ["red", "blue", "green"];

pub fn one_of<T: Clone>(dice: &mut Dice, items: &[T]) -> T {
    items[dice.below(items.len() as u64)].clone()
}

pub fn chance(dice: &mut Dice, percent: u64) -> bool {
    dice.next() % 100 < percent
}

/// Claims of a token, some of them missing or of another type than the rules expect.
pub fn claims(dice: &mut Dice) -> Value {
    let mut claims = json!({"user": one_of(dice, &NAMES), "lvl": dice.below(4)});
    let mut teams: Vec<&str> = TEAMS.to_vec();
    dice.shuffle(&mut teams);
    teams.truncate(dice.below(3));
    claims["teams"] = json!(teams);
    let wrong = [
        json!(null),
        json!({"a": 1}),
        json!(["ann", ["red"]]),
        json!([null]),
        json!("red"),
        json!(["ann"]),
        json!(7),
    ];
    for name in ["user", "teams", "lvl"] {
        match dice.below(10) {
            0 => drop(claims.as_object_mut().unwrap().remove(name)),
            1 => claims[name] = one_of(dice, &wrong),
            _ => {}
        }
    }
    claims
}

fn condition(dice: &mut Dice) -> Value {
    let level = dice.below(4);
    let user = json!({"$claim": "user"});
    let teams = json!({"$claim": "teams"});
    let conditions = [
        json!({"public": true}),
        json!({"public": true}),
        json!({"owner": user}),
        json!({"owner": user}),
        json!({"owner": {"$ne": user}}),
        json!({"owner": {"$not": {"$eq": user}}}),
        json!({"owner": {"$in": NAMES[..2]}}),
        json!({"team": one_of(dice, &TEAMS)}),
        json!({"team": {"$in": teams}}),
        json!({"team": {"$nin": teams}}),
        json!({"level": {"$lt": level}}),
        json!({"level": {"$gte": {"$claim": "lvl"}}}),
        json!({"level": {"$exists": chance(dice, 50)}}),
        json!({"public": {"$exists": true}, "level": {"$gt": level}}),
        json!({"items": {"$elemMatch": {"price": {"$gt": level}}}}),
        json!({"box.deep.c": level}),
    ];
    one_of(dice, &conditions)
}

fn filter(dice: &mut Dice, depth: usize) -> Value {
    if depth == 0 || chance(dice, 35) {
        return condition(dice);
    }
    let count = 1 + dice.below(3);
    let filters: Vec<Value> = (0..count).map(|_| filter(dice, depth - 1)).collect();
    let name = one_of(dice, &["$or", "$or", "$or", "$and", "$nor"]);
    let mut whole = json!({name: filters});
    if chance(dice, 15) {
        let beside = condition(dice);
        whole
            .as_object_mut()
            .unwrap()
            .extend(beside.as_object().unwrap().clone());
    }
    whole
}

/// What is read: seldom everything or nothing.
pub fn rule(dice: &mut Dice) -> Value {
    match dice.below(20) {
        0 => json!(false),
        1 => json!(true),
        _ => filter(dice, 3),
    }
}

/// What is written: often everything, so that much is written.
fn write_rule(dice: &mut Dice) -> Value {
    match dice.below(4) {
        0 => filter(dice, 2),
        _ => json!(true),
    }
}

const HIDE: [&str; 9] = [
    "secret",
    "note",
    "box.a",
    "box.deep",
    "box.deep.c",
    "items.price",
    "level",
    "team",
    "box",
];

pub fn hidden(dice: &mut Dice) -> Vec<String> {
    let mut hidden: Vec<String> = Vec::new();
    let count = dice.below(4);
    for _ in 0..count {
        let path = one_of(dice, &HIDE).to_owned();
        let dotted = |path: &str| format!("{path}.");
        let overlaps = |known: &String| {
            dotted(known).starts_with(&dotted(&path)) || dotted(&path).starts_with(&dotted(known))
        };
        if !hidden.iter().any(overlaps) {
            hidden.push(path);
        }
    }
    hidden
}

pub fn role(dice: &mut Dice, read: &Value, hidden: &[String], hear: &Value) -> Value {
    let mut role = json!({
        "read": read,
        "hide": hidden,
        "create": {"after": write_rule(dice)},
        "update": {"before": write_rule(dice), "after": write_rule(dice)},
        "delete": {"before": write_rule(dice)},
        "broadcast": {"send": true, "hear": hear},
        "past": one_of(dice, &["none", "seen", "all"]),
    });
    if chance(dice, 25) {
        role["authors"] = json!(true);
    }
    if chance(dice, 25) {
        role["set"] = json!({"owner": {"$claim": "user"}});
    }
    if chance(dice, 20) {
        role["update"]["never"] = json!(["n"]);
    }
    if chance(dice, 10) {
        role["update"]["only"] = json!(["title", "n", "public", "owner"]);
    }
    role
}

/// Which broadcasts are heard.
pub fn hear(dice: &mut Dice) -> Value {
    let rules = [
        json!(true),
        json!(false),
        json!({"team": {"$in": {"$claim": "teams"}}}),
        json!({"$or": [{"public": true}, {"owner": {"$claim": "user"}}]}),
        json!({"owner": {"$ne": {"$claim": "user"}}}),
    ];
    one_of(dice, &rules)
}

fn secret(dice: &mut Dice) -> Value {
    let level = dice.below(4);
    one_of(
        dice,
        &[
            json!(level),
            json!("s"),
            json!({"x": level}),
            json!([level]),
            json!(null),
        ],
    )
}

fn item(dice: &mut Dice) -> Value {
    let mut item = json!({"name": one_of(dice, &["x", "y"])});
    if chance(dice, 80) {
        item["price"] = json!(dice.below(4));
    }
    match dice.below(8) {
        0 => json!([item]),
        1 => json!("x"),
        _ => item,
    }
}

fn items(dice: &mut Dice) -> Value {
    let count = dice.below(3);
    (0..count).map(|_| item(dice)).collect()
}

/// The value of a field.
pub fn value_of(dice: &mut Dice, path: &str) -> Value {
    let level = dice.below(4);
    match path {
        "owner" => json!(one_of(dice, &NAMES)),
        "team" if chance(dice, 40) => json!([one_of(dice, &TEAMS), "red"]),
        "team" => json!(one_of(dice, &TEAMS)),
        "public" => json!(chance(dice, 50)),
        "title" => json!(one_of(dice, &["a", "b", "c"])),
        "box" => json!({"a": level, "b": dice.below(2), "deep": {"c": dice.below(4)}}),
        "box.deep" => json!({"c": level, "d": 1}),
        "items" => items(dice),
        "secret" | "note" => secret(dice),
        _ => json!(level),
    }
}

const FIELDS: [&str; 9] = [
    "owner", "team", "public", "level", "title", "n", "box", "items", "secret",
];

pub fn document(dice: &mut Dice) -> Map<String, Value> {
    let mut document = Map::new();
    for name in FIELDS {
        if chance(dice, 75) {
            document.insert(name.to_owned(), value_of(dice, name));
        }
    }
    document
}

/// The payload of an UPDATE of one event, without its id.
pub fn update(dice: &mut Dice) -> Map<String, Value> {
    let paths = [
        "owner",
        "team",
        "public",
        "level",
        "title",
        "title",
        "n",
        "box",
        "box.b",
        "items",
        "items.0.name",
        "items.0",
    ];
    let path = one_of(dice, &paths);
    let value = match path {
        "items.0.name" => json!("z"),
        "items.0" => item(dice),
        path => value_of(dice, path),
    };
    let update = match dice.below(8) {
        0 => json!({"updateData": {"$unset": {path: true}}}),
        1 => json!({"updateData": {"$inc": {"n": 1}}}),
        2 => json!({"updateData": {"$push": {"items": item(dice)}}}),
        3 => json!({"mergePatch": {"title": "m", "box": {"b": dice.below(2)}}}),
        4 => json!({"mergePatch": {"box": null, "owner": one_of(dice, &NAMES)}}),
        5 => json!({"updateData": {path: value, "title": one_of(dice, &["a", "b"])}}),
        _ => json!({"updateData": {path: value}}),
    };
    update.as_object().unwrap().clone()
}

/// The paths under what is hidden, as they are in these documents.
pub fn hidden_path(dice: &mut Dice, hidden: &[String]) -> Option<String> {
    if hidden.is_empty() {
        return None;
    }
    let path = one_of(dice, hidden);
    Some(match path.as_str() {
        "items.price" => "items.0.price".to_owned(),
        "box.deep" if chance(dice, 50) => "box.deep.c".to_owned(),
        "box" if chance(dice, 50) => "box.b".to_owned(),
        _ => path,
    })
}

/// What a reader asks for; some of it is hidden from some.
pub fn question(dice: &mut Dice) -> Value {
    let level = dice.below(4);
    let questions = [
        json!({}),
        json!({}),
        json!({"public": true}),
        json!({"owner": one_of(dice, &NAMES)}),
        json!({"title": {"$in": ["a", "b"]}}),
        json!({"level": {"$lte": level}}),
        json!({"secret": level}),
        json!({"secret": {"$exists": false}}),
        json!({"items.name": "x"}),
        json!({"items": {"$elemMatch": {"price": {"$gt": 1}}}}),
        json!({"items.price": {"$gte": level}}),
        json!({"box.deep.c": {"$ne": level}}),
        json!({"$or": [{"title": "a"}, {"n": {"$gt": 1}}]}),
        json!({"$nor": [{"title": "a"}, {"team": "red"}]}),
    ];
    one_of(dice, &questions)
}

/// A FETCH's payload.
pub fn fetch(dice: &mut Dice) -> Map<String, Value> {
    let mut payload = json!({"filter": question(dice), "limit": 1 + dice.below(4)});
    if chance(dice, 50) {
        let sort = [
            json!({"title": 1}),
            json!({"n": -1, "title": 1}),
            json!({"level": 1}),
            json!({"secret": 1}),
            json!({"_id": -1}),
            json!({"items.price": 1}),
        ];
        payload["sort"] = one_of(dice, &sort);
    }
    if chance(dice, 30) {
        payload["fields"] = fields(dice);
    }
    if chance(dice, 50) {
        payload["count"] = json!(true);
    }
    payload.as_object().unwrap().clone()
}

pub fn fields(dice: &mut Dice) -> Value {
    let fields = [
        json!(["title", "owner"]),
        json!(["box.b", "items.name"]),
        json!(["secret"]),
        json!(["box"]),
        json!(["level", "title"]),
    ];
    one_of(dice, &fields)
}
