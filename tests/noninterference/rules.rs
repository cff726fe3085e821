//! What rules mean, said a second time: an interpreter of access rules that knows nothing of livelog's.
//!
//! It takes what the generator makes: equality, `$in`, `$nin`, `$ne`, comparisons, `$exists`, `$not`, `$elemMatch`, and
//! `$and`, `$or`, `$nor`, with claims in them.

use serde_json::{Map, Value, json};

/// Why a condition is false: this one alone, or its whole rule.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Here,
    Everywhere,
}

/// Whether somebody with these claims sees, or may make, this document.
pub fn holds(rule: &Value, claims: &Value, document: &Value) -> bool {
    match rule {
        Value::Bool(all) => *all,
        _ => fill(rule, claims, true).is_ok_and(|filter| matches(&filter, document)),
    }
}

fn claim<'a>(value: &'a Value, claims: &'a Value) -> Option<Option<&'a Value>> {
    let name = value.as_object()?.get("$claim")?.as_str()?;
    Some(claims.get(name))
}

fn is_scalar(value: &Value) -> bool {
    value.is_boolean() || value.is_number() || value.is_string()
}

fn missing(is_positive: bool) -> Missing {
    match is_positive {
        true => Missing::Here,
        false => Missing::Everywhere,
    }
}

fn fill(filter: &Value, claims: &Value, is_positive: bool) -> Result<Value, Missing> {
    let mut filled = Map::new();
    for (name, condition) in filter.as_object().unwrap() {
        let condition = match name.as_str() {
            "$and" => all(condition, claims, is_positive)?,
            "$nor" => all(condition, claims, false)?,
            "$or" => any(condition, claims, is_positive)?,
            _ => test(condition, claims, is_positive)?,
        };
        filled.insert(name.clone(), condition);
    }
    Ok(Value::Object(filled))
}

fn all(filters: &Value, claims: &Value, is_positive: bool) -> Result<Value, Missing> {
    let filters = filters.as_array().unwrap().iter();
    filters
        .map(|filter| fill(filter, claims, is_positive))
        .collect()
}

fn any(filters: &Value, claims: &Value, is_positive: bool) -> Result<Value, Missing> {
    let mut left = Vec::new();
    for filter in filters.as_array().unwrap() {
        match fill(filter, claims, is_positive) {
            Ok(filter) => left.push(filter),
            Err(Missing::Here) => {}
            Err(Missing::Everywhere) => return Err(Missing::Everywhere),
        }
    }
    match left.is_empty() {
        true => Err(missing(is_positive)),
        false => Ok(left.into()),
    }
}

fn test(condition: &Value, claims: &Value, is_positive: bool) -> Result<Value, Missing> {
    if let Some(found) = claim(condition, claims) {
        let found = found.filter(|value| is_scalar(value));
        return found.cloned().ok_or(missing(is_positive));
    }
    if !has_operators(condition) {
        return Ok(condition.clone());
    }
    let mut filled = Map::new();
    for (name, operand) in condition.as_object().unwrap() {
        let is_list = ["$in", "$nin"].contains(&name.as_str());
        let is_positive = is_positive && !["$ne", "$nin", "$not"].contains(&name.as_str());
        let operand = match claim(operand, claims) {
            Some(found) if is_list => {
                let list = found.filter(|list| {
                    list.as_array()
                        .is_some_and(|items| items.iter().all(is_scalar))
                });
                list.cloned().ok_or(missing(is_positive))?
            }
            _ if name == "$elemMatch" => fill(operand, claims, is_positive)?,
            _ if is_list => operand.clone(),
            _ => test(operand, claims, is_positive)?,
        };
        filled.insert(name.clone(), operand);
    }
    Ok(Value::Object(filled))
}

fn has_operators(condition: &Value) -> bool {
    let names = condition.as_object().map(Map::keys);
    names.is_some_and(|mut names| names.any(|name| name.starts_with('$')))
}

/// Whether a filter without claims matches.
pub fn matches(filter: &Value, document: &Value) -> bool {
    let each = |filters: &Value| -> Vec<bool> {
        let filters = filters.as_array().unwrap().iter();
        filters.map(|filter| matches(filter, document)).collect()
    };
    filter
        .as_object()
        .unwrap()
        .iter()
        .all(|(name, condition)| match name.as_str() {
            "$and" => each(condition).into_iter().all(|holds| holds),
            "$or" => each(condition).into_iter().any(|holds| holds),
            "$nor" => !each(condition).into_iter().any(|holds| holds),
            path => {
                let mut found = Vec::new();
                leaves(document, &path.split('.').collect::<Vec<_>>(), &mut found);
                field(condition, &found)
            }
        })
}

