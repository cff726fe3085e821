//! What may stand behind an operator, in a sort or on a path, from one end of its range to the other: the same
//! answer on both stores, and never an outage.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::filters::judge::on_generated;
use crate::support::{Client, Server};

/// Events of every shape that an order or a path can stumble over.
fn events() -> Vec<Value> {
    let numbers = [0, 1, -1, i64::from(i32::MAX), i64::MAX, i64::MIN];
    let numbers = numbers.map(|n| json!({"a": n, "b": n}));
    let shapes = [
        json!({"a": [{"0": 1}], "b": [1]}),
        json!({"a": [{"0": 2}, {"0": 0}], "b": [2, 3]}),
        json!({"a": [[1, 2], [0]], "b": [[1]]}),
        json!({"a": {"0": {"0": 1}}, "b": {"1": [1]}}),
        json!({"a": [], "b": []}),
        json!({"a": null}),
        json!({"b": true}),
        json!({"a": "x".repeat(3_000), "b": 0.5}),
        json!({"a": [{"b": [{"0": [{"0": 1}]}]}], "b": 1e300}),
    ];
    numbers.into_iter().chain(shapes).collect()
}

fn number() -> impl Strategy<Value = Value> {
    let edges = [
        i64::MIN,
        i64::from(i32::MIN) - 1,
        i64::from(i32::MIN),
        -1,
        0,
        1,
        2,
        i64::from(i32::MAX),
        i64::from(i32::MAX) + 1,
        i64::MAX,
    ];
    let floats = [0.5, -0.0, 2.0, 2_147_483_648.0, 9.3e18, 1e300, -1e300];
    prop_oneof![
        select(edges.to_vec()).prop_map(|n| json!(n)),
        select(floats.to_vec()).prop_map(|n| json!(n)),
    ]
}

fn operand() -> impl Strategy<Value = Value> {
    let others = [
        json!(null),
        json!("x"),
        json!([]),
        json!({}),
        json!(true),
        json!("int"),
    ];
    prop_oneof![4 => number(), 1 => select(others.to_vec())]
}

fn path() -> impl Strategy<Value = String> {
    let names = select(vec![
        "a",
        "b",
        "0",
        "1",
        "00",
        "2147483648",
        "99999999999999999999",
    ]);
    prop_oneof![
        4 => prop::collection::vec(names, 1..6).prop_map(|names| names.join(".")),
        1 => (1_usize..40).prop_map(|zeros| format!("a{}", ".0".repeat(zeros))),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    let one = vec!["$size", "$exists", "$type", "$gt", "$lte", "$eq", "$ne"];
    let lists = vec!["$in", "$nin", "$all", "$mod", "$type"];
    let operator = prop_oneof![
        3 => (select(one), operand()).prop_map(|(name, operand)| json!({name: operand})),
        2 => (select(lists), prop::collection::vec(operand(), 0..4))
            .prop_map(|(name, operands)| json!({name: operands})),
        1 => (select(vec!["$in", "$all"]), 500..1_100_usize)
            .prop_map(|(name, count)| json!({name: vec![1; count]})),
    ];
    operator.prop_flat_map(|operator| {
        let shapes = [
            operator.clone(),
            json!({"$not": operator}),
            json!({"$elemMatch": operator}),
            json!({"$elemMatch": {"0": operator}}),
            json!({"$all": [{"$elemMatch": operator}]}),
        ];
        select(shapes.to_vec())
    })
}

fn query() -> impl Strategy<Value = Value> {
    let filter = prop_oneof![
        1 => Just(json!({})),
        3 => (path(), condition()).prop_map(|(path, condition)| json!({path: condition})),
        1 => (path(), condition()).prop_map(|(path, condition)| json!({"$nor": [{path: condition}]})),
    ];
    let direction = prop_oneof![
        8 => select(vec![json!(1), json!(-1)]),
        1 => operand(),
    ];
    let sort = prop::collection::btree_map(path(), direction, 0..3);
    let limit = prop_oneof![3 => Just(json!(3)), 1 => number()];
    let fields = prop::collection::vec(path(), 0..3);
    (filter, sort, limit, fields).prop_map(|(filter, sort, limit, fields)| {
        let mut query = json!({"filter": filter, "sort": sort, "limit": limit});
        if !fields.is_empty() {
            query["fields"] = json!(fields);
        }
        query
    })
}

/// All pages, or why there are none: what does not differ from store to store.
async fn answer(client: &mut Client, query: &Value) -> Vec<Value> {
    let (mut pages, mut query) = (Vec::new(), query.clone());
    loop {
        let mut answer = client.request("FETCH", query.clone()).await;
        if answer["type"] == "error" {
            pages.push(answer["error"].take());
            return pages;
        }
        for event in answer["data"].as_array_mut().unwrap() {
            event
                .as_object_mut()
                .unwrap()
                .retain(|name, _| !name.ends_with("At"));
        }
        let next = answer["next"].take();
        pages.push(answer["data"].take());
        if next.is_null() || pages.len() > 20 {
            return pages;
        }
        query["cursor"] = next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operands_of_every_range_have_the_same_answer_on_both_stores() {
    let (mongodb, embedded) = (Server::start().await, Server::in_folder().await);
    let mut clients = Vec::new();
    for server in [&mongodb, &embedded] {
        let mut client = server.connect("/ws?changes=none").await;
        for (n, event) in events().into_iter().enumerate() {
            let mut event = event;
            event["_id"] = json!(format!("e{n:02}"));
            client.create(event).await;
        }
        clients.push(client);
    }
    let clients = tokio::sync::Mutex::new(clients);
    let runtime = tokio::runtime::Handle::current();
    let cases = std::env::var("LIVELOG_LONG_TESTS").map_or(250, |_| 5_000);
    let judged = tokio::task::block_in_place(|| {
        on_generated(cases, &query(), |query| {
            let (first, second) = runtime.block_on(async {
                let mut clients = clients.lock().await;
                let [first, second] = &mut clients[..] else {
                    unreachable!()
                };
                tokio::join!(answer(first, &query), answer(second, &query))
            });
            prop_assert_eq!(&first, &second, "{}", query);
            let code = first.last().and_then(|last| last.get("code"));
            let is_named = code.is_none_or(|code| code == "invalid_filter");
            prop_assert!(is_named, "{}: {:?}", query, first.last());
            Ok(())
        })
    });
    judged.unwrap_or_else(|failure| panic!("{failure}"));
}
