//! Sessions that stop reading cost the others nothing, and lose nothing themselves.

use std::time::{Duration, Instant};

use futures::future::join_all;
use livelog::limits;
use serde_json::json;

use crate::support::client::{COME_BACK, End};
use crate::support::sse::EventSource;
use crate::support::{Client, Server, Subscriber};

const SESSIONS: usize = 30;
const SLOW: usize = 3;
const WRITES: usize = 120;

/// Far less than the 10 s after which a session that does not read is let go.
const LAG_MAX: Duration = Duration::from_secs(5);

/// Both at once, because it takes as long as a client may be silent.
#[tokio::test]
async fn subscribers_that_stop_reading_hold_up_nobody_and_resume_without_loss() {
    let (mongodb, embedded) = (Server::start().await, Server::in_folder().await);
    tokio::join!(some_stop_reading(&mongodb), some_stop_reading(&embedded));
}

async fn some_stop_reading(server: &Server) {
    let mut sessions = Vec::new();
    for n in 0..SESSIONS {
        let mut client = server.connect("/ws?changes=none").await;
        // Those that will stop want all of it, and so do as many of the others: more than sockets and
        // the window hold.
        let fields = (n >= 2 * SLOW).then_some(&["n"][..]);
        let mut subscriber = Subscriber::new("s", json!({"on": true}), fields);
        subscriber.begin(&mut client, json!({})).await;
        sessions.push((client, subscriber));
    }
    let mut healthy = sessions.split_off(SLOW);
    let parameters = [("filter", r#"{"on":true}"#), ("after", "0")];
    let mut events = EventSource::open(server, &parameters, "").await;
    let mut writer = server.connect("/ws?changes=none").await;
    let text = "x".repeat(250_000);
    let mut slowest = Duration::ZERO;
    for n in 0..WRITES {
        let on = n % 8 != 7;
        let (id, _) = writer.create(json!({"n": n, "on": on, "text": text})).await;
        if on {
            let answered = Instant::now();
            let hearing = healthy
                .iter_mut()
                .map(|(client, subscriber)| subscriber.until_told_of(client, &id));
            join_all(hearing).await;
            slowest = slowest.max(answered.elapsed());
        }
    }
    assert!(
        slowest < LAG_MAX,
        "the slowest of the healthy was {slowest:?} behind"
    );
    let told = &healthy[0].1.changes;
    assert_eq!(told.len(), WRITES - WRITES / 8);

    tokio::time::sleep(limits::WRITE_DEADLINE + Duration::from_secs(3)).await;
    for (client, subscriber) in &mut sessions {
        let last = told.last().unwrap()["eventId"].as_str().unwrap();
        go_on(server, client, subscriber, last).await;
        assert_eq!(subscriber.changes, *told);
    }
    let epoch = writer.welcome["epoch"].as_str().unwrap();
    let mut streamed = Subscriber::new("s", json!({"on": true}), None);
    streamed.begun(&json!({"sub": "s", "seq": 0}), &json!({"after": 0}));
    while events.tell(&mut streamed, epoch).await {}
    assert!(
        streamed.changes.len() < told.len(),
        "the sockets held everything"
    );
    let mut events = EventSource::open(server, &parameters, &events.last_id).await;
    streamed.reconnected();
    while streamed.changes.len() < told.len() {
        assert!(events.tell(&mut streamed, epoch).await, "it ended early");
    }
    assert_eq!(streamed.changes, *told);
}

/// Reads what the socket held, finds the session ended, and comes back for the rest.
async fn go_on(server: &Server, client: &mut Client, subscriber: &mut Subscriber, last: &str) {
    let end = client.end().await;
    let told_so = matches!(end, End::Closed(code) if COME_BACK.contains(&code));
    assert!(told_so || end == End::Lost, "{end:?}");
    for frame in client.told.drain(..) {
        subscriber.hear(frame);
    }
    assert!(!subscriber.was_told_of(last), "the sockets held everything");
    *client = server.connect("/ws?changes=none").await;
    subscriber.resume(client).await;
    subscriber.until_told_of(client, last).await;
}
