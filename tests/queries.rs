//! FETCH and GET /api/events: filter, sort, limit, cursor, fields.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Client, Load, Server, on_every_store};

on_every_store!(
    filters_find_the_same_over_both_transports,
    sort_limit_and_fields_shape_the_answer,
    paging_goes_through_everything_exactly_once,
    a_cursor_stands_still_while_events_come_and_go,
    a_cursor_fits_where_it_was_given_however_long_the_keys,
    one_event_is_found_by_its_id,
    a_filter_that_is_not_understood_is_refused_by_name_and_place,
    all_events_are_streamed_however_many,
);

/// Twelve events `e00` … `e11` with a few fields.
async fn stocked(server: &Server) -> Client {
    let mut client = server.connect("/ws?changes=none").await;
    for n in 0..12 {
        let event = json!({
            "_id": format!("e{n:02}"), "n": n, "even": n % 2 == 0, "tags": [format!("t{}", n % 3), "all"],
            "deep": {"m": n % 4}, "mixed": if n < 6 { json!(n) } else { json!(n.to_string()) },
        });
        client.ok("CREATE", event).await;
    }
    client
}

fn ids(events: &Value) -> Vec<&str> {
    events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["_id"].as_str().unwrap())
        .collect()
}

async fn filters_find_the_same_over_both_transports(server: Server) {
    let mut client = stocked(&server).await;
    for (filter, expected) in [
        (json!({}), (0..12).collect::<Vec<_>>()),
        (json!({"n": 3}), vec![3]),
        (json!({"n": 3.0}), vec![3]),
        (json!({"n": "3"}), vec![]),
        (json!({"even": true, "n": {"$gte": 8}}), vec![8, 10]),
        (json!({"tags": "t1"}), vec![1, 4, 7, 10]),
        (json!({"deep.m": {"$in": [0, 3]}}), vec![0, 3, 4, 7, 8, 11]),
        (json!({"mixed": {"$gt": 3}}), vec![4, 5]),
        (json!({"missing": null, "n": {"$lt": 2}}), vec![0, 1]),
        (json!({"missing": {"$exists": true}}), vec![]),
        (json!({"$or": [{"n": 1}, {"_id": "e02"}]}), vec![1, 2]),
        (json!({"$nor": [{"n": {"$gt": 1}}]}), vec![0, 1]),
        (json!({"n": {"$not": {"$lt": 10}}}), vec![10, 11]),
        (json!({"n": {"$mod": [5, 1]}}), vec![1, 6, 11]),
        (
            json!({"tags": {"$all": ["t0", "all"], "$size": 2}}),
            vec![0, 3, 6, 9],
        ),
        (
            json!({"_id": {"$regex": "^E1", "$options": "i"}}),
            vec![10, 11],
        ),
        (json!({"_seq": {"$lte": 2}}), vec![0, 1]),
        (json!({"_version": 2}), vec![]),
    ] {
        let expected: Vec<String> = expected.iter().map(|n| format!("e{n:02}")).collect();
        let answer = client.ok("FETCH", json!({"filter": filter})).await;
        assert_eq!(ids(&answer["data"]), expected, "{filter}");
        assert!(answer.get("next").is_none(), "{answer}");
        assert_eq!(answer["seq"], 12);
        let (status, rest) = server
            .get("/api/events", &[("filter", &filter.to_string())])
            .await;
        assert_eq!((status, &rest["success"]), (200, &json!(true)));
        assert_eq!(rest["data"], answer["data"], "{filter}");
    }
}