fn field(condition: &Value, found: &[&Value]) -> bool {
    if !has_operators(condition) {
        return equals(found, condition);
    }
    condition
        .as_object()
        .unwrap()
        .iter()
        .all(|(operator, operand)| match operator.as_str() {
            "$eq" => equals(found, operand),
            "$ne" => !equals(found, operand),
            "$in" => operand
                .as_array()
                .unwrap()
                .iter()
                .any(|value| equals(found, value)),
            "$nin" => !operand
                .as_array()
                .unwrap()
                .iter()
                .any(|value| equals(found, value)),
            "$exists" => operand.as_bool().unwrap() != found.is_empty(),
            "$not" => !field(operand, found),
            "$elemMatch" => {
                let mut items = found.iter().filter_map(|value| value.as_array()).flatten();
                items.any(|item| item.is_object() && matches(operand, item))
            }
            _ => expanded(found).any(|value| compares(operator, value, operand)),
        })
}

/// What is there, and the elements of what is an array.
fn expanded<'a>(found: &'a [&'a Value]) -> impl Iterator<Item = &'a Value> {
    found.iter().flat_map(|value| {
        let items = value.as_array().into_iter().flatten();
        std::iter::once(*value).chain(items)
    })
}

fn equals(found: &[&Value], wanted: &Value) -> bool {
    expanded(found).any(|value| value == wanted)
}

fn compares(operator: &str, value: &Value, bound: &Value) -> bool {
    let order = match (
        value.as_i64().zip(bound.as_i64()),
        value.as_str().zip(bound.as_str()),
    ) {
        (Some((value, bound)), _) => value.cmp(&bound),
        (_, Some((value, bound))) => value.cmp(bound),
        _ => return false,
    };
    match operator {
        "$gt" => order.is_gt(),
        "$gte" => order.is_ge(),
        "$lt" => order.is_lt(),
        "$lte" => order.is_le(),
        other => panic!("the generator makes no {other}"),
    }
}

/// What a path leads to: in each object of an array, but not in arrays of arrays.
fn leaves<'a>(value: &'a Value, path: &[&str], found: &mut Vec<&'a Value>) {
    let Some((name, beyond)) = path.split_first() else {
        found.push(value);
        return;
    };
    match value {
        Value::Object(fields) => {
            if let Some(value) = fields.get(*name) {
                leaves(value, beyond, found);
            }
        }
        Value::Array(items) => {
            for item in items.iter().filter(|item| item.is_object()) {
                leaves(item, path, found);
            }
        }
        _ => {}
    }
}

/// A document without hidden fields, which are also those of each object in an array of whatever depth.
pub fn stripped(document: &Value, hidden: &[String]) -> Value {
    let mut left = document.clone();
    for path in hidden {
        strip(&mut left, &path.split('.').collect::<Vec<_>>());
    }
    left
}

fn strip(value: &mut Value, path: &[&str]) {
    match value {
        Value::Object(fields) if path.len() == 1 => drop(fields.remove(path[0])),
        Value::Object(fields) => {
            if let Some(value) = fields.get_mut(path[0]) {
                strip(value, &path[1..]);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strip(item, path)),
        _ => {}
    }
}

/// The first names of the fields that a rule asks for.
pub fn names_in(rule: &Value, names: &mut Vec<String>) {
    for (name, condition) in rule.as_object().into_iter().flatten() {
        match name.as_str() {
            "$and" | "$or" | "$nor" => {
                for rule in condition.as_array().unwrap() {
                    names_in(rule, names);
                }
            }
            path => names.push(path.split('.').next().unwrap().to_owned()),
        }
    }
}

#[test]
fn the_interpreter_means_what_the_manual_says() {
    let claims = json!({"user": "ann", "teams": ["red"], "none": null});
    let document = json!({"owner": "ann", "team": ["red", "blue"], "items": [{"price": 3}]});
    for (rule, expected) in [
        (json!({"owner": {"$claim": "user"}}), true),
        (json!({"owner": {"$claim": "gone"}}), false),
        (json!({"owner": {"$ne": {"$claim": "gone"}}}), false),
        (json!({"$nor": [{"owner": {"$claim": "none"}}]}), false),
        (
            json!({"$or": [{"owner": {"$claim": "gone"}}, {"team": "blue"}]}),
            true,
        ),
        (
            json!({"$or": [{"owner": {"$nin": {"$claim": "gone"}}}, {"team": "blue"}]}),
            false,
        ),
        (json!({"team": {"$in": {"$claim": "teams"}}}), true),
        (json!({"team": {"$in": {"$claim": "user"}}}), false),
        (json!({"items.price": {"$gt": 2}}), true),
        (
            json!({"items": {"$elemMatch": {"price": {"$not": {"$gt": 2}}}}}),
            false,
        ),
    ] {
        assert_eq!(holds(&rule, &claims, &document), expected, "{rule}");
    }
    let left = stripped(&document, &["items.price".to_owned(), "owner".to_owned()]);
    assert_eq!(left, json!({"team": ["red", "blue"], "items": [{}]}));
}
