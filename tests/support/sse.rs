//! A client of `GET /api/changes` as Server-Sent Events, reading them with a parser that is not ours.

use std::pin::Pin;

use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures::{Stream, StreamExt};
use serde_json::{Value, json};

use super::{DEADLINE, Server, Subscriber};

type Incoming = Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<reqwest::Error>>> + Send>>;

/// An open stream of events.
pub struct EventSource {
    incoming: Incoming,
    /// What a browser would send as `Last-Event-ID` when it came back.
    pub last_id: String,
    /// The last that came by this stream.
    heard_id: String,
}

impl EventSource {
    /// Opens one, with query parameters; and goes on where another left off.
    pub async fn open(server: &Server, parameters: &[(&str, &str)], last_id: &str) -> Self {
        let response = request(server, parameters, last_id).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            incoming: Box::pin(response.bytes_stream().eventsource()),
            last_id: last_id.to_owned(),
            heard_id: String::new(),
        }
    }

    /// The next event as (type, data, its own id); `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<(String, Value, Option<String>)> {
        let event = tokio::time::timeout(DEADLINE, self.incoming.next())
            .await
            .expect("nothing was heard");
        // A server that goes away may cut the last piece short.
        let event = event?.ok()?;
        let data: Value = serde_json::from_str(&event.data).unwrap();
        // The parser repeats the last id with events that have none, as a browser does.
        let own = (event.id != self.heard_id).then(|| event.id.clone());
        if let Some(id) = &own {
            self.last_id.clone_from(id);
            self.heard_id.clone_from(id);
        }
        Some((event.event, data, own))
    }

    /// Hands the next event to the subscriber, after a look at type and id.
    pub async fn tell(&mut self, subscriber: &mut Subscriber, epoch: &str) -> bool {
        let Some((kind, mut frame, own)) = self.next().await else {
            return false;
        };
        assert_eq!(kind, frame["type"], "{frame}");
        assert_eq!(frame.get("sub"), None, "{frame}");
        if own.is_some() || ["change", "live", "behind"].contains(&&*kind) {
            let position = frame["seq"].as_u64().unwrap();
            assert_eq!(self.last_id, format!("{epoch}:{position}"), "{frame}");
        }
        assert!(own.is_none() || kind != "snapshot", "{frame}");
        frame["sub"] = json!(subscriber.name);
        subscriber.hear(frame);
        true
    }
}

/// What opens a stream.
pub fn request(
    server: &Server,
    parameters: &[(&str, &str)],
    last_id: &str,
) -> reqwest::RequestBuilder {
    let url = reqwest::Url::parse_with_params("http://livelog/api/changes", parameters).unwrap();
    let path = format!("/api/changes?{}", url.query().unwrap_or_default());
    let request = server.http("GET", &path);
    let request = request.header("accept", "text/event-stream");
    match last_id {
        "" => request,
        id => request.header("last-event-id", id),
    }
}
