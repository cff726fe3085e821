//! A ranking against brute force.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::{Effect, Patch, Seq, Timestamp};
use crate::value::{Document, Value};

/// An event is given a number to sort by and whether the filter matches it, or it is deleted.
type Write = (usize, Option<(i64, bool)>);

type EventsById = BTreeMap<usize, Arc<Event>>;

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let state = prop::option::weighted(0.8, (0i64..6, prop::bool::weighted(0.8)));
    prop::collection::vec((0usize..12, state), 1..120)
}

fn query(descends: bool) -> Arc<Query> {
    let direction = if descends { -1 } else { 1 };
    let asked = format!(r#"{{"filter":{{"in":true}},"sort":{{"n":{direction}}}}}"#);
    let asked: Document = serde_json::from_str(&asked).expect("the test's own JSON");
    Arc::new(Query::parse(&asked, "").expect("a query"))
}

/// The change that a write comes to, if it comes to one.
fn change(seq: u64, (id, state): Write, events: &mut EventsById) -> Option<Change> {
    let (seq, before) = (Seq::new(seq), events.get(&id).cloned());
    let after = state.map(|(n, matches)| {
        let fields = [("n", Value::Int(n)), ("in", matches.into())];
        Arc::new(Event {
            id: EventId::parse(&format!("e{id:02}")).expect("an id"),
            version: before.as_ref().map_or(1, |before| before.version + 1),
            seq,
            created_at: time(),
            updated_at: time(),
            fields: Document::from_iter(fields),
        })
    });
    match &after {
        Some(after) => events.insert(id, Arc::clone(after)),
        None => events.remove(&id),
    };
    let effect = match (before, after) {
        (None, None) => return None,
        (None, Some(after)) => Effect::Create { after },
        (Some(before), None) => Effect::Delete { before },
        (Some(before), Some(after)) => Effect::Update {
            before,
            patch: Patch::default(),
            after,
        },
    };
    Some(Change {
        seq,
        at: time(),
        effect,
        command: None,
        author: None,
    })
}

fn time() -> Timestamp {
    Timestamp::parse("2026-01-31T12:00:00.000Z").expect("a time")
}

/// The events that match, in their order.
fn sorted(query: &Query, events: &EventsById) -> Vec<Event> {
    let steps = Steps::unbounded();
    let matches = |event: &&Arc<Event>| query.filter.matches(&***event, &steps) == Ok(true);
    let mut sorted: Vec<Event> = events
        .values()
        .filter(matches)
        .map(|event| (**event).clone())
        .collect();
    sorted.sort_by(|a, b| query.compare(a, b));
    sorted
}

fn ranked(query: &Query, event: &Arc<Event>) -> RankedEvent {
    RankedEvent::of(query, event, &Steps::unbounded()).expect("steps")
}

/// Does what a client does.
fn follow(held: &mut Vec<Event>, moves: &[Move]) {
    for step in moves {
        let (id, put) = match step {
            Move::Out { id, .. } => (id, None),
            Move::In { event, index, .. } | Move::Stay { event, index, .. } => {
                (&event.id, Some((*index, event)))
            }
        };
        let known = held.iter().position(|event| event.id == *id);
        assert_eq!(
            known.is_some(),
            !matches!(step, Move::In { .. }),
            "{step:?}"
        );
        if let Some(known) = known {
            let before = held.remove(known);
            if let Move::Stay { before: told, .. } = step {
                assert_eq!(before, **told);
            }
        }
        if let Some((index, event)) = put {
            held.insert(index, (**event).clone());
        }
    }
}

proptest! {
    /// It is read again only if it must be, and then as of a later change, as a store answers.
    #[test]
    fn what_is_shown_is_the_first_of_what_matches_after_each_change(
        writes in writes(),
        descends: bool,
        shown in 0usize..4,
        reads_ahead in 0usize..3,
    ) {
        let (query, mut events) = (query(descends), EventsById::new());
        let mut changes = Vec::new();
        let mut states = Vec::new();
        for (seq, write) in (1..).zip(writes) {
            let Some(change) = change(seq, write, &mut events) else { continue };
            changes.push(change);
            states.push(sorted(&query, &events));
        }
        let mut ranking = Ranking::new(&query, shown);
        let (mut held, mut is_at, mut reads) = (Vec::new(), 0, 0);
        for (at, change) in changes.iter().enumerate() {
            if at < is_at {
                continue;
            }
            let steps = Steps::unbounded();
            let Some(seen) = query.filter.visible_kind(change, &steps).expect("steps") else {
                continue;
            };
            let after = change.after().filter(|_| seen.shows_event());
            let after = after.map(|event| ranked(&query, event));
            let now = match ranking.apply(change, seen, after) {
                Ok(moves) => {
                    follow(&mut held, &moves);
                    at
                }
                Err(Short) => {
                                        reads += 1;
                    let now = (at + reads_ahead).min(changes.len() - 1);
                    let mut first = states[now].clone();
                    let capacity = Ranking::capacity(shown);
                    let is_whole = first.len() <= capacity;
                    first.truncate(capacity);
                    let first = first.into_iter().map(|event| ranked(&query, &Arc::new(event)));
                    follow(&mut held, &ranking.renew(first.collect(), is_whole));
                    is_at = now + 1;
                    now
                }
            };
            let mut expected = states[now].clone();
            expected.truncate(shown);
            prop_assert_eq!(&held, &expected);
            // Without a reserve it has to be read again.
            if at % 7 == 0 {
                prop_assert!(!ranking.fits(0) || shown == 0 || held.is_empty());
            }
            let listed = ranking.ranked.iter().map(RankedEvent::bytes).sum::<usize>();
            prop_assert_eq!(ranking.bytes(), listed);
        }
        prop_assert!(shown > 0 || reads == 0, "nothing is shown: nothing is to be read");
    }
}
