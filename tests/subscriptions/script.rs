//! What random histories are made of: few events, few fields, few values, so that filters meet them.

use serde_json::{Value, json};

use crate::support::dice::Dice;

/// The event that ends it all: every filter admits it.
pub(super) const END: &str = "end";

/// Its fields: every value that a filter asks for.
pub(super) fn end() -> Value {
    json!({"_id": END, "s": ["a", "b", "c"], "n": [0, 1, 2, 3], "b": [true, false],
           "deep": {"n": [0, 1, 2]}})
}

fn one<T: Clone>(dice: &mut Dice, of: &[T]) -> T {
    of[dice.below(of.len() as u64)].clone()
}

fn text(dice: &mut Dice) -> Value {
    json!(one(dice, &["a", "b", "c"]))
}

fn amount(dice: &mut Dice) -> Value {
    one(
        dice,
        &[
            json!(0),
            json!(1),
            json!(1.0),
            json!(2),
            json!(2.5),
            json!(3),
            json!("1"),
        ],
    )
}

/// A filter that admits the event which ends it all, and some others.
pub(super) fn filter(dice: &mut Dice) -> Value {
    let (s, n) = (text(dice), json!(dice.below(3)));
    match dice.below(11) {
        0 => json!({}),
        1 | 2 => json!({"s": s}),
        3 => json!({"n": n}),
        4 => json!({"b": dice.below(2) == 0}),
        5 => json!({"s": {"$in": [s, "c"]}}),
        6 => json!({"n": {"$gt": n}}),
        7 => json!({"$or": [{"s": s}, {"n": n}]}),
        8 => json!({"s": s, "b": true}),
        9 => json!({"deep.n": n}),
        _ => json!({"_id": {"$in": ["e1", "e2", END]}}),
    }
}

/// `None` is all of them.
pub(super) fn fields(dice: &mut Dice) -> Option<Vec<&'static str>> {
    let some: [&[&str]; 7] = [
        &["s"],
        &["deep.n"],
        &["deep.n", "n"],
        &["list.k"],
        &["s", "list"],
        &["_version", "deep.t"],
        &[],
    ];
    (dice.below(2) == 0).then(|| one(dice, &some).to_vec())
}

/// A command on one of few events, or several together.
pub(super) fn write(dice: &mut Dice) -> Value {
    if dice.below(8) > 0 {
        return command(dice);
    }
    let commands: Vec<Value> = (0..2 + dice.below(4)).map(|_| command(dice)).collect();
    json!({"type": "BATCH", "payload": {"commands": commands}})
}

/// On an event which may be there or not.
fn command(dice: &mut Dice) -> Value {
    let id = format!("e{}", dice.below(8));
    match dice.below(10) {
        0..3 => {
            let mut event = content(dice, &["s", "n", "b", "deep", "list"]);
            event["_id"] = json!(id);
            json!({"type": "CREATE", "payload": event})
        }
        3 => json!({"type": "DELETE", "payload": {"id": id}}),
        _ => {
            let mut data = content(
                dice,
                &["s", "n", "b", "deep.n", "deep.t", "list", "list.0.k"],
            );
            // Paths of one update may not overlap.
            if data.get("list").is_some() {
                data.as_object_mut().unwrap().remove("list.0.k");
            }
            data["touched"] = json!(dice.below(1_000));
            json!({"type": "UPDATE", "payload": {"id": id, "updateData": data}})
        }
    }
}

/// Values for some of these fields.
fn content(dice: &mut Dice, names: &[&str]) -> Value {
    let mut content = json!({});
    for name in names {
        if dice.below(2) == 0 {
            content[*name] = match *name {
                "s" => text(dice),
                "b" => json!(dice.below(2) == 0),
                "deep" => json!({"n": amount(dice)}),
                "list" => json!([{"k": amount(dice), "l": 1}, 5, {"l": amount(dice)}]),
                _ => amount(dice),
            };
        }
    }
    content
}
