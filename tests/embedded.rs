//! The embedded store beyond what every store promises: its folder, its file, its failures, its queries.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Memory};

use futures::TryStreamExt;
use livelog::domain::{CommandId, Event, Seq};
use livelog::node::Requester;
use livelog::query::Query;
use livelog::store::embedded::{EmbeddedOpenError, EmbeddedOptions, EmbeddedStore};
use livelog::store::{AppendError, CorruptAt, Store, StoreError};
use livelog::value::{Document, Steps, Value};
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableTable, ReadableTableMetadata, StorageBackend, TableDefinition};

use crate::support::database::{livelog, scratch};
use crate::support::history::{History, id};
use crate::support::process::Process;
use crate::support::server::BINARY;
use crate::support::{DEADLINE, eventually};

const FILE: &str = "livelog.redb";
const META: TableDefinition<'_, &str, u128> = TableDefinition::new("meta");
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const VIEW: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("view");

async fn open(dir: &Path) -> Result<Arc<EmbeddedStore>, EmbeddedOpenError> {
    let dir = dir.to_owned();
    EmbeddedStore::open(EmbeddedOptions { dir }).await
}

/// A folder with three changes of three events.
async fn stocked() -> (tempfile::TempDir, History) {
    let folder = tempfile::tempdir().unwrap();
    let mut history = History::default();
    for name in ["a", "b", "c"] {
        history.create(name, [("n", Value::Int(1))].into_iter().collect());
    }
    let store = open(folder.path()).await.unwrap();
    store.append(&history.batch(Seq::ZERO)).await.unwrap();
    store.close().await;
    (folder, history)
}

