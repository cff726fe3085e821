//! What a subscription has to be told, worked out from the log alone, by code that shares nothing with the
//! server: few kinds of filter, read naively.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::support::subscriber::seq;
use crate::support::{Server, Subscriber};

/// One entry of the log, with its event before and after.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) change: Value,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// Events by id.
pub(crate) type View = BTreeMap<String, Value>;

/// The log up to `last`, as the server itself tells it to a session that wants everything.
pub(crate) async fn log(server: &Server, last: u64) -> Vec<Entry> {
    let mut reader = server.connect("/ws?after=0").await;
    let mut view = BTreeMap::new();
    let changes = reader.changes_through(last).await;
    changes
        .into_iter()
        .map(|change| {
            let id = change["eventId"].as_str().unwrap().to_owned();
            let after = change.get("data").cloned();
            let before = match &after {
                Some(event) => view.insert(id, event.clone()),
                None => view.remove(&id),
            };
            Entry {
                change,
                before,
                after,
            }
        })
        .collect()
}

/// The events after the change `last`, by id.
pub(crate) fn view(log: &[Entry], last: u64) -> View {
    let mut view = BTreeMap::new();
    for entry in log.iter().take_while(|entry| seq(&entry.change) <= last) {
        let id = entry.change["eventId"].as_str().unwrap().to_owned();
        match &entry.after {
            Some(event) => view.insert(id, event.clone()),
            None => view.remove(&id),
        };
    }
    view
}

/// What the client of a subscription comes to hold who does as it is told.
pub(crate) fn fold(mut held: View, changes: &[Value]) -> View {
    for change in changes {
        let id = change["eventId"].as_str().unwrap();
        let known = held.remove(id).is_some();
        let kind = change["kind"].as_str().unwrap();
        assert_eq!(
            known,
            ["update", "leave", "delete"].contains(&kind),
            "{change}"
        );
        if let Some(event) = change.get("data") {
            held.insert(id.to_owned(), event.clone());
        }
    }
    held
}

pub(crate) fn id(event: &Value) -> String {
    event["_id"].as_str().unwrap().to_owned()
}

/// The events of a view that a filter admits, with these fields.
pub(crate) fn select(view: &View, filter: &Value, fields: Option<&[String]>) -> Vec<Value> {
    let admitted = view.values().filter(|event| admits(filter, event));
    admitted.map(|event| project(event, fields)).collect()
}

/// The word for a change to someone who sees what the filter admits.
pub(crate) fn kind(
    filter: &Value,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Option<&'static str> {
    let shown = |event: Option<&Value>| event.is_some_and(|event| admits(filter, event));
    match (shown(before), shown(after)) {
        (false, false) => None,
        (true, true) => Some("update"),
        (false, true) if before.is_none() => Some("create"),
        (false, true) => Some("enter"),
        (true, false) if after.is_none() => Some("delete"),
        (true, false) => Some("leave"),
    }
}

/// The frame, without its patch, of a change that is of this kind to a subscription.
pub(crate) fn frame(
    change: &Value,
    kind: &str,
    after: Option<&Value>,
    fields: Option<&[String]>,
) -> Value {
    let mut frame = change.clone();
    frame["kind"] = json!(kind);
    let frame_fields = frame.as_object_mut().unwrap();
    frame_fields.remove("data");
    frame_fields.remove("patch");
    if !["leave", "delete"].contains(&kind) {
        frame["data"] = project(after.expect("it is there"), fields);
    }
    frame
}

/// Every change from the subscription's start on was told once, in order, as it should be.
pub(crate) fn check(subscriber: &Subscriber, log: &[Entry]) {
    let fields = subscriber.fields.as_deref();
    let mut heard = subscriber.changes.iter();
    for entry in log.iter().filter(|e| seq(&e.change) > subscriber.start) {
        let Entry { before, after, .. } = entry;
        let Some(kind) = kind(&subscriber.filter, before.as_ref(), after.as_ref()) else {
            continue;
        };
        let expected = frame(&entry.change, kind, after.as_ref(), fields);
        let whose = || format!("{} {}", subscriber.name, subscriber.filter);
        let Some(told) = heard.next() else {
            panic!("{} was not told of {expected}", whose());
        };
        let mut told = told.clone();
        let patch = told.as_object_mut().unwrap().remove("patch");
        assert_eq!(told, expected, "{}", whose());
        match kind {
            "update" => check_patch(&patch.expect("a patch"), entry, fields),
            _ => assert_eq!(patch, None, "{}: {expected}", whose()),
        }
    }
    assert_eq!(
        heard.next(),
        None,
        "{} {}",
        subscriber.name,
        subscriber.filter
    );
}

