//! How many events match: beside a page or without one, as of the same seq.

use std::collections::BTreeMap;
use std::sync::Arc;

use livelog::indexes::Index;
use livelog::limits;
use livelog::node::Requester;
use livelog::query::{Count, Filter, Query};
use livelog::store::Store;
use livelog::store::embedded::EmbeddedStore;
use livelog::value::{Document, Value as Stored};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use redb::backends::InMemoryBackend;
use serde_json::{Value, json};

use crate::filters::generated::{documents, filter, indexes, indexes_for};
use crate::filters::judge::{on_generated, put};
use crate::filters::written;
use crate::support::dice::{Dice, number};
use crate::support::guarded::AccessFile;
use crate::support::history::History;
use crate::support::{Database, Server, guarded, on_every_store, until_built};

on_every_store!(
    a_count_is_of_all_that_matches_whatever_the_page_is,
    a_count_is_as_of_the_seq_of_its_page_while_others_write,
    a_count_is_of_what_is_seen,
);

/// Events of three owners.
async fn stock(server: &Server, count: usize) {
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..count {
        let owner = format!("u{}", n % 3);
        let event =
            json!({"_id": format!("e{n:03}"), "owner": owner, "n": n, "tags": ["all", n % 4]});
        client.create(event).await;
    }
}

async fn a_count_is_of_all_that_matches_whatever_the_page_is(server: Server) {
    const COUNT: usize = 40;
    stock(&server, COUNT).await;
    let mut client = server.connect("/ws?changes=none").await;
    let all = client.ok("FETCH", json!({"limit": 2, "count": true})).await;
    assert_eq!((&all["count"], &all["seq"]), (&json!(COUNT), &json!(COUNT)));
    assert_eq!(all["data"].as_array().unwrap().len(), 2);
    for (filter, count) in [
        (json!({"owner": "u1"}), 13),
        (
            json!({"n": {"$gte": 10}, "owner": {"$in": ["u0", "u2"]}}),
            20,
        ),
        (json!({"tags": 2}), 10),
        (json!({"owner": {"$regex": "^u[12]$"}}), 26),
        (json!({"_id": {"$in": ["e001", "e002", "nobody"]}}), 2),
        (json!({"nothing": 1}), 0),
    ] {
        for page in [
            json!({}),
            json!({"limit": 1}),
            json!({"limit": 3, "sort": {"n": -1}, "fields": ["n"]}),
            json!({"limit": 5, "sort": {"a.0.0.0.0.0.0": 1}}),
        ] {
            let mut asked = page;
            asked["filter"] = filter.clone();
            asked["count"] = json!(true);
            loop {
                let answer = client.ok("FETCH", asked.clone()).await;
                assert_eq!(answer["count"], count, "{asked}");
                assert_eq!(answer["countAtLeast"], Value::Null);
                if answer["next"].is_null() {
                    break;
                }
                asked["cursor"] = answer["next"].clone();
            }
        }
        let alone =
            json!({"filter": filter, "count": true, "limit": 0, "sort": {"a.0.0.0.0.0.0": 1}});
        let alone = client.ok("FETCH", alone).await;
        let expected = json!([count, [], null, COUNT]);
        assert_eq!(
            json!([alone["count"], alone["data"], alone["next"], alone["seq"]]),
            expected
        );
        let text = filter.to_string();
        for limit in ["0", "1", "1000"] {
            let asked = [("filter", &*text), ("count", "true"), ("limit", limit)];
            let (status, list) = server.get("/api/events", &asked).await;
            assert_eq!((status, &list["count"]), (200, &json!(count)), "{text}");
            let expected = limit.parse::<usize>().unwrap().min(count);
            assert_eq!(list["data"].as_array().unwrap().len(), expected, "{list}");
            assert_eq!(list["next"].is_null(), limit == "0" || expected == count);
        }
        let then = json!({"filter": filter, "count": true, "at": COUNT / 2, "limit": 1});
        let then = client.ok("FETCH", then).await["count"].as_u64().unwrap();
        assert!(
            then <= count as u64 && (count < 3 || then > 0),
            "{then} of {count}"
        );
    }
    let (_, list) = server.get("/api/events", &[("count", "true")]).await;
    assert_eq!(
        (&list["count"], &list["seq"]),
        (&json!(COUNT), &json!(COUNT))
    );
    let plain = client
        .ok("FETCH", json!({"count": false, "limit": 1}))
        .await;
    assert!(plain["count"].is_null(), "{plain}");
    bad_inputs_are_named(&server).await;
}

