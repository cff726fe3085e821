//! What is told of the past.

use futures::TryStreamExt;

use super::*;
use crate::domain::EventId;
use crate::protocol::{Fetch, History};

fn fetch(payload: Json) -> Fetch {
    Fetch::parse(&document(payload), "payload").expect("a good fetch")
}

/// The ids and `n` of what is listed.
async fn listed(who: &Guarded, payload: Json) -> Result<Vec<String>, Code> {
    let list = who.list(&fetch(payload)).await;
    let (_, result) = list.map_err(|failure| failure.code)?;
    let events: Vec<_> = result.events.try_collect().await.expect("it can be read");
    let shown = events.iter().map(|event| {
        let n = serde_json::to_value(event.fields.get("n")).expect("JSON");
        format!("{}{n}", event.id)
    });
    Ok(shown.collect())
}

pub(super) async fn told_history(
    who: &Guarded,
    id: &str,
    params: Json,
) -> Result<Vec<(u64, String)>, Code> {
    let request = History::parse(&document(params), "query").expect("a good request");
    let id = EventId::parse(id).expect("an id");
    let seen = who.history(&id, &request).await;
    let seen = seen.map_err(|failure| failure.code)?;
    let told = seen.visible.iter().map(|(change, kind)| {
        let kind = serde_json::to_value(kind).expect("a word");
        let kind = kind.as_str().expect("a word").to_owned();
        (change.seq.get(), kind)
    });
    Ok(told.collect())
}

/// `a` was public throughout, `b` is now, `c` was, `d` was and is gone, `e` never was, nor `f`, which is gone.
async fn past() -> World {
    let world = World::new().await;
    for (id, is_public) in [
        ("a", true),
        ("b", false),
        ("c", true),
        ("d", true),
        ("e", false),
        ("f", false),
    ] {
        world.create(id, json!({"public": is_public, "n": 1})).await;
    }
    world.set("a", json!({"n": 2})).await;
    world.set("b", json!({"public": true, "n": 2})).await;
    world.set("c", json!({"public": false, "n": 2})).await;
    world.delete("d").await;
    world.set("e", json!({"n": 2})).await;
    world.delete("f").await;
    world.set("c", json!({"n": 3})).await;
    world
}

#[tokio::test]
async fn what_is_read_of_the_past_was_seen_then_and_is_seen_now() {
    let world = past().await;
    let none = world.seen_by(reader(json!({})));
    let seen = world.seen_by(reader(json!({"past": "seen"})));
    let all = world.seen_by(reader(json!({"past": "all"})));
    for sort in [json!({"_id": 1}), json!({"n": 1, "_id": 1})] {
        let at = |at: u64| json!({"at": at, "sort": sort});
        assert_eq!(listed(&none, at(6)).await, Err(Code::Forbidden));
        assert_eq!(listed(&seen, at(6)).await.unwrap(), ["a1"]);
        assert_eq!(listed(&all, at(6)).await.unwrap(), ["a1", "c1", "d1"]);
        assert_eq!(listed(&seen, at(8)).await.unwrap(), ["a2", "b2"]);
        assert_eq!(listed(&seen, at(13)).await.unwrap(), ["a2", "b2"]);
    }
    let narrower = json!({"at": 6, "filter": {"n": 2}});
    assert_eq!(listed(&seen, narrower).await.unwrap(), [""; 0]);
    for (id, is_seen) in [("a", true), ("b", false), ("c", false), ("d", false)] {
        let id = EventId::parse(id).unwrap();
        let event = seen.event(&id, &fetch(json!({"at": 6}))).await;
        assert_eq!(
            event.map_err(|failure| failure.code).is_ok(),
            is_seen,
            "{id}"
        );
    }
    let nothing = world.seen_by(grant(&json!({"past": "all"})));
    assert_eq!(listed(&nothing, json!({"at": 6})).await.unwrap(), [""; 0]);
    let everything = world.seen_by(grant(&json!({"read": true, "past": "seen"})));
    let there = listed(&everything, json!({"at": 6})).await.unwrap();
    assert_eq!(
        there,
        ["a1", "b1", "c1", "e1"],
        "what is gone is not seen now"
    );
}

/// A page holds as many as were asked for, and says whether there are more, whatever is left out of it.
#[tokio::test]
async fn pages_of_the_past_are_filled_with_what_is_seen() {
    let world = World::new().await;
    for n in 0..40 {
        world
            .create(&format!("e{n:02}"), json!({"public": true, "n": n}))
            .await;
    }
    for n in (0..40).filter(|n| n % 7 != 0) {
        world
            .set(&format!("e{n:02}"), json!({"public": false}))
            .await;
    }
    let seen = world.seen_by(reader(json!({"past": "seen"})));
    for sort in [json!({"_id": 1}), json!({"_id": -1}), json!({"n": -1})] {
        let (mut ids, mut sizes, mut cursor) = (Vec::new(), Vec::new(), Json::Null);
        loop {
            let mut asked = json!({"at": 40, "sort": sort, "limit": 2});
            if !cursor.is_null() {
                asked["cursor"] = cursor;
            }
            let page = seen.fetch(None, &fetch(asked), None).await;
            let page: Json = serde_json::from_str(page.unwrap().0.as_str()).unwrap();
            let data = page["data"].as_array().unwrap();
            sizes.push(data.len());
            ids.extend(data.iter().map(|event| event["n"].as_u64().unwrap()));
            cursor = page["next"].clone();
            if cursor.is_null() {
                break;
            }
        }
        ids.sort_unstable();
        assert_eq!(
            (ids, sizes),
            (vec![0, 7, 14, 21, 28, 35], vec![2, 2, 2]),
            "{sort}"
        );
    }
}

#[tokio::test]
async fn a_history_is_of_what_is_seen_and_else_there_never_was_such_an_event() {
    let world = past().await;
    let history = async |past: &str, id: &str, params: Json| {
        let who = world.seen_by(reader(json!({"past": past})));
        told_history(&who, id, params).await
    };
    let oldest = json!({"order": "oldest"});
    assert_eq!(
        history("none", "a", oldest.clone()).await,
        Err(Code::Forbidden)
    );
    let told = |told: &[(u64, &str)]| -> Result<Vec<(u64, String)>, Code> {
        Ok(told
            .iter()
            .map(|(seq, kind)| (*seq, (*kind).to_owned()))
            .collect())
    };
    let of_a = told(&[(1, "create"), (7, "update")]);
    assert_eq!(history("seen", "a", oldest.clone()).await, of_a);
    assert_eq!(
        history("seen", "b", oldest.clone()).await,
        told(&[(8, "enter")])
    );
    for id in ["c", "d", "e", "f", "nobody"] {
        assert_eq!(
            history("seen", id, oldest.clone()).await,
            Err(Code::NotFound),
            "{id}"
        );
    }
    let of_c = told(&[(3, "create"), (9, "leave")]);
    assert_eq!(history("all", "c", oldest.clone()).await, of_c);
    let of_d = told(&[(4, "create"), (10, "delete")]);
    assert_eq!(history("all", "d", oldest.clone()).await, of_d);
    for id in ["e", "f", "nobody"] {
        for params in [
            json!({}),
            json!({"after": 5}),
            json!({"after": 1000, "order": "oldest"}),
        ] {
            let answer = history("all", id, params.clone()).await;
            assert_eq!(answer, Err(Code::NotFound), "{id} {params}");
        }
    }
    // Of an event that is seen in part, an empty page is one.
    let newest = json!({"limit": 1});
    assert_eq!(history("all", "c", newest).await, told(&[]));
}