/// The patch leads from what was seen before to what is seen now, and shows nothing else.
fn check_patch(patch: &Value, entry: &Entry, fields: Option<&[String]>) {
    let Some(fields) = fields else {
        return assert_eq!(*patch, entry.change["patch"]);
    };
    let (before, after) = (
        entry.before.as_ref().unwrap(),
        entry.after.as_ref().unwrap(),
    );
    let mut patched = project(before, Some(fields));
    for (path, value) in patch["set"].as_object().unwrap() {
        assert!(is_wanted(path, fields), "{path} is none of {fields:?}");
        set(&mut patched, path, value.clone());
    }
    for path in patch["unset"].as_array().unwrap() {
        let path = path.as_str().unwrap();
        assert!(is_wanted(path, fields), "{path} is none of {fields:?}");
        unset(&mut patched, path);
    }
    let expected = project(after, Some(fields));
    // What the server itself keeps with an event is not patched.
    let seen = patched.as_object_mut().unwrap();
    for (name, value) in expected.as_object().unwrap() {
        if name.starts_with('_') {
            seen.insert(name.clone(), value.clone());
        }
    }
    assert_eq!(patched, expected, "{fields:?}: {patch} on {before}");
}

fn is_wanted(path: &str, fields: &[String]) -> bool {
    let reaches = |one: &str, other: &str| {
        one == other
            || one
                .strip_prefix(other)
                .is_some_and(|rest| rest.starts_with('.'))
    };
    // Elements of an array are no part of a field's name.
    let names = path
        .split('.')
        .filter(|name| name.parse::<usize>().is_err());
    let path = names.collect::<Vec<_>>().join(".");
    let mut fields = fields.iter();
    fields.any(|field| reaches(&path, field) || reaches(field, &path))
}

fn set(document: &mut Value, path: &str, value: Value) {
    let mut slot = document;
    for name in path.split('.') {
        slot = match slot {
            Value::Array(items) => {
                let at = name.parse::<usize>().unwrap();
                if at == items.len() {
                    items.push(json!({}));
                }
                &mut items[at]
            }
            Value::Object(fields) => fields.entry(name).or_insert_with(|| json!({})),
            other => panic!("{path} leads through {other}"),
        };
    }
    *slot = value;
}

fn unset(document: &mut Value, path: &str) {
    let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
    let names = parent.split('.').filter(|name| !name.is_empty());
    let mut slot = document;
    for name in names {
        slot = &mut slot[name];
    }
    slot.as_object_mut().unwrap().remove(last);
}

/// Whether a filter of the kinds that these tests use admits an event: values, `$in`, `$gt` and `$or`.
pub(crate) fn admits(filter: &Value, event: &Value) -> bool {
    filter.as_object().unwrap().iter().all(|(path, condition)| {
        if path == "$or" {
            let mut any = condition.as_array().unwrap().iter();
            return any.any(|filter| admits(filter, event));
        }
        let there = values(event, path);
        let mut there = there.iter();
        match condition.as_object() {
            None => there.any(|value| equal(value, condition)),
            Some(operators) => operators.iter().all(|(name, operand)| match name.as_str() {
                "$in" => there.any(|value| {
                    let mut one_of = operand.as_array().unwrap().iter();
                    one_of.any(|one| equal(value, one))
                }),
                "$gt" => there.any(|value| {
                    let numbers = value.as_f64().zip(operand.as_f64());
                    numbers.is_some_and(|(value, bound)| value > bound)
                }),
                _ => panic!("{filter} is beyond this judge"),
            }),
        }
    })
}

fn equal(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// The values at a path; of an array, its elements.
fn values(event: &Value, path: &str) -> Vec<Value> {
    let at = path
        .split('.')
        .try_fold(event, |value, name| value.get(name));
    match at {
        None => Vec::new(),
        Some(Value::Array(items)) => items.clone(),
        Some(value) => vec![value.clone()],
    }
}

/// The fields asked for, and `_id`.
pub(crate) fn project(event: &Value, fields: Option<&[String]>) -> Value {
    let Some(fields) = fields else {
        return event.clone();
    };
    let split = |field: &String| field.split('.').map(str::to_owned).collect();
    let mut paths: Vec<Vec<String>> = fields.iter().map(split).collect();
    paths.push(vec!["_id".to_owned()]);
    part(event, &paths).expect("an event has fields")
}

fn part(value: &Value, paths: &[Vec<String>]) -> Option<Value> {
    match value {
        Value::Array(items) => {
            let parts = items.iter().filter_map(|item| part(item, paths));
            Some(parts.collect())
        }
        Value::Object(fields) => {
            let mut wanted: HashMap<&str, Vec<Vec<String>>> = HashMap::new();
            for path in paths {
                wanted.entry(&path[0]).or_default().push(path[1..].to_vec());
            }
            let parts = fields.iter().filter_map(|(name, value)| {
                let beyond = wanted.get(name.as_str())?;
                let whole = beyond.iter().any(Vec::is_empty);
                let value = if whole {
                    Some(value.clone())
                } else {
                    part(value, beyond)
                };
                Some((name.clone(), value?))
            });
            Some(Value::Object(parts.collect()))
        }
        _ => None,
    }
}