async fn bad_inputs_are_named(server: &Server) {
    let mut client = server.connect("/ws?changes=none").await;
    for (asked, path) in [
        (json!({"limit": 0}), "payload.limit"),
        (json!({"limit": 0, "count": false}), "payload.limit"),
        (json!({"limit": -1, "count": true}), "payload.limit"),
        (json!({"limit": 1_001, "count": true}), "payload.limit"),
        (json!({"count": "true"}), "payload.count"),
    ] {
        let refused = client.refused("FETCH", asked.clone()).await;
        let said = json!([refused["code"], refused["path"]]);
        assert_eq!(said, json!(["invalid_filter", path]), "{asked}");
    }
    for (path, name, value, code) in [
        ("/api/events", "count", "yes", "invalid_filter"),
        ("/api/events", "limit", "0", "invalid_filter"),
        ("/api/events/e001", "count", "true", "bad_request"),
        ("/api/events/e001/history", "count", "true", "bad_request"),
        ("/api/changes", "count", "true", "bad_request"),
    ] {
        let (status, refused) = server.get(path, &[(name, value)]).await;
        let said = json!([refused["error"]["code"], refused["error"]["path"]]);
        assert_eq!(
            (status, said),
            (400, json!([code, format!("query.{name}")])),
            "{path}"
        );
    }
}

/// How many events of each owner there are after each change of the log, and in all.
async fn counts_by_seq(server: &Server) -> Vec<BTreeMap<String, u64>> {
    let mut events: BTreeMap<String, String> = BTreeMap::new();
    let mut counts = vec![BTreeMap::new()];
    let mut after = 0;
    loop {
        let asked = [("after", &*after.to_string()), ("limit", "500")];
        let (_, page) = server.get("/api/changes", &asked).await;
        for change in page["data"].as_array().unwrap() {
            let id = change["eventId"].as_str().unwrap().to_owned();
            match change["data"]["owner"].as_str() {
                Some(owner) => drop(events.insert(id, owner.to_owned())),
                None => drop(events.remove(&id)),
            }
            let mut count = BTreeMap::from([(String::new(), events.len() as u64)]);
            events
                .values()
                .for_each(|owner| *count.entry(owner.clone()).or_default() += 1);
            counts.push(count);
        }
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => return counts,
        }
    }
}

async fn a_count_is_as_of_the_seq_of_its_page_while_others_write(server: Server) {
    const WRITES: usize = 400;
    let seed = number("LIVELOG_COUNT_SEED").unwrap_or(0xc0de);
    println!("LIVELOG_COUNT_SEED={seed}");
    let database = server.stop().await;
    let server = Server::on(database, &["--index", "owner"]).await;
    let mut writer = server.connect("/ws?changes=none").await;
    let mut reader = server.connect("/ws?changes=none").await;
    let writing = async {
        let mut dice = Dice::new(seed, 0);
        let mut there = [false; 30];
        for _ in 0..WRITES {
            let n = dice.below(30);
            let (id, owner) = (format!("e{n}"), format!("u{}", dice.below(3)));
            match (there[n], dice.below(3)) {
                (false, _) => drop(writer.create(json!({"_id": id, "owner": owner})).await),
                (true, 0) => drop(writer.ok("DELETE", json!({"id": id})).await),
                (true, _) => {
                    let update = json!({"id": id, "updateData": {"owner": owner}});
                    drop(writer.ok("UPDATE", update).await);
                    continue;
                }
            }
            there[n] = !there[n];
        }
    };
    let mut writing = std::pin::pin!(writing);
    let mut answers = Vec::new();
    let reading = async {
        for n in 0.. {
            let filter = match n % 4 {
                3 => json!({}),
                owner => json!({"owner": format!("u{owner}")}),
            };
            let limit = [0, 5, 1_000][n / 4 % 3];
            let asked = json!({"filter": filter, "count": true, "limit": limit});
            let answer = reader.ok("FETCH", asked).await;
            answers.push((filter, limit, answer));
        }
    };
    tokio::select! {
        () = &mut writing => {}
        () = reading => unreachable!("it reads on until all is written"),
    }
    assert!(answers.len() > 20, "{} answers", answers.len());
    let counts = counts_by_seq(&server).await;
    for (filter, limit, answer) in answers {
        let seq = usize::try_from(answer["seq"].as_u64().unwrap()).unwrap();
        let owner = filter["owner"].as_str().unwrap_or_default();
        let expected = counts[seq].get(owner).copied().unwrap_or(0);
        assert_eq!(answer["count"], expected, "{filter} at {seq}");
        let page = answer["data"].as_array().unwrap().len() as u64;
        assert_eq!(page, expected.min(limit), "{filter} at {seq}");
    }
}