async fn sort_limit_and_fields_shape_the_answer(server: Server) {
    let mut client = stocked(&server).await;
    let asked = json!({"filter": {"even": true}, "sort": {"deep.m": -1, "n": 1}, "limit": 3, "fields": ["n", "deep.m"]});
    let answer = client.ok("FETCH", asked.clone()).await;
    assert_eq!(
        answer["data"],
        json!([
            {"_id": "e02", "n": 2, "deep": {"m": 2}},
            {"_id": "e06", "n": 6, "deep": {"m": 2}},
            {"_id": "e10", "n": 10, "deep": {"m": 2}},
        ])
    );
    assert!(answer["next"].is_string(), "{answer}");
    let (_, rest) = server
        .get(
            "/api/events",
            &[
                ("filter", r#"{"even":true}"#),
                ("sort", r#"{"deep.m":-1,"n":1}"#),
                ("limit", "3"),
                ("fields", r#"["n","deep.m"]"#),
            ],
        )
        .await;
    assert_eq!(rest["data"], answer["data"], "{rest}");
}

async fn paging_goes_through_everything_exactly_once(server: Server) {
    let mut client = stocked(&server).await;
    for sort in [
        json!({}),
        json!({"_id": -1}),
        json!({"even": 1}),
        json!({"mixed": -1, "deep.m": 1}),
        json!({"missing": 1}),
    ] {
        for limit in [1, 5, 12] {
            let mut seen = Vec::new();
            let mut asked = json!({"sort": sort, "limit": limit});
            loop {
                let answer = client.ok("FETCH", asked.clone()).await;
                seen.extend(ids(&answer["data"]).into_iter().map(str::to_owned));
                match answer.get("next") {
                    Some(next) => asked["cursor"] = next.clone(),
                    None => break,
                }
            }
            let whole = client.ok("FETCH", json!({"sort": sort})).await;
            assert_eq!(seen, ids(&whole["data"]), "{sort} by {limit}");
            assert_eq!(seen.len(), 12);
        }
    }
    let (_, first) = server.get("/api/events", &[("limit", "7")]).await;
    let (_, second) = server
        .get(
            "/api/events",
            &[("limit", "7"), ("cursor", first["next"].as_str().unwrap())],
        )
        .await;
    assert_eq!(
        [ids(&first["data"]), ids(&second["data"])].concat().len(),
        12
    );
    assert!(second.get("next").is_none(), "{second}");
}

async fn a_cursor_stands_still_while_events_come_and_go(server: Server) {
    let mut client = stocked(&server).await;
    let first = client.ok("FETCH", json!({"limit": 4})).await;
    client.ok("DELETE", json!({"id": "e01"})).await;
    client.ok("DELETE", json!({"id": "e03"})).await;
    client.ok("CREATE", json!({"_id": "e02b"})).await;
    client.ok("CREATE", json!({"_id": "e03b"})).await;
    let rest = client.ok("FETCH", json!({"cursor": first["next"]})).await;
    let expected = [
        "e03b", "e04", "e05", "e06", "e07", "e08", "e09", "e10", "e11",
    ];
    assert_eq!(ids(&rest["data"]), expected);
}

async fn one_event_is_found_by_its_id(server: Server) {
    let mut client = stocked(&server).await;
    let odd = "a/b c?d#e%f";
    client.create(json!({"_id": odd, "n": 1})).await;
    let (status, body) = server.get("/api/events/a%2Fb%20c%3Fd%23e%25f", &[]).await;
    assert_eq!(
        (status, &body["success"], &body["data"]["_id"]),
        (200, &json!(true), &json!(odd))
    );
    let (status, body) = server.get("/api/events/nobody", &[]).await;
    assert_eq!(
        (status, &body["success"], &body["error"]["code"]),
        (404, &json!(false), &json!("not_found"))
    );
    assert_eq!(body["error"]["retryable"], false);
}

async fn a_filter_that_is_not_understood_is_refused_by_name_and_place(server: Server) {
    let mut client = stocked(&server).await;
    for (asked, path) in [
        (json!({"filter": {"$where": "1"}}), "filter.$where"),
        (json!({"filter": {"a": {"$foo": 1}}}), "filter.a.$foo"),
        (json!({"filter": {"$or": []}}), "filter.$or"),
        (json!({"filter": []}), "filter"),
        (json!({"filter": {"a": {"$in": 1}}}), "filter.a.$in"),
        (json!({"filter": {"a": {"$regex": "("}}}), "filter.a.$regex"),
        (json!({"sort": {"n": 2}}), "sort.n"),
        (json!({"limit": 0}), "limit"),
        (json!({"limit": "x"}), "limit"),
        (json!({"cursor": "nonsense"}), "cursor"),
        (json!({"fields": [1]}), "fields.0"),
    ] {
        let error = client.refused("FETCH", asked.clone()).await;
        assert_eq!(error["code"], "invalid_filter", "{asked} {error}");
        assert_eq!(error["path"], format!("payload.{path}"), "{asked} {error}");
        let (name, value) = asked.as_object().unwrap().iter().next().unwrap();
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let (status, body) = server.get("/api/events", &[(name, &text)]).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (400, &json!("invalid_filter")),
            "{asked} {body}"
        );
        assert_eq!(
            body["error"]["path"],
            format!("query.{path}"),
            "{asked} {body}"
        );
    }
    client.lives().await;
}

async fn all_events_are_streamed_however_many(server: Server) {
    const COUNT: usize = 20_000;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(server.connect("/ws?changes=none").await);
    }
    let share = COUNT / clients.len();
    let writers = clients.into_iter().enumerate().map(|(writer, mut client)| async move {
        for batch in 0..share / 50 {
            client
                .send_all((0..50).map(|n| {
                    let n = writer * share + batch * 50 + n;
                    json!({"type": "CREATE", "payload": {"_id": format!("{n:05}"), "n": n, "text": "some text of the usual length"}})
                }))
                .await;
            for _ in 0..50 {
                assert_eq!(client.answer().await["success"], true);
            }
        }
    });
    futures::future::join_all(writers).await;
    let (status, body) = server.get("/api/events", &[]).await;
    assert_eq!(status, 200);
    let events = ids(&body["data"]);
    assert_eq!(events.len(), COUNT);
    assert!(events.is_sorted());
    let (_, some) = server
        .get(
            "/api/events",
            &[
                ("filter", r#"{"n":{"$mod":[10,0]}}"#),
                ("fields", r#"["_id"]"#),
            ],
        )
        .await;
    let distinct: BTreeSet<&str> = ids(&some["data"]).into_iter().collect();
    assert_eq!(distinct.len(), COUNT / 10);
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn an_answer_is_as_of_its_seq_even_under_load() {
    let one = Server::start().await;
    let two = one.beside().await;
    let load = Load::bounded(&[&one, &two], 4, 200).await;
    let mut client = two.connect("/ws?changes=none").await;
    let mut seqs = Vec::new();
    loop {
        let answer = client.ok("FETCH", json!({"limit": 1000})).await;
        let seq = answer["seq"].as_u64().unwrap();
        let mut found: Vec<u64> = answer["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["_seq"].as_u64().unwrap())
            .collect();
        found.sort_unstable();
        // Events are only created here, so those there are were made by the changes up to then.
        assert!(
            found.iter().copied().eq(1..=seq),
            "as of {seq} there are {} up to {:?}",
            found.len(),
            found.last()
        );
        seqs.push(seq);
        if seq == 800 {
            break;
        }
    }
    assert!(seqs.is_sorted() && seqs.len() > 2, "{seqs:?}");
    load.finish().await;
}

/// Keys of 50 KB made cursors of 66 KB, which no address holds.
async fn a_cursor_fits_where_it_was_given_however_long_the_keys(server: Server) {
    let mut client = server.connect("/ws?changes=none").await;
    let text = |n: usize| format!("{}{n}", "x".repeat(50_000));
    for n in 0..6 {
        let event = json!({"_id": format!("e{n}"), "text": text(n)});
        client.ok("CREATE", event).await;
    }
    let sort = json!({"text": -1});
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    while found.len() < 6 {
        let mut asked = json!({"sort": sort, "limit": 1, "fields": ["_id"]});
        let sort = sort.to_string();
        let mut parameters = vec![("sort", &*sort), ("limit", "1"), ("fields", "_id")];
        if let Some(cursor) = &cursor {
            assert!(cursor.len() <= 2_048, "{} bytes", cursor.len());
            asked["cursor"] = json!(cursor);
            parameters.push(("cursor", cursor));
        }
        let (status, rest) = server.get("/api/events", &parameters).await;
        assert_eq!(status, 200, "{rest}");
        let answer = client.ok("FETCH", asked).await;
        assert_eq!(answer["data"], rest["data"]);
        found.extend(ids(&answer["data"]).into_iter().map(str::to_owned));
        let last = found.last().unwrap();
        // What became of the event since is not where the page ended.
        let moved = json!({"id": last, "updateData": {"text": "moved to the end"}});
        client.ok("UPDATE", moved).await;
        let next = [&answer["next"], &rest["next"]];
        let [one, other] = next.map(|next| next.as_str().map(str::to_owned));
        assert_eq!(one, other);
        cursor = one;
    }
    assert_eq!(found, ["e5", "e4", "e3", "e2", "e1", "e0"]);
}
