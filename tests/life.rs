//! A node lives or says that it does not: tasks that die take it down in good order, and nothing else does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use livelog::limits;
use livelog::node::NodeFailed;
use livelog::server;
use livelog::server::Config;
use livelog::store::embedded::{EmbeddedOptions, EmbeddedStore};
use livelog::store::{Store, StoreOptions};
use livelog::transport::{AccessPolicy, TrustedProxies};
use mongodb::bson::{Bson, Document, doc};
use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::client::{COME_BACK, End};
use crate::support::faulty::{FaultyStore, Plant};
use crate::support::{Client, DEADLINE, Server, eventually};

/// A deadline is kept on a busy machine too.
const SLACK: Duration = Duration::from_secs(10);

/// A node in this process, on a store that does as told.
pub struct Node {
    address: String,
    running: JoinHandle<Result<(), NodeFailed>>,
}

impl Node {
    pub async fn on(store: Arc<dyn Store>) -> Self {
        let dir = "never opened".into();
        let config = Config {
            has_socketio: false,
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            store: StoreOptions::Embedded(EmbeddedOptions { dir }),
            access_file: None,
            access: AccessPolicy::default(),
            proxies: TrustedProxies::default(),
            has_console: true,
            indexes: Vec::new(),
            window_bytes: limits::LIVE_WINDOW_BYTES_DEFAULT,
        };
        let server = server::Server::bind_on(store, config).await.unwrap();
        let address = server.local_addr().unwrap().to_string();
        let running = tokio::spawn(server.run(std::future::pending()));
        Self { address, running }
    }

    pub async fn client(&self) -> Client {
        let url = format!("ws://{}/ws", self.address);
        Client::connect(&url, &[]).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Option<(u16, Value)> {
        let answer = reqwest::get(format!("http://{}{path}", self.address)).await;
        let answer = answer.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.unwrap()))
    }

    /// Its sessions are sent away, its health says why, and it ends for this reason, in time.
    async fn fails(self, mut session: Client, cause: &str) {
        let asked = Instant::now();
        for path in ["/healthz", "/readyz"] {
            let error = eventually("its health says so", async || {
                let (status, body) = self.get(path).await?;
                (status == 503).then(|| body["error"].clone())
            })
            .await;
            assert_eq!(
                (&error["code"], &error["retryable"]),
                (&json!("node_failed"), &json!(true))
            );
            assert!(
                error["message"].as_str().unwrap().contains(cause),
                "{error}"
            );
        }
        let End::Closed(code) = session.end().await else {
            panic!("its session was not sent away");
        };
        assert!(COME_BACK.contains(&code), "{code}");
        let ended = tokio::time::timeout(DEADLINE, self.running).await;
        let reason = ended.unwrap().unwrap().unwrap_err().to_string();
        assert!(reason.contains(cause), "{reason}");
        let longest = limits::FAILED_GRACE + limits::SHUTDOWN_DEADLINE + SLACK;
        assert!(asked.elapsed() < longest, "{:?}", asked.elapsed());
    }
}

async fn in_memory() -> Arc<FaultyStore> {
    let store = EmbeddedStore::open_on(InMemoryBackend::new(), 1_000_000).await;
    FaultyStore::new(store.unwrap(), [])
}

fn create() -> Value {
    json!({"type": "CREATE", "id": 1, "payload": {"n": 1}})
}

fn broadcast() -> Value {
    json!({"type": "BROADCAST", "id": 2, "payload": {"n": 1}})
}

/// A node whose store does this at the next such call ends when a client sends this.
async fn fails_at(plant: Plant, request: &Value, cause: &str) {
    let store = in_memory().await;
    let node = Node::on(store.clone()).await;
    let mut client = node.client().await;
    client.create(json!({})).await;
    assert_eq!(node.get("/healthz").await.unwrap().0, 200);
    store.plant(plant);
    client.send(request).await;
    node.fails(client, cause).await;
}

#[tokio::test]
async fn a_node_whose_committer_panics_says_so_and_ends() {
    fails_at(
        Plant::AppendPanics,
        &create(),
        "the committer panicked: planted",
    )
    .await;
}

#[tokio::test]
async fn a_node_whose_announcer_panics_says_so_and_ends() {
    fails_at(
        Plant::PublishPanics,
        &broadcast(),
        "the announcer panicked: planted",
    )
    .await;
}

#[tokio::test]
async fn a_node_whose_pump_panics_says_so_and_ends() {
    fails_at(Plant::TailPanics, &create(), "the pump panicked: planted").await;
}

#[tokio::test]
async fn a_node_whose_tail_ends_says_so_and_ends() {
    fails_at(Plant::TailEnds, &create(), "the pump ended").await;
}

/// Memory that panics when it is written to, from some moment on.
#[derive(Debug)]
struct Panicking {
    memory: InMemoryBackend,
    panics: Arc<AtomicBool>,
}

impl StorageBackend for Panicking {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "planted");
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(offset, data)
    }
}