async fn a_count_is_of_what_is_seen(server: Server) {
    stock(&server, 30).await;
    let roles = json!({
        "all": {"read": true, "past": "all"},
        "some": {"read": {"owner": "u1"}, "past": "seen"},
        "most": {"read": true, "hide": ["owner"]},
    });
    let file = AccessFile::new(&roles, &json!({}));
    let database = server.stop().await;
    let server = guarded::serve(database, &file).await;
    for (role, filter, count) in [
        ("all", json!({}), json!(30)),
        ("some", json!({}), json!(10)),
        ("some", json!({"owner": "u2"}), json!(0)),
        ("some", json!({"n": {"$lt": 10}}), json!(3)),
        ("most", json!({"n": {"$lt": 10}}), json!(10)),
        (
            "most",
            json!({"owner": "u1"}),
            json!("payload.filter.owner"),
        ),
    ] {
        let token = guarded::token("somebody", &json!({"role": role}));
        let mut client = guarded::session(&server, "/ws?changes=none", &token).await;
        for at in [Value::Null, json!(30)] {
            let mut asked = json!({"filter": filter, "count": true, "limit": 0});
            if role != "most" && at.is_number() {
                asked["at"] = at;
            }
            let answer = client.request("FETCH", asked.clone()).await;
            let told = match answer["success"] == true {
                true => &answer["count"],
                false => &answer["error"]["path"],
            };
            assert_eq!(told, &count, "{role}: {asked} {answer}");
        }
    }
}

