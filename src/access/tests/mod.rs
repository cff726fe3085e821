//! What rules come to.

mod claims;
mod policies;
mod reads;
mod writes;

use std::sync::Arc;

use super::*;
use crate::domain::{
    Author, Change, Command, CommandBatch, CommandKind, Event, EventId, EventState, Seq, Stamp,
    Timestamp, decide,
};
use crate::query::{Fields, Filter, Query, Sort};
use crate::value::{Document, Steps, Value};

pub(super) fn document(json: &str) -> Document {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("the test's own JSON")
}

fn policy(json: &str) -> Policy {
    Policy::parse(&document(json)).unwrap_or_else(|invalid| panic!("{invalid}: {json}"))
}

fn somebody(claims: &str) -> Principal {
    let author = Author::Token {
        issuer: "test".into(),
        subject: "u1".into(),
    };
    Principal {
        author: Some(Arc::new(author)),
        role: None,
        claims: Claims::new(document(claims)),
        issued_at: None,
    }
}

/// What who has these claims may do in a role with these rules.
pub(super) fn grant(role: &str, claims: &str) -> Grant {
    let policy = policy(&format!(r#"{{"roles":{{"user":{role}}}}}"#));
    let mut principal = somebody(claims);
    let mut claims = document(claims);
    claims.push("role", "user");
    principal.claims = Claims::new(claims);
    policy.admit(&principal, None).expect("the role is there")
}

pub(super) fn stamp(seq: u64) -> Stamp {
    Stamp {
        seq: Seq::new(seq),
        at: Timestamp::parse("2026-01-31T12:00:00.000Z").expect("a fixed time"),
    }
}

/// The state of the event `e` with these fields.
fn state(current: Option<&str>) -> EventState {
    EventState {
        id: EventId::parse("e").expect("an id"),
        current: current.map(|json| Arc::new(event(json))),
        last_version: 0,
        earlier: None,
    }
}

pub(super) fn event(json: &str) -> Event {
    let create = CommandBatch::parse(CommandKind::Create, document(json), None);
    let create = &create.expect("a good event").commands[0];
    let change = decide(&state(None), create, stamp(1), &Steps::unbounded());
    let change = change.expect("it is new");
    (**change.after().expect("it was created")).clone()
}

fn sees(grant: &Grant, json: &str) -> bool {
    grant
        .sees(&event(json), &Steps::unbounded())
        .expect("steps without a bound do not run out")
}

fn hears(grant: &Grant, payload: &str) -> bool {
    let payload = value(payload);
    grant
        .hears()
        .hears(payload.as_object(), &Steps::unbounded())
}

/// Whether a rule with these claims sees this event.
fn reads(rule: &str, claims: &str, json: &str) -> bool {
    sees(&grant(&format!(r#"{{"read":{rule}}}"#), claims), json)
}
