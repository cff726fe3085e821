//! Where a log is served, and what somebody hears there by each door.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use eventsource_stream::Eventsource;
use futures::{SinkExt, Stream, StreamExt};
use livelog::limits;
use livelog::node::NodeFailed;
use livelog::server;
use livelog::store::StoreOptions;
use livelog::store::embedded::{EmbeddedOptions, EmbeddedStore};
use livelog::transport::{AccessPolicy, TrustedProxies};
use redb::backends::InMemoryBackend;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use crate::support::guarded::{AccessFile, bearer};
use crate::support::{Client, DEADLINE, Database, Server};

/// How long nothing is told where nothing can be.
const QUIET: Duration = Duration::from_millis(20);

/// A node in this process.
type RunningNode = JoinHandle<Result<(), NodeFailed>>;

/// A log that is served.
pub struct House {
    /// Where others write.
    others: String,
    /// Where its principal is: another node, perhaps.
    own: String,
    http: reqwest::Client,
    _servers: Vec<Server>,
    inside: Option<(oneshot::Sender<()>, RunningNode)>,
}

impl House {
    fn new(others: String, own: String) -> Self {
        // The server ends connections that are not used.
        let http = reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(3));
        let http = http.build().unwrap();
        Self {
            others,
            own,
            http,
            _servers: Vec::new(),
            inside: None,
        }
    }

    /// A node in this process, on memory.
    pub async fn inside(file: &AccessFile) -> Self {
        let store = EmbeddedStore::open_on(InMemoryBackend::new(), 1_000_000).await;
        let dir = "never opened".into();
        let config = server::Config {
            has_socketio: true,
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            store: StoreOptions::Embedded(EmbeddedOptions { dir }),
            access_file: Some(file.path().into()),
            access: AccessPolicy::default(),
            proxies: TrustedProxies::default(),
            has_console: false,
            indexes: Vec::new(),
            window_bytes: limits::LIVE_WINDOW_BYTES_DEFAULT,
        };
        let server = server::Server::bind_on(store.unwrap(), config)
            .await
            .unwrap();
        let address = server.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self {
            inside: Some((stop, running)),
            ..Self::new(address.clone(), address)
        }
    }

    /// A real server.
    pub async fn process(database: Arc<Database>, file: &AccessFile) -> Self {
        let server = open_server(database, file).await;
        let address = server.address().to_owned();
        Self {
            _servers: vec![server],
            ..Self::new(address.clone(), address)
        }
    }

    /// Two real servers on one database.
    pub async fn two(database: Arc<Database>, file: &AccessFile) -> Self {
        let one = open_server(Arc::clone(&database), file).await;
        let other = open_server(database, file).await;
        let (others, own) = (one.address().to_owned(), other.address().to_owned());
        Self {
            _servers: vec![one, other],
            ..Self::new(others, own)
        }
    }

    pub async fn close(self) {
        if let Some((stop, running)) = self.inside {
            drop(stop);
            running.await.unwrap().unwrap();
        }
    }

    /// Sessions of who writes for others.
    pub async fn service(&self, token: &str) -> Service {
        let path = "/ws?changes=none";
        Service {
            writer: connect(&self.others, path, Some(token)).await,
            ear: connect(&self.own, path, Some(token)).await,
        }
    }

    /// A session of the principal.
    pub async fn session(&self, token: Option<&str>, after: Option<u64>) -> Client {
        let path = match after {
            None => "/ws".to_owned(),
            Some(after) => format!("/ws?after={after}"),
        };
        connect(&self.own, &path, token).await
    }

    /// Status and body of a GET by the principal.
    pub async fn get(
        &self,
        token: Option<&str>,
        path: &str,
        query: &[(&str, String)],
    ) -> (u16, Value) {
        let answer = self.request(token, path, query).send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.text().await.unwrap();
        let body = serde_json::from_str(&body);
        (status, body.unwrap_or(Value::Null))
    }

    /// Status and body of a PATCH by the principal of what is at this version.
    pub async fn patch(
        &self,
        token: Option<&str>,
        id: &str,
        version: u64,
        fields: &Value,
    ) -> Value {
        let url = format!("http://{}/api/events/{id}", self.own);
        let mut request = self
            .http
            .patch(url)
            .header("if-match", format!("\"{version}\""));
        if let Some(token) = token {
            request = request.header("authorization", bearer(token));
        }
        let answer = request.json(fields).send().await.unwrap();
        let status = answer.status().as_u16();
        json!([status, answer.json::<Value>().await.unwrap()])
    }

    fn request(
        &self,
        token: Option<&str>,
        path: &str,
        query: &[(&str, String)],
    ) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.own);
        let url = reqwest::Url::parse_with_params(&url, query).unwrap();
        let request = self.http.get(url);
        match token {
            None => request,
            Some(token) => request.header("authorization", bearer(token)),
        }
    }

    /// All pages of a list, each after the one before.
    pub async fn pages(
        &self,
        token: Option<&str>,
        path: &str,
        query: &[(&str, String)],
        cursor: &str,
    ) -> Value {
        let mut query = query.to_vec();
        let mut found = Vec::new();
        loop {
            let (status, body) = self.get(token, path, &query).await;
            let Some(data) = body["data"].as_array() else {
                return json!([found, status, body]);
            };
            found.extend(data.iter().cloned());
            let next = match &body["next"] {
                Value::Null => return json!([found, status]),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            query.retain(|(name, _)| *name != cursor);
            query.push((cursor, next));
        }
    }

    /// A stream of Server-Sent Events after a position.
    pub async fn events(&self, token: Option<&str>, after: u64) -> Events {
        let request = self.request(token, "/api/changes", &[("after", after.to_string())]);
        let answer = request
            .header("accept", "text/event-stream")
            .send()
            .await
            .unwrap();
        let incoming = answer.bytes_stream().eventsource();
        Events(Box::pin(incoming.map(|event| {
            event.map(|event| event.data).unwrap_or_default()
        })))
    }

    /// What somebody hears over Socket.IO after a position, up to what is named, and the answer to a FETCH.
    pub async fn socketio(&self, token: Option<&str>, after: u64, until: Option<&str>) -> Value {
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", self.own);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let mut auth = json!({"after": after});
        if let Some(token) = token {
            auth["token"] = json!(token);
        }
        let packets = [
            format!("40{auth}"),
            r#"420["FETCH",{"limit":2}]"#.to_owned(),
        ];
        let (mut heard, mut is_answered, mut is_over) = (Vec::new(), false, false);
        let mut packets = packets.into_iter();
        socket
            .send(Message::text(packets.next().unwrap()))
            .await
            .unwrap();
        loop {
            let wait = match until.is_none() && is_answered {
                true => QUIET,
                false => DEADLINE,
            };
            let Ok(message) = tokio::time::timeout(wait, socket.next()).await else {
                assert!(
                    until.is_none() && is_answered,
                    "nothing is heard over Socket.IO"
                );
                return heard.into();
            };
            let message = message.unwrap().unwrap();
            let text = message.to_text().unwrap();
            match text.split_at(text.find(['[', '{']).unwrap_or(text.len())) {
                ("40", _) => socket
                    .send(Message::text(packets.next().unwrap()))
                    .await
                    .unwrap(),
                ("2", _) => socket.send(Message::text("3")).await.unwrap(),
                ("430", answer) => {
                    is_answered = true;
                    heard.insert(0, serde_json::from_str(answer).unwrap());
                }
                ("42", event) => {
                    let event: Value = serde_json::from_str(event).unwrap();
                    let is_last = until.is_some_and(|id| event[1]["eventId"] == id);
                    match event[0].as_str() {
                        Some("change") if !is_last => heard.push(event),
                        _ => {}
                    }
                    is_over |= is_last;
                }
                ("0" | "", _) => {}
                (kind, rest) => panic!("{kind}{rest}"),
            }
            if is_over && is_answered {
                return heard.into();
            }
        }
    }
}