/// As many as MongoDB's own `countDocuments` says of the filter as it was written.
#[test]
fn a_count_is_that_of_mongodb_on_both_stores() {
    const FILTERS_PER_SET: usize = 12;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let filters = prop::collection::vec(filter(), FILTERS_PER_SET);
    let input = (documents(40), indexes(), filters);
    let outcome = on_generated(12, &input, |(documents, mut declared, filters)| {
        declared.extend(filters.iter().flat_map(indexes_for).take(4));
        runtime.block_on(judge(&documents, &declared, &filters))
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

async fn judge(
    documents: &[Document],
    declared: &[String],
    filters: &[Stored],
) -> Result<(), TestCaseError> {
    let mut history = History::default();
    documents
        .iter()
        .for_each(|document| put(&mut history, document));
    let batch = history.batch(livelog::domain::Seq::ZERO);
    let (shared, folder) = (Database::shared().await, Database::folder());
    let events = shared.driver().await.collection::<bson::Document>("events");
    for database in [&shared, &folder] {
        let store = database.store().await;
        let mut indexes: Vec<Index> = Vec::new();
        for index in declared.iter().filter_map(|text| text.parse().ok()) {
            let is_known = indexes.contains(&index);
            // On MongoDB an index has one field, without a number on its path.
            let is_plain = !index.name().contains([',', '0', '1']);
            if !is_known && (is_plain || database.is_folder()) {
                indexes.push(index);
            }
        }
        store.declare_indexes(&indexes).await.unwrap();
        store.append(&batch).await.unwrap();
        until_built(&*store).await;
        // Another program's document is no event.
        if !database.is_folder() {
            let theirs = bson::doc! { "_id": "theirs", "a": 1 };
            events.insert_one(theirs).await.unwrap();
        }
        for filter in filters {
            let theirs = events.count_documents(bson::doc! { "$and": [
                written(filter), { "_version": { "$exists": true } },
            ] });
            let theirs = Some(Count::Exactly(theirs.await.unwrap()));
            prop_assert_eq!(counted(&*store, filter, None).await, theirs, "{:?}", filter);
            let within = Filter::parse(&rule(), "rule").unwrap();
            let seen =
                events.count_documents(bson::doc! { "$and": [written(filter), written(&rule())] });
            let seen = Some(Count::Exactly(seen.await.unwrap()));
            prop_assert_eq!(
                counted(&*store, filter, Some(&within)).await,
                seen,
                "{:?}",
                filter
            );
        }
        store.close().await;
    }
    let dropped = shared.driver().await.drop().await;
    dropped.map_err(|error| TestCaseError::fail(error.to_string()))
}

/// What is seen, as a filter.
fn rule() -> Stored {
    serde_json::from_value(json!({"_version": {"$gte": 1}, "a": {"$ne": 1}})).unwrap()
}

async fn counted(store: &dyn Store, filter: &Stored, rule: Option<&Filter>) -> Option<Count> {
    let filter = Filter::parse(filter, "filter").unwrap();
    let query = Query {
        filter: rule.map_or(filter.clone(), |rule| filter.within(rule)),
        counts: true,
        limit: Some(0),
        ..Query::everything()
    };
    let found = store.find(&Requester::alone(), &Arc::new(query)).await;
    found.unwrap().count
}

/// Beyond the bound it is "at least", unless that would tell of what is not seen.
#[tokio::test]
async fn as_many_events_as_the_bound_says_are_read_for_a_count() {
    const COUNT: u64 = limits::COUNT_EVENTS_MAX + 1;
    const AT_ONCE: usize = 5_000;
    let store = EmbeddedStore::open_on(InMemoryBackend::new(), 4_000_000).await;
    let store = store.unwrap();
    let mut history = History::default();
    let all: Vec<u64> = (0..COUNT).collect();
    for few in all.chunks(AT_ONCE) {
        let after = history.head();
        for n in few {
            let fields = [("n", Stored::from(i64::try_from(n % 10).unwrap()))];
            history.create(&format!("e{n:06}"), fields.into_iter().collect());
        }
        store.append(&history.batch(after)).await.unwrap();
    }
    let filter = |json: Value| serde_json::from_value::<Stored>(json).unwrap();
    let (everything, small) = (filter(json!({})), filter(json!({"n": {"$lt": 5}})));
    let rule = Filter::parse(&filter(json!({"n": {"$gte": 0}})), "rule").unwrap();
    let exactly = |count: u64| Some(Count::Exactly(count));
    assert_eq!(counted(&*store, &everything, None).await, exactly(COUNT));
    let some = Count::AtLeast(limits::COUNT_EVENTS_MAX / 2);
    assert_eq!(counted(&*store, &small, None).await, Some(some));
    assert_eq!(
        counted(&*store, &everything, Some(&rule)).await,
        exactly(COUNT)
    );
    let after = history.head();
    history.delete("e000007");
    store.append(&history.batch(after)).await.unwrap();
    assert_eq!(
        counted(&*store, &everything, None).await,
        exactly(COUNT - 1)
    );
    assert_eq!(counted(&*store, &small, None).await, exactly(COUNT / 2 + 1));
    let index = "n".parse().unwrap();
    store.declare_indexes(&[index]).await.unwrap();
    until_built(&*store).await;
    assert_eq!(counted(&*store, &small, None).await, exactly(COUNT / 2 + 1));
    let but = filter(json!({"n": {"$ne": 7}}));
    let exact = COUNT - COUNT / 10;
    assert_eq!(
        counted(&*store, &but, None).await,
        exactly(exact),
        "one is gone, so all are read"
    );
}