#[tokio::test]
async fn a_node_whose_writer_thread_panics_says_so_and_ends() {
    let panics = Arc::new(AtomicBool::new(false));
    let disk = Panicking {
        memory: InMemoryBackend::new(),
        panics: Arc::clone(&panics),
    };
    let store = EmbeddedStore::open_on(disk, 1_000_000).await.unwrap();
    let node = Node::on(store).await;
    let mut client = node.client().await;
    client.create(json!({})).await;
    panics.store(true, Ordering::SeqCst);
    client.send(&create()).await;
    node.fails(client, "the writer's thread panicked: planted")
        .await;
}

#[tokio::test]
async fn a_request_that_panics_is_answered_as_internal_and_costs_nobody_else() {
    let store = in_memory().await;
    let node = Node::on(store.clone()).await;
    let mut client = node.client().await;
    let (id, _) = client.create(json!({})).await;
    store.plant(Plant::ReadsPanic);
    let error = client.refused("FETCH", json!({})).await;
    assert_eq!(error["code"], "internal");
    let payload = json!({"sub": "s", "snapshot": true});
    let error = client.refused("SUBSCRIBE", payload).await;
    assert_eq!(error["code"], "internal");
    for path in ["/api/events", &format!("/api/events/{id}/history")] {
        let (status, body) = node.get(path).await.unwrap();
        assert_eq!((status, &body["error"]["code"]), (500, &json!("internal")));
    }
    store.plant(Plant::Nothing);
    client.lives().await;
    client.create(json!({})).await;
    assert_eq!(node.get("/healthz").await.unwrap().0, 200);
    assert_eq!(node.get("/readyz").await.unwrap().0, 200);
    assert!(!node.running.is_finished());
}

/// Documents that are no broadcasts of livelog's.
fn no_broadcasts() -> Vec<Document> {
    let payloads: [Bson; 18] = [
        "no JSON".into(),
        "".into(),
        "{\"a\":".into(),
        "{} {}".into(),
        "\u{0}".into(),
        "NaN".into(),
        Bson::Null,
        7.into(),
        doc! {"text": "{}"}.into(),
        vec![Bson::from("{}")].into(),
        format!("\"{}\"", "x".repeat(limits::MESSAGE_BYTES_MAX)).into(),
        "[".repeat(100_000).into(),
        // JSON, and refused if a client sends it.
        "1e999".into(),
        "18446744073709551616".into(),
        "{\"a\":{\"b\":1,\"b\":2}}".into(),
        format!("{}{}", "[".repeat(5_000), "]".repeat(5_000)).into(),
        format!("{}{}", "[".repeat(100), "]".repeat(100)).into(),
        "{\"a\":[9223372036854775808]}".into(),
    ];
    let wrong = payloads.map(|payload| doc! {"payload": payload});
    let others = [
        doc! {},
        doc! {"redaction": "yes"},
        doc! {"batch": 1, "redaction": Bson::Null},
        doc! {"_id": "text", "fullDocument": {"payload": "{}"}},
    ];
    wrong.into_iter().chain(others).collect()
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn broadcasts_that_cannot_be_read_are_skipped_and_everything_goes_on() {
    let one = Server::start().await;
    let two = one.beside().await;
    let mut clients = [one.client().await, two.client().await];
    let driver = one.database.driver().await;
    let broadcasts = driver.collection::<Document>("broadcasts");
    broadcasts.insert_many(no_broadcasts()).await.unwrap();
    clients[0].ok("BROADCAST", json!({"first": true})).await;
    for client in &mut clients {
        assert_eq!(client.broadcast().await["payload"], json!({"first": true}));
    }
    // Larger than what a change stream can carry.
    let huge = doc! {"payload": "x".repeat(16 * 1024 * 1024 - 100)};
    broadcasts.insert_one(huge).await.unwrap();
    for n in 1..=3 {
        let (_, seq) = clients[0].create(json!({"n": n})).await;
        for client in &mut clients {
            assert_eq!(client.change().await["seq"], seq);
        }
    }
    // A stream that broke over the huge one is opened anew; what is said meanwhile is said to nobody.
    for sender in [0, 1] {
        let said = eventually("broadcasts reach both", async || {
            clients[sender].ok("BROADCAST", json!({"by": sender})).await;
            let mut heard = 0;
            for client in &mut clients {
                let wait = Duration::from_millis(500);
                while client.broadcasts.is_empty() && client.read_within(wait).await.is_some() {}
                heard += usize::from(!client.broadcasts.is_empty());
                client.broadcasts.clear();
            }
            (heard == 2).then_some(())
        });
        said.await;
    }
    for server in [&one, &two] {
        assert_eq!(server.status("/readyz").await, 200);
        let logged = server.logged();
        assert!(logged.contains("cannot be read is skipped"), "{logged}");
        assert!(!logged.contains("panicked"), "{logged}");
        let lines = logged.matches("cannot be read is skipped").count();
        assert!(lines < 4, "{lines} lines for 22 documents");
    }
}
