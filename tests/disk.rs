//! The disk under the embedded store: full, failing, read-only, damaged, or another than it was.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use futures::future::join_all;
use livelog::domain::{Change, CommandId, CommandKey, Event, Seq};
use livelog::node::Requester;
use livelog::query::{Direction, Query};
use livelog::store::embedded::{EmbeddedOptions, EmbeddedStore};
use livelog::store::{AppendError, Batch, HistoryRange, Store, StoreError};
use livelog::value::{Document, Value};
use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use serde_json::json;
use uuid::Uuid;

use crate::life::Node;
use crate::support::database::{command, livelog, output, scratch};
use crate::support::dice::{Dice, number};
use crate::support::history::{History, fold, id};
use crate::support::{Client, Database, Server, eventually};

const FILE: &str = "livelog.redb";

// A disk that refuses.

/// Disks in the default run.
const DISKS: u64 = 24;

/// How often each disk refuses and is well again.
const REFUSALS: usize = 2;

/// Memory that refuses every write from some moment on.
#[derive(Debug, Clone)]
struct Disk(Arc<Platter>);

#[derive(Debug)]
struct Platter {
    memory: InMemoryBackend,
    /// After so many more, and how.
    refuses: Mutex<Option<(usize, io::ErrorKind)>>,
}

impl Disk {
    fn new() -> Self {
        Self(Arc::new(Platter {
            memory: InMemoryBackend::new(),
            refuses: Mutex::new(None),
        }))
    }

    fn refuse(&self, after: usize, how: io::ErrorKind) {
        *self.0.refuses.lock().unwrap() = Some((after, how));
    }

    fn heal(&self) {
        *self.0.refuses.lock().unwrap() = None;
    }