/// Changes the file behind livelog's back.
fn tamper(folder: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(folder.join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

fn flip_last_byte(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

#[tokio::test]
async fn a_folder_in_use_is_refused_by_its_name_in_any_process() {
    let (folder, _) = stocked().await;
    let store = open(folder.path()).await.unwrap();
    let refused = open(folder.path()).await.unwrap_err();
    assert!(
        matches!(refused, EmbeddedOpenError::Locked { .. }),
        "{refused}"
    );
    let dir = folder.path().to_str().unwrap();
    for subcommand in ["serve", "replay", "verify", "export", "import"] {
        let output = livelog(&[subcommand, "--data", dir]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_ne!(output.status.code(), Some(0), "{subcommand}: {said}");
        assert!(said.contains(dir) && said.contains("in use"), "{said}");
    }
    drop(store);
    for subcommand in ["verify", "replay", "verify"] {
        let output = livelog(&[subcommand, "--data", dir]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{subcommand}: {said}");
    }
}

#[tokio::test]
async fn without_arguments_livelog_serves_from_a_folder_below_and_says_so() {
    let folder = scratch();
    let mut process = Process::start(
        Path::new("sh"),
        [
            "-c",
            WITHOUT_ARGUMENTS,
            "sh",
            folder.path().to_str().unwrap(),
            BINARY,
        ],
        Some(folder.path()),
        Stdio::piped(),
        File::create(folder.path().join("stderr")).unwrap().into(),
    )
    .unwrap();
    let mut said = BufReader::new(process.take_stdout().unwrap()).lines();
    let line = tokio::task::spawn_blocking(move || said.next().unwrap().unwrap());
    let line = tokio::time::timeout(DEADLINE, line).await.unwrap().unwrap();
    assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}");
    assert!(folder.path().join("livelog-data").join(FILE).exists());
    let logged = std::fs::read_to_string(folder.path().join("stderr")).unwrap();
    let how = "in the folder ./livelog-data; --mongodb URI keeps them in MongoDB";
    assert!(logged.contains(how), "{logged}");
}

/// Only the port is said, so that tests do not meet on it.
const WITHOUT_ARGUMENTS: &str = r#"
unset LIVELOG_DATA LIVELOG_DATABASE LIVELOG_LOG MONGODB_URI
cd "$1" && LIVELOG_LISTEN=127.0.0.1:0 exec "$2"
"#;

#[tokio::test]
async fn a_folder_and_a_mongodb_on_one_command_line_are_refused() {
    let output = livelog(&[
        "verify",
        "--data",
        "x",
        "--mongodb",
        "mongodb://127.0.0.1:1",
    ])
    .await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--data") && said.contains("--mongodb"),
        "{said}"
    );
}

#[tokio::test]
async fn a_file_of_a_newer_format_is_refused_and_left_alone() {
    let (folder, _) = stocked().await;
    tamper(folder.path(), |transaction| {
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert("format", 7).unwrap();
    });
    let refused = open(folder.path()).await.unwrap_err();
    assert!(
        matches!(refused, EmbeddedOpenError::Format { found: 7, .. }),
        "{refused}"
    );
    let dir = folder.path().to_str().unwrap();
    for subcommand in ["serve", "verify", "replay", "export", "import"] {
        let output = livelog(&[subcommand, "--data", dir]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{subcommand}: {said}");
        assert!(said.contains(dir) && said.contains("format 6"), "{said}");
    }
    tamper(folder.path(), |transaction| {
        let log = transaction.open_table(LOG).unwrap();
        assert_eq!(log.len().unwrap(), 3);
    });
}

#[tokio::test]
async fn a_file_from_before_commands_had_ids_is_read_and_takes_them_from_then_on() {
    let (folder, _) = stocked().await;
    tamper(folder.path(), |transaction| {
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert("format", 1).unwrap();
        drop(meta);
        let commands: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("commands");
        assert!(transaction.delete_table(commands).unwrap());
    });
    let store = open(folder.path()).await.unwrap();
    let id = CommandId::parse("c", "").unwrap();
    assert_eq!(store.answered(std::slice::from_ref(&id)).await.unwrap(), []);
    store.close().await;
    tamper(folder.path(), |transaction| {
        let meta = transaction.open_table(META).unwrap();
        assert_eq!(meta.get("format").unwrap().unwrap().value(), 6);
    });
}

#[tokio::test]
async fn a_file_that_is_not_livelogs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), "precious\n".repeat(1_000)).unwrap();
    let refused = open(folder.path()).await.unwrap_err();
    assert!(
        matches!(refused, EmbeddedOpenError::Foreign { .. }),
        "{refused}"
    );
    let kept = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
    assert_eq!(kept, "precious\n".repeat(1_000));
}

#[tokio::test]
async fn half_a_file_that_a_power_cut_left_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("livelog.redb.new"), [0; 10_000]).unwrap();
    let store = open(folder.path()).await.unwrap();
    assert_eq!(store.head().await.unwrap(), Seq::ZERO);
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_is_told_with_its_seq() {
    let (folder, _) = stocked().await;
    tamper(folder.path(), |transaction| {
        let mut log = transaction.open_table(LOG).unwrap();
        let bytes = flip_last_byte(log.get(2).unwrap().unwrap().value());
        log.insert(2, bytes.as_slice()).unwrap();
        // As if the view had been written down since: a start has nothing to fold.
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert("covered", 3).unwrap();
    });
    let store = open(folder.path()).await.unwrap();
    assert_eq!(store.read(Seq::ZERO, 3).await.unwrap().len(), 1);
    let corrupt = store.read(Seq::new(1), 3).await.unwrap_err();
    assert!(
        matches!(&corrupt, StoreError::Corrupt { at: CorruptAt::Log(seq), .. } if seq.get() == 2),
        "{corrupt}"
    );
    assert_eq!(store.read(Seq::new(2), 3).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_start_that_needs_a_corrupt_or_missing_entry_is_refused_with_its_seq() {
    for broken in [Some(1), None] {
        let (folder, _) = stocked().await;
        tamper(folder.path(), |transaction| {
            let mut log = transaction.open_table(LOG).unwrap();
            // An entry under another's key is as wrong as a flipped bit.
            let other = broken.map(|seq: u64| log.get(seq).unwrap().unwrap().value().to_vec());
            match other {
                Some(bytes) => drop(log.insert(2, bytes.as_slice()).unwrap()),
                None => drop(log.remove(2).unwrap()),
            }
        });
        let refused = open(folder.path()).await.unwrap_err().to_string();
        assert!(refused.contains("corrupt at log 2"), "{refused}");
    }
}

#[tokio::test]
async fn a_page_that_redb_panics_over_is_told_as_corrupt_and_not_as_a_crash() {
    let (folder, _) = stocked().await;
    let (dir, path) = (folder.path().to_str().unwrap(), folder.path().join(FILE));
    let good = std::fs::read(&path).unwrap();
    // A page begins with its kind, a leaf or a branch, and says soon how many entries it has: more than fit.
    let pages = (0..good.len()).step_by(4096);
    let mut panics = 0;
    for page in pages.filter(|page| matches!(good[*page], 1 | 2)) {
        let mut bad = good.clone();
        bad[page + 3] ^= 0x80;
        std::fs::write(&path, bad).unwrap();
        let output = livelog(&["export", "--data", dir, "--log", "debug"]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("panicked"), "{said}");
        if said.contains("what is stored was not understood") {
            panics += 1;
            let last = said.lines().last().unwrap();
            assert!(last.starts_with("livelog: "), "{said}");
            assert!(
                last.contains("a page of it is not what was written"),
                "{said}"
            );
        }
    }
    assert!(
        panics > 0,
        "redb panics over none of these: the test is none"
    );
}

#[tokio::test]
async fn a_place_where_no_log_comes_to_is_no_head() {
    for (entry, covered, at) in [
        (u64::MAX, 3, "the log's head"),
        (4, 1 << 60, "meta covered"),
    ] {
        let (folder, _) = stocked().await;
        tamper(folder.path(), |transaction| {
            let mut log = transaction.open_table(LOG).unwrap();
            let bytes = log.get(3).unwrap().unwrap().value().to_vec();
            log.insert(entry, bytes.as_slice()).unwrap();
            let mut meta = transaction.open_table(META).unwrap();
            meta.insert("covered", covered).unwrap();
        });
        let refused = open(folder.path()).await.unwrap_err().to_string();
        let expected = format!("corrupt at {at}: a seq beyond 2^53");
        assert!(refused.contains(&expected), "{refused}");
    }
}

#[tokio::test]
async fn a_corrupt_event_of_the_view_is_told_by_its_id_and_repaired_by_replay() {
    let (folder, history) = stocked().await;
    let dir = folder.path().to_str().unwrap();
    // Replay leaves the whole view in its table.
    assert!(livelog(&["replay", "--data", dir]).await.status.success());
    tamper(folder.path(), |transaction| {
        let mut view = transaction.open_table(VIEW).unwrap();
        let bytes = flip_last_byte(view.get("b").unwrap().unwrap().value());
        view.insert("b", bytes.as_slice()).unwrap();
    });
    let store = open(folder.path()).await.unwrap();
    let corrupt = store.load(&[id("b")], 1).await.unwrap_err().to_string();
    assert!(corrupt.contains("event b"), "{corrupt}");
    assert_eq!(store.load(&[id("a")], 1).await.unwrap().events.len(), 1);
    drop(store);
    let output = livelog(&["verify", "--data", dir]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("event b"), "{said}");
    for subcommand in ["replay", "verify"] {
        let status = livelog(&[subcommand, "--data", dir]).await.status;
        assert!(status.success(), "{subcommand}");
    }
    let store = open(folder.path()).await.unwrap();
    let loaded = store.load(&[id("b")], 1).await.unwrap().events;
    assert_eq!(loaded[0], *history.events[&id("b")]);
}

// A disk that fails.

/// Memory whose syncs fail from some moment on.
#[derive(Debug)]
struct Failing {
    memory: InMemoryBackend,
    fails: Arc<AtomicBool>,
}

impl StorageBackend for Failing {
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
        match self.fails.load(Memory::SeqCst) {
            true => Err(io::Error::other("injected")),
            false => self.memory.sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(offset, data)
    }
}

#[tokio::test]
async fn after_a_failed_fsync_nothing_is_written_until_the_file_was_read_anew() {
    let fails = Arc::new(AtomicBool::new(false));
    let disk = Failing {
        memory: InMemoryBackend::new(),
        fails: Arc::clone(&fails),
    };
    let store = EmbeddedStore::open_on(disk, 1_000).await.unwrap();
    let mut history = History::default();
    history.create("a", Document::new());
    store.append(&history.batch(Seq::ZERO)).await.unwrap();

    fails.store(true, Memory::SeqCst);
    history.create("b", Document::new());
    let batch = history.batch(Seq::new(1));
    let unknown = store.append(&batch).await;
    assert!(
        matches!(unknown, Err(AppendError::Unknown(_))),
        "{unknown:?}"
    );
    let again = store.append(&batch).await;
    assert!(matches!(again, Err(AppendError::Unknown(_))), "{again:?}");
    let other = store.append(&history.batch(Seq::new(1))).await;
    let refused = matches!(&other, Err(AppendError::Failed(StoreError::Unwritable(_))));
    assert!(refused, "{other:?}");
    assert_eq!(store.head().await.unwrap(), Seq::new(1));
    assert!(!store.holds(&batch).await.unwrap());
    // The disk is well again: what it lost meanwhile is seen when the file is read anew.
    fails.store(false, Memory::SeqCst);
    let settled = eventually("it is settled", async || match store.append(&batch).await {
        Ok(()) | Err(AppendError::Moved) => Some(()),
        Err(_) => None,
    });
    settled.await;
    assert!(store.holds(&batch).await.unwrap());
    assert_eq!(store.head().await.unwrap(), Seq::new(2));
}

// Queries.

/// Events half in the table, half in memory, some deleted and some changed since they were written down.
async fn many() -> (Arc<EmbeddedStore>, History) {
    let store = EmbeddedStore::open_on(InMemoryBackend::new(), 20_000)
        .await
        .unwrap();
    let mut history = History::default();
    for n in 0..400_i64 {
        let after = history.head();
        let fields = [
            ("n", Value::Int(n * 7919 % 400)),
            ("group", Value::from(format!("g{}", n % 7))),
            ("half", Value::Float(n as f64 / 2.0)),
        ];
        history.create(
            &format!("e{:03}", n * 271 % 400),
            fields.into_iter().collect(),
        );
        let earlier = format!("e{:03}", n / 2 * 271 % 400);
        if history.events.contains_key(&id(&earlier)) {
            history.set(&earlier, "group", "changed");
        }
        if n % 5 == 4 {
            history.delete(&format!("e{:03}", n * 271 % 400));
        }
        store.append(&history.batch(after)).await.unwrap();
    }
    (store, history)
}

fn query(json: &str, cursor: Option<String>) -> Arc<Query> {
    let mut asked: Document = serde_json::from_str(json).unwrap();
    if let Some(cursor) = cursor {
        asked.push("cursor", cursor);
    }
    Arc::new(Query::parse(&asked, "test").unwrap())
}

async fn answer(store: &EmbeddedStore, query: &Arc<Query>) -> Vec<Event> {
    let found = store.find(&Requester::alone(), query).await.unwrap();
    found.events.try_collect().await.unwrap()
}

#[tokio::test]
async fn an_answer_is_what_filter_and_sort_say_whole_and_by_pages() {
    let (store, history) = many().await;
    for json in [
        r#"{}"#,
        r#"{"sort":{"_id":-1}}"#,
        r#"{"sort":{"_id":-1,"n":1}}"#,
        r#"{"filter":{"group":"g3"}}"#,
        r#"{"filter":{"group":"changed"},"sort":{"_id":-1}}"#,
        r#"{"sort":{"n":1}}"#,
        r#"{"sort":{"group":-1,"half":1}}"#,
        r#"{"filter":{"n":{"$lt":100}},"sort":{"missing":1}}"#,
        r#"{"filter":{"_id":"e001"}}"#,
        r#"{"filter":{"_id":{"$in":["e007","e001","none","",7,"e001","e300"]}}}"#,
        r#"{"filter":{"_id":{"$in":["e007","e001","e300"]}},"sort":{"n":-1}}"#,
        r#"{"filter":{"_id":{"$in":["e007","e001","e300"]}},"sort":{"_id":-1}}"#,
        r#"{"filter":{"_id":"none"}}"#,
    ] {
        let all = query(json, None);
        let mut expected: Vec<Event> = history
            .events
            .values()
            .map(|event| (**event).clone())
            .collect();
        expected.retain(|event| all.admits(event, &Steps::unbounded()).unwrap());
        expected.sort_by(|a, b| all.compare(a, b));
        assert_eq!(answer(&store, &all).await, expected, "{json}");
        assert!(json.contains("none") || !expected.is_empty(), "{json}");

        let (mut paged, mut cursor) = (Vec::new(), None);
        loop {
            let page = query(
                &json.replacen('{', r#"{"limit":17,"#, 1).replace(",}", "}"),
                cursor,
            );
            let mut events = answer(&store, &page).await;
            let more = events.len() > 17;
            events.truncate(17);
            cursor = events.last().map(|last| page.cursor_token(last, 0));
            paged.extend(events);
            if !more {
                break;
            }
        }
        assert_eq!(paged, expected, "{json} by pages");
    }
}

#[tokio::test]
async fn a_long_answer_holds_nobody_up_and_stays_as_of_its_seq() {
    let (store, mut history) = many().await;
    let found = store
        .find(&Requester::alone(), &Arc::new(Query::everything()))
        .await
        .unwrap();
    let expected: Vec<Event> = history
        .events
        .values()
        .map(|event| (**event).clone())
        .collect();
    assert_eq!(found.seq, history.head());
    for name in ["e000", "e399", "zzz"] {
        let after = history.head();
        match history.events.contains_key(&id(name)) {
            true => history.delete(name),
            false => history.create(name, Document::new()),
        }
        store.append(&history.batch(after)).await.unwrap();
    }
    let events: Vec<Event> = found.events.try_collect().await.unwrap();
    assert_eq!(events, expected);
}

#[tokio::test]
async fn a_sort_of_more_than_there_is_room_for_is_told_in_parts() {
    let store = EmbeddedStore::open_on(InMemoryBackend::new(), 1_000_000)
        .await
        .unwrap();
    let mut history = History::default();
    for n in 0..60 {
        let after = history.head();
        let text = format!("{n:02}{}", "x".repeat(900_000));
        history.create(
            &format!("e{n}"),
            [("text", Value::from(text))].into_iter().collect(),
        );
        store.append(&history.batch(after)).await.unwrap();
    }
    let events = answer(&store, &query(r#"{"sort":{"text":-1}}"#, None)).await;
    let ids: Vec<_> = events.into_iter().map(|event| event.id).collect();
    let expected: Vec<_> = (0..60).rev().map(|n| id(&format!("e{n}"))).collect();
    assert_eq!(ids, expected);
    let limited = query(r#"{"sort":{"text":-1},"limit":3}"#, None);
    let events = answer(&store, &limited).await;
    assert_eq!(events.len(), 4);
    assert_eq!(events[0].id, id("e59"));
    assert_eq!(limited.compare(&events[0], &events[1]), Ordering::Less);
}
