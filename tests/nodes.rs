//! Several nodes on one MongoDB: what a client may rely on, whichever of them it talks to.

use serde_json::{Value, json};

use crate::support::{Client, Server};

/// Rounds of a race. Each is won by either node.
const ROUNDS: u64 = 100;

async fn two_nodes() -> (Server, Client, Client, Server) {
    let one = Server::start().await;
    let two = one.beside().await;
    let (first, second) = (
        one.connect("/ws?changes=none").await,
        two.connect("/ws?changes=none").await,
    );
    (one, first, second, two)
}

/// Sends to both before either has answered.
async fn ask_both(first: &mut Client, second: &mut Client, frames: [&Value; 2]) -> [Value; 2] {
    first.send(frames[0]).await;
    second.send(frames[1]).await;
    let (one, two) = tokio::join!(first.answer(), second.answer());
    [one, two]
}

#[tokio::test]
async fn of_two_nodes_that_write_at_one_version_exactly_one_wins() {
    let (_one, mut first, mut second, _two) = two_nodes().await;
    first.create(json!({"_id": "e", "n": 0})).await;
    let mut wins = [0, 0];
    for version in 1..=ROUNDS {
        let attempt = |node: u64| {
            let data = json!({"by": node, "n": version});
            let payload = json!({"id": "e", "updateData": data, "expectedVersion": version});
            json!({"type": "UPDATE", "payload": payload})
        };
        let answers = ask_both(&mut first, &mut second, [&attempt(0), &attempt(1)]).await;
        let winner = answers
            .iter()
            .position(|answer| answer["success"] == true)
            .expect("one wins");
        wins[winner] += 1;
        let error = &answers[1 - winner]["error"];
        assert_eq!(
            error["code"], "version_conflict",
            "round {version}: {answers:?}"
        );
        let details = &error["details"];
        assert_eq!(details["currentVersion"], version + 1);
        assert_eq!(details["current"], answers[winner]["data"]);
    }
    println!("{wins:?} of {ROUNDS} rounds won");
}

#[tokio::test]
async fn a_command_sent_to_two_nodes_at_once_is_carried_out_once() {
    let (one, mut first, mut second, _two) = two_nodes().await;
    for round in 1..=ROUNDS {
        let payload = json!({"n": round});
        let create =
            json!({"type": "CREATE", "commandId": format!("c{round}"), "payload": payload});
        let answers = ask_both(&mut first, &mut second, [&create, &create]).await;
        assert_eq!(answers[0]["seq"], round, "{answers:?}");
        assert_eq!(answers[0]["data"], answers[1]["data"]);
        let repeated = answers.iter().filter(|answer| answer["duplicate"] == true);
        assert_eq!(repeated.count(), 1, "{answers:?}");
    }
    one.until_fed(ROUNDS).await;
    assert_eq!(one.get("/readyz", &[]).await.1["seq"], ROUNDS);
}

#[tokio::test]
async fn what_one_node_answered_is_read_and_restored_at_the_other() {
    let (_one, mut first, mut second, two) = two_nodes().await;
    first.create(json!({"_id": "e", "n": 1})).await;
    for round in 2..=ROUNDS {
        let payload = json!({"id": "e", "updateData": {"n": round}});
        let seq = first.ok("UPDATE", payload).await["seq"].clone();
        let read = second.ok("FETCH", json!({"minSeq": seq})).await;
        assert_eq!(read["data"][0]["n"], round, "{read}");
        let read = second.ok("FETCH", json!({"at": seq})).await;
        assert_eq!((&read["data"][0]["n"], &read["seq"]), (&json!(round), &seq));
        let parameters = [("minSeq", seq.to_string()), ("limit", "1".to_owned())];
        let parameters = parameters
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let (_, history) = two.get("/api/events/e/history", &parameters).await;
        assert_eq!(history["data"][0]["seq"], seq, "{history}");
    }
    let restored = second.ok("RESTORE", json!({"id": "e", "version": 7})).await;
    assert_eq!(
        (&restored["data"]["n"], &restored["data"]["_version"]),
        (&json!(7), &json!(ROUNDS + 1))
    );
}