    fn spend(&self) -> io::Result<()> {
        match &mut *self.0.refuses.lock().unwrap() {
            Some((0, how)) => Err((*how).into()),
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.0.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.spend()?;
        self.0.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.spend()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.spend()?;
        self.0.memory.write(offset, data)
    }
}

#[tokio::test]
async fn a_disk_that_refuses_stops_the_writes_and_nothing_else_and_they_go_on_when_it_takes_them() {
    let seed = number("LIVELOG_DISK_SEED").unwrap_or(0x11fe_d15c);
    println!("{DISKS} disks from seed {seed:#x}");
    join_all((0..DISKS).map(|disk| ordeal(Dice::new(seed, disk), disk))).await;
}

#[tokio::test]
async fn a_failing_disk_is_said_by_name_and_by_health_until_it_takes_writes_again() {
    let disk = Disk::new();
    let store = EmbeddedStore::open_on(disk.clone(), 2_000).await.unwrap();
    let node = Node::on(store).await;
    let mut client = node.client().await;
    client.ok("CREATE", json!({"n": 1})).await;
    disk.refuse(0, io::ErrorKind::Other);
    let error = eventually("writes are refused by name", async || {
        let answer = client.request("CREATE", json!({"n": 2})).await;
        let error = answer["error"].clone();
        (error["code"] == "storage_failed").then_some(error)
    })
    .await;
    assert_eq!(error["retryable"], true);
    for path in ["/healthz", "/readyz"] {
        let (status, body) = node.get(path).await.unwrap();
        assert_eq!(
            (status, &body["error"]["code"]),
            (503, &json!("storage_failed"))
        );
    }
    let read = client.ok("FETCH", json!({"filter": {"n": 1}})).await;
    assert_eq!(read["data"].as_array().unwrap().len(), 1);
    disk.heal();
    eventually("writes go on", async || {
        let answer = client.request("CREATE", json!({"n": 3})).await;
        (answer["success"] == true).then_some(())
    })
    .await;
    assert_eq!(node.get("/healthz").await.unwrap().0, 200);
}

async fn ordeal(mut dice: Dice, name: u64) {
    let disk = Disk::new();
    let store = EmbeddedStore::open_on(disk.clone(), 2_000).await.unwrap();
    let mut history = History::default();
    for _ in 0..REFUSALS {
        for _ in 0..dice.below(4) {
            let batch = next_batch(&mut history, &mut dice);
            store.append(&batch).await.unwrap();
        }
        let kinds = [
            io::ErrorKind::StorageFull,
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::Other,
        ];
        let how = kinds[dice.below(3)];
        disk.refuse(dice.below(25), how);
        let mut acknowledged = history.log.clone();
        let (batch, error) = loop {
            let batch = next_batch(&mut history, &mut dice);
            match store.append(&batch).await {
                Ok(()) => acknowledged.clone_from(&history.log),
                Err(error) => break (batch, error),
            }
        };
        let fits = |error: &StoreError| match how {
            io::ErrorKind::StorageFull => matches!(error, StoreError::Full(_)),
            _ => matches!(error, StoreError::Unwritable(_)),
        };
        match &error {
            AppendError::Failed(error) => assert!(fits(error), "disk {name}: {error}"),
            AppendError::Unknown(_) => {}
            other => panic!("disk {name}: {other}"),
        }
        assert!(fits(&store.trouble().unwrap()), "disk {name}");
        expect(&store, &acknowledged, name).await;
        let other = Arc::new(Batch {
            id: Uuid::new_v4(),
            after: batch.after,
            changes: batch.changes.clone(),
        });
        let refused = store.append(&other).await;
        assert!(
            matches!(&refused, Err(AppendError::Failed(error)) if fits(error)),
            "disk {name}: {refused:?}"
        );

        disk.heal();
        settle(&store, &batch).await;
        assert!(store.trouble().is_none(), "disk {name}");
        expect(&store, &history.log, name).await;
    }
    store.close().await;
    drop(store);
    let store = EmbeddedStore::open_on(disk, 2_000).await.unwrap();
    expect(&store, &history.log, name).await;
}

/// Appends it again, as the engine does, until it is known to be in the log.
async fn settle(store: &EmbeddedStore, batch: &Arc<Batch>) {
    eventually("the batch is settled", async || {
        match store.append(batch).await {
            Ok(()) => Some(()),
            Err(AppendError::Moved) => {
                assert!(store.holds(batch).await.unwrap());
                Some(())
            }
            Err(_) => None,
        }
    })
    .await;
}

fn next_batch(history: &mut History, dice: &mut Dice) -> Arc<Batch> {
    let after = history.head();
    for _ in 0..=dice.below(5) {
        let name = format!("event {}", dice.below(12));
        let text = "x".repeat(dice.below(6_000));
        match history.events.contains_key(&id(&name)) {
            true if dice.below(3) == 0 => history.delete(&name),
            true => history.set(&name, "text", text),
            false => history.create(&name, [("text", Value::from(text))].into_iter().collect()),
        }
    }
    history.batch(after)
}

/// The log and the view are these changes and what they come to, no more and no less.
async fn expect(store: &EmbeddedStore, log: &[Arc<Change>], name: u64) {
    assert_eq!(store.head().await.unwrap().get(), log.len() as u64);
    let found = store.read(Seq::ZERO, usize::MAX).await.unwrap();
    assert!(found == log, "disk {name}: the log is another");
    let found = store
        .find(&Requester::alone(), &Arc::new(Query::everything()))
        .await
        .unwrap();
    let found: Vec<Event> = found.events.try_collect().await.unwrap();
    assert!(
        found.iter().eq(fold(log).values().map(|event| &**event)),
        "disk {name}: the view is another"
    );
}

// A disk that is full.

/// A file system of its own over a folder. `None` where that is not allowed.
pub struct Mounted(PathBuf);

impl Mounted {
    pub fn over(folder: &Path, options: &str) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "livelog-test"])
            .arg(folder)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then(|| Self(folder.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_by_name_until_there_is_room_and_loses_nothing() {
    let database = Database::folder();
    let Some(_mounted) = Mounted::over(database.path(), "size=20m") else {
        println!("no file system can be mounted here: the test of disks that refuse has to do");
        return;
    };
    let server = Server::on(Arc::clone(&database), &[]).await;
    let mut client = server.client().await;
    let ballast = database.path().join("ballast");
    std::fs::write(&ballast, vec![1; 8 * 1024 * 1024]).unwrap();
    let mut ids = Vec::new();
    let refused = loop {
        let text = "x".repeat(60_000);
        let answer = client.request("CREATE", json!({ "text": text })).await;
        match answer["success"].as_bool() {
            Some(true) => ids.push(answer["data"]["_id"].as_str().unwrap().to_owned()),
            _ => break answer["error"].clone(),
        }
        assert!(ids.len() < 1_000, "20 MiB hold no such many");
    };
    assert_eq!(refused["code"], "storage_full", "{refused}");
    // Something smaller would fit, until somebody else takes that room too.
    let more = database.path().join("more");
    std::fs::write(&more, vec![1; 512 * 1024]).unwrap();
    eventually("it is noticed", async || {
        (server.status("/readyz").await == 503).then_some(())
    })
    .await;
    let answer = server.http("POST", "/api/events").json(&json!({"n": 1}));
    assert_eq!(answer.send().await.unwrap().status(), 507);
    for path in ["/healthz", "/readyz"] {
        let (status, said) = server.get(path, &[]).await;
        assert_eq!(status, 503, "{path}");
        assert_eq!(said["error"]["code"], "storage_full", "{said}");
    }
    expect_events(&server, &mut client, &ids).await;

    std::fs::remove_file(ballast).unwrap();
    let id = eventually("there is room", async || {
        let answer = client.request("CREATE", json!({ "n": 2 })).await;
        answer["data"]["_id"].as_str().map(str::to_owned)
    })
    .await;
    ids.push(id);
    assert_eq!(server.status("/readyz").await, 200);
    let logged = server.logged();
    assert_eq!(logged.matches("the disk is full").count(), 1, "{logged}");
    expect_events(&server, &mut client, &ids).await;
    let database = server.kill().await;
    let server = Server::on(Arc::clone(&database), &[]).await;
    let mut client = server.client().await;
    expect_events(&server, &mut client, &ids).await;
    drop(server.stop().await);
    let (code, said) = database.livelog("verify").await;
    assert_eq!(code, Some(0), "{said}");
}

/// By a session that was there before, and over HTTP.
async fn expect_events(server: &Server, client: &mut Client, ids: &[String]) {
    let last = ids.last().unwrap();
    let found = client
        .ok("FETCH", json!({ "filter": { "_id": last } }))
        .await;
    assert_eq!(found.to_string().matches(last).count(), 1, "{found}");
    let (status, all) = server.get("/api/events", &[("fields", "_id")]).await;
    assert_eq!(status, 200);
    let mut found: Vec<&str> = all["data"]["events"]
        .as_array()
        .or_else(|| all["data"].as_array())
        .unwrap()
        .iter()
        .map(|event| event["_id"].as_str().unwrap())
        .collect();
    let mut expected: Vec<&str> = ids.iter().map(String::as_str).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

// A file that is not there any more.

async fn open(dir: &Path) -> Arc<EmbeddedStore> {
    let dir = dir.to_owned();
    EmbeddedStore::open(EmbeddedOptions { dir }).await.unwrap()
}

#[tokio::test]
async fn a_file_that_was_deleted_moved_or_replaced_takes_no_writes() {
    type Act = fn(&Path);
    let acts: [(&str, Act); 4] = [
        ("deleted", |file| std::fs::remove_file(file).unwrap()),
        ("moved", |file| {
            std::fs::rename(file, file.with_extension("old")).unwrap()
        }),
        ("replaced", |file| {
            let copy = file.with_extension("copy");
            std::fs::copy(file, &copy).unwrap();
            std::fs::rename(copy, file).unwrap();
        }),
        ("gone with its folder", |file| {
            std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
        }),
    ];
    for (name, act) in acts {
        let folder = scratch();
        let dir = folder.path().join("data");
        let store = open(&dir).await;
        let mut history = History::default();
        history.create("a", Document::new());
        store.append(&history.batch(Seq::ZERO)).await.unwrap();
        act(&dir.join(FILE));
        if name != "moved" {
            // At once: it has no name any more.
            history.create("b", Document::new());
            let refused = store.append(&history.batch(Seq::new(1))).await;
            assert!(refused.is_err(), "{name}");
        }
        eventually("it is noticed", async || store.trouble()).await;
        history.create("c", Document::new());
        let refused = store.append(&history.batch(Seq::new(1))).await;
        assert!(
            matches!(
                &refused,
                Err(AppendError::Failed(StoreError::Unwritable(_)))
            ),
            "{name}: {refused:?}"
        );
        assert_eq!(store.read(Seq::ZERO, 10).await.unwrap().len(), 1, "{name}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_server_whose_folder_was_deleted_ends_and_says_why() {
    let mut server = Server::in_folder().await;
    let mut client = server.client().await;
    client.create(json!({ "n": 1 })).await;
    std::fs::remove_dir_all(server.database.path()).unwrap();
    let refused = client.request("CREATE", json!({ "n": 2 })).await;
    assert_ne!(refused["success"], true, "{refused}");
    let status = server.exit().await;
    assert!(!status.success(), "{status}");
    let logged = server.logged();
    assert!(
        logged.contains("was deleted, moved, replaced or cut off"),
        "{logged}"
    );
}

// A file system that takes no writes.

/// Runs livelog as somebody who may only read.
async fn run_as_a_reader(arguments: &[&str]) -> Output {
    let mut command = command();
    command.args(arguments).stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        command.uid(65_534);
    }
    output(command).await
}

fn may_only_read(dir: &Path, may_only: bool) {
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let (of_files, of_folder) = if may_only {
        (0o444, 0o555)
    } else {
        (0o644, 0o755)
    };
    for entry in std::fs::read_dir(dir).unwrap() {
        set(&entry.unwrap().path(), of_files);
    }
    set(dir, of_folder);
}

#[tokio::test]
async fn what_may_only_be_read_is_verified_and_exported_also_after_a_crash() {
    let server = Server::in_folder().await;
    let mut client = server.client().await;
    for n in 0..50 {
        client.ok("CREATE", json!({ "n": n })).await;
    }
    let database = server.kill().await;
    let dir = database.path();
    let before = std::fs::read(dir.join(FILE)).unwrap();
    may_only_read(dir, true);
    let path = dir.to_str().unwrap();
    let verified = run_as_a_reader(&["verify", "--data", path]).await;
    let exported = run_as_a_reader(&["export", "--data", path]).await;
    let replayed = run_as_a_reader(&["replay", "--data", path]).await;
    may_only_read(dir, false);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(
        verified.status.code(),
        Some(0),
        "{}",
        text(&verified.stderr)
    );
    assert_eq!(
        exported.status.code(),
        Some(0),
        "{}",
        text(&exported.stderr)
    );
    let said = text(&replayed.stderr);
    assert_eq!(replayed.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot use the data folder"), "{said}");
    assert!(
        std::fs::read(dir.join(FILE)).unwrap() == before,
        "it was written to"
    );
    let again = livelog(&["verify", "--data", path]).await;
    assert_eq!(text(&again.stdout), text(&verified.stdout));
    assert!(text(&exported.stdout).lines().count() == 52);
}

// A damaged file.

/// Flips in the default run.
const FLIPS: u64 = 60;

/// Commands in the file, so many that their table has pages that lead to others.
const COMMANDS: u64 = 4_000;

#[tokio::test]
async fn verify_tells_of_every_flipped_bit_that_hides_anything_from_readers() {
    let seed = number("LIVELOG_DISK_SEED").unwrap_or(0x11fe_f11b);
    let folder = scratch();
    let history = stock(folder.path()).await;
    let whole = std::fs::read(folder.path().join(FILE)).unwrap();
    let (branches, leaves) = pages(&whole);
    println!(
        "{FLIPS} flips from seed {seed:#x}, {} branch pages",
        branches.len()
    );
    assert!(branches.len() > 3, "no pages to hide anything in");
    let mut harmful = 0;
    for flip in 0..FLIPS {
        let mut dice = Dice::new(seed, flip);
        let pages = if flip % 4 == 0 { &leaves } else { &branches };
        let page = pages[dice.below(pages.len() as u64)];
        let at = page * PAGE + dice.below(PAGE as u64 / 2);
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << dice.below(8);
        let copy = scratch();
        let dir = copy.path().to_str().unwrap();
        std::fs::write(copy.path().join(FILE), &damaged).unwrap();
        let verified = livelog(&["verify", "--data", dir]).await;
        let left = std::fs::read(copy.path().join(FILE)).unwrap();
        assert!(left == damaged, "flip {flip}: verify wrote to the file");
        let is_told = verified.status.code() == Some(1);
        let is_read = reads_as_before(copy.path(), &history).await;
        harmful += usize::from(!is_read);
        assert!(
            is_told || is_read,
            "flip {flip} at {at} is not told: {}",
            String::from_utf8_lossy(&verified.stdout)
        );
    }
    println!("{harmful} of {FLIPS} flips hide something");
    assert!(harmful > 0, "this test is blind");
}

const PAGE: usize = 4096;

/// Pages that lead to others, and pages that hold entries, by what redb writes first in each.
fn pages(file: &[u8]) -> (Vec<usize>, Vec<usize>) {
    let of_kind = |kind: u8| {
        let pages = file.chunks(PAGE).enumerate().skip(1);
        let pages = pages.filter(|(_, page)| page[0] == kind && page[2..4] != [0, 0]);
        pages.map(|(at, _)| at).collect()
    };
    (of_kind(2), of_kind(1))
}

/// A file with commands, events that died and lived again, and everything in its tables.
async fn stock(dir: &Path) -> Vec<Arc<Change>> {
    let store = open(dir).await;
    let mut history = History::default();
    while history.head().get() < COMMANDS {
        let n = history.head().get() % 701;
        let name = format!("event {n}");
        match history.events.contains_key(&id(&name)) {
            true => history.delete(&name),
            false => history.create(&name, Document::new()),
        }
    }
    let log = history.log.iter().map(|change| {
        let name = format!("command {}", change.seq.get() * 7_919 % COMMANDS);
        let key = CommandKey {
            id: CommandId::parse(&name, "").unwrap(),
            digest: [7; 16],
        };
        Arc::new(Change {
            command: Some(Arc::new(key)),
            ..(**change).clone()
        })
    });
    let log: Vec<Arc<Change>> = log.collect();
    for part in log.chunks(500) {
        let batch = Batch {
            id: Uuid::new_v4(),
            after: part[0].seq.before(),
            changes: part.to_vec(),
        };
        store.append(&Arc::new(batch)).await.unwrap();
    }
    store.close().await;
    drop(store);
    let replayed = livelog(&["replay", "--data", dir.to_str().unwrap()]).await;
    assert_eq!(replayed.status.code(), Some(0));
    log
}

/// Whether every command, every history and the view are told as they were.
async fn reads_as_before(dir: &Path, log: &[Arc<Change>]) -> bool {
    let dir = dir.to_owned();
    let Ok(store) = EmbeddedStore::open(EmbeddedOptions { dir }).await else {
        return false;
    };
    let read = try_read(&store, log).await;
    store.close().await;
    read.unwrap_or(false)
}

async fn try_read(store: &EmbeddedStore, log: &[Arc<Change>]) -> Result<bool, StoreError> {
    let ids: Vec<CommandId> = log
        .iter()
        .map(|change| change.command.as_ref().unwrap().id.clone())
        .collect();
    let places = log.iter().map(|change| change.seq);
    let places: Vec<_> = ids.iter().cloned().zip(places).collect();
    if store.answered(&ids).await? != places || store.read(Seq::ZERO, usize::MAX).await? != log {
        return Ok(false);
    }
    let from_the_oldest = HistoryRange {
        direction: Direction::Ascending,
        after: None,
        limit: usize::MAX,
    };
    for n in (0..701).step_by(7) {
        let name = id(&format!("event {n}"));
        let found = store.history(&name, from_the_oldest).await?;
        let expected = log.iter().filter(|change| *change.event_id() == name);
        if !found.iter().eq(expected) {
            return Ok(false);
        }
    }
    let found = store
        .find(&Requester::alone(), &Arc::new(Query::everything()))
        .await?;
    let found: Vec<Event> = found.events.try_collect().await?;
    Ok(found.iter().eq(fold(log).values().map(|event| &**event)))
}