async fn open_server(database: Arc<Database>, file: &AccessFile) -> Server {
    Server::on(database, &["--access", &file.path(), "--socketio"]).await
}

async fn connect(address: &str, path: &str, token: Option<&str>) -> Client {
    let url = format!("ws://{address}{path}");
    let shown = token.map(bearer);
    let headers: Vec<_> = shown
        .iter()
        .map(|shown| ("authorization", shown.as_str()))
        .collect();
    Client::connect(&url, &headers).await.unwrap()
}

/// Who writes for all others, and hears everything.
pub struct Service {
    pub writer: Client,
    /// At the node of the principal.
    pub ear: Client,
}

/// A stream of Server-Sent Events.
pub struct Events(Pin<Box<dyn Stream<Item = String> + Send>>);

impl Events {
    /// The changes up to one of the event that is named.
    pub async fn until(&mut self, id: Option<&str>) -> Value {
        let mut heard = Vec::new();
        let until = Instant::now() + id.map_or(QUIET, |_| DEADLINE);
        loop {
            let Ok(event) = timeout_at(until, self.0.next()).await else {
                assert!(id.is_none(), "nothing is heard of {id:?}");
                return heard.into();
            };
            let event = event.expect("the stream goes on");
            // A sign of life says nothing.
            if event.is_empty() {
                continue;
            }
            let event: Value = serde_json::from_str(&event).unwrap();
            if id.is_some_and(|id| event["eventId"] == id) {
                return heard.into();
            }
            if event["type"] != "live" {
                heard.push(event);
            }
        }
    }
}

/// What was heard on a session, each subscription apart.
pub async fn hear_out(client: &mut Client, until: Option<&str>) {
    while until.is_some_and(|id| client.changes.iter().all(|change| change["eventId"] != id)) {
        client.read().await.expect("a change, not the end");
    }
    // What a session was told of when it was asked is sent before the answer to the next question.
    for _ in 0..3 {
        let nothing = json!({"type": "FETCH", "payload": {"filter": {"_id": "nobody"}}});
        client.send(&nothing).await;
        client.answer().await;
    }
}
