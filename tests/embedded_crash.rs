//! The embedded store when the power goes: nothing acknowledged is lost, whatever the disk had not synced.
//!
//! A disk in memory notes every write, every change of length and every sync. From these, images are made
//! of what could be there after a power cut at any moment: what was synced, and of the rest any part, in
//! any order, torn at any sector. Each image is opened and compared with what had been acknowledged by
//! then. Every fourth cut is followed by another one while the file is being opened.
//!
//! The same test on a disk whose sync does nothing must find losses, or it would see nothing here either.
//!
//! `LIVELOG_CRASH_IMAGES` sets how many images, `LIVELOG_CRASH_SEED` where they begin.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::{FutureExt, TryStreamExt};
use livelog::domain::{Change, ChangeKind, Event, EventId, Seq};
use livelog::indexes::Index;
use livelog::node::Requester;
use livelog::query::{Direction, Query};
use livelog::store::embedded::EmbeddedStore;
use livelog::store::{Batch, Epoch, HistoryRange, Store};
use livelog::value::Value;
use redb::StorageBackend;
use uuid::Uuid;

use crate::support::dice::{Dice, number};
use crate::support::history::{self, History, fold};
use crate::support::until_built;

/// Images in the default run.
const IMAGES: usize = 12_000;

/// Images of a disk whose sync does nothing; many fail.
const IMAGES_UNSYNCED: usize = 400;

/// Images of each history of writes.
const IMAGES_PER_HISTORY: usize = 200;

/// Batches in a history.
const BATCHES: u64 = 24;

/// Events whose histories are looked at in each image.
const HISTORIES: usize = 3;

/// So small that the view moves into its table several times in a history.
const OVERLAY_BYTES: usize = 1_500;

/// Of the fields that histories write.
const INDEXES: [&str; 2] = ["n", "text,-n"];

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let seed = number("LIVELOG_CRASH_SEED").unwrap_or(0x11fe_106e);
    if std::env::var_os(UNSYNCED).is_some() {
        run(seed, IMAGES_UNSYNCED, Sync::Ignored);
        return;
    }
    let images = number("LIVELOG_CRASH_IMAGES").unwrap_or(IMAGES as u64);
    println!("{images} images from seed {seed:#x}");
    let images = usize::try_from(images).unwrap();
    let failures = run(seed, images, Sync::Honest);
    assert_eq!(failures, 0, "of {images} images from seed {seed:#x}");

    let seen = seen_without_sync(seed);
    println!("without fsync {seen} of {IMAGES_UNSYNCED} images failed");
    assert!(
        seen > IMAGES_UNSYNCED / 10,
        "without fsync only {seen} of {IMAGES_UNSYNCED} images failed: this test is blind"
    );
}

/// Runs this test again on a disk whose sync does nothing, and counts what it sees.
///
/// In a process of its own, because redb panics on files that make no sense, which is loud, and may
/// panic again while it lets go of them, which ends the process.
fn seen_without_sync(seed: u64) -> usize {
    let name = "embedded_crash::a_power_cut_loses_nothing_that_was_acknowledged";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(UNSYNCED, "1")
        .env("LIVELOG_CRASH_SEED", seed.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    said.matches(FAILED).count()
}

/// Asks for the disk whose sync does nothing.
const UNSYNCED: &str = "LIVELOG_CRASH_UNSYNCED";

/// Begins the line about an image that failed.
const FAILED: &str = "failed image: ";

/// How many of the images fail. Histories are spread over the processors; each depends on its own seed
/// alone.
fn run(seed: u64, images: usize, sync: Sync) -> usize {
    let histories = images.div_ceil(IMAGES_PER_HISTORY);
    let (next, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let runtime = runtime();
                loop {
                    let history = next.fetch_add(1, Ordering::Relaxed);
                    if history >= histories {
                        return;
                    }
                    let count = IMAGES_PER_HISTORY.min(images - history * IMAGES_PER_HISTORY);
                    let mut dice = Dice::new(seed, history as u64);
                    let failed = runtime.block_on(cut_history(&mut dice, history, count, sync));
                    failures.fetch_add(failed, Ordering::Relaxed);
                }
            });
        }
    });
    failures.into_inner()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

/// Writes a history, cuts the power `count` times, and tells and counts what was wrong afterwards.
async fn cut_history(dice: &mut Dice, history: usize, count: usize, sync: Sync) -> usize {
    let recording = Recording::write(dice).await;
    let mut failures = 0;
    for cut in 0..count {
        let at = dice.below(recording.ops.len() as u64 + 1);
        let image = image(&recording.start, &recording.ops[..at], dice, sync);
        let twice = dice.below(4) == 0;
        let check = async {
            match twice {
                true => {
                    recording
                        .check_after_second_cut(at, image, dice, sync)
                        .await
                }
                false => recording.check(at, Disk::new(image), sync).await,
            }
        };
        let checked = std::panic::AssertUnwindSafe(check).catch_unwind().await;
        let wrong = match checked {
            Ok(Ok(())) => continue,
            Ok(Err(wrong)) => wrong,
            Err(_) => "it panicked".to_owned(),
        };
        println!("{FAILED}history {history}, cut {cut} at op {at}, twice {twice}: {wrong}");
        failures += 1;
    }
    failures
}

// The history.

/// What was done to the disk, and what was promised meanwhile.
struct Recording {
    /// The disk as it was made. In a folder it gets its name only then.
    start: Vec<u8>,
    ops: Vec<Op>,
    log: Vec<Arc<Change>>,
    /// How many ops had been done when so many changes were acknowledged, in order.
    acknowledged: Vec<(usize, u64)>,
    epoch: Epoch,
}

impl Recording {
    async fn write(dice: &mut Dice) -> Self {
        let disk = Disk::new(Vec::new());
        let mut store = open(&disk).await.unwrap();
        let epoch = store.epoch();
        let mut writer = History::default();
        let start = disk.platter().bytes.clone();
        disk.take_ops();
        let mut acknowledged = Vec::new();
        let mut rebuild = None;
        for _ in 0..BATCHES {
            match dice.below(14) {
                0 => {
                    drop(rebuild.take());
                    store.close().await;
                    store = open(&disk).await.unwrap();
                }
                1 => rebuild = Some(begin_rebuild(&store, &writer.log).await),
                2 => {
                    if let Some(mut rebuild) = rebuild.take() {
                        finish_rebuild(&store, &mut rebuild).await;
                        rebuild.0.swap().await.unwrap();
                    }
                }
                // So that cuts meet indexes that are built, and such as are not.
                3 => declare(&store, &INDEXES).await.unwrap(),
                4 => declare(&store, &INDEXES[1..]).await.unwrap(),
                _ => {}
            }
            let batch = write_batch(&mut writer, dice);
            store.append(&batch).await.unwrap();
            acknowledged.push((disk.done(), writer.log.len() as u64));
        }
        drop(rebuild);
        store.close().await;
        Self {
            start,
            ops: disk.take_ops(),
            log: writer.log,
            acknowledged,
            epoch,
        }
    }

    /// Opens what is left after a cut at op `at`, cuts again meanwhile, and opens that.
    async fn check_after_second_cut(
        &self,
        at: usize,
        image: Vec<u8>,
        dice: &mut Dice,
        sync: Sync,
    ) -> Result<(), String> {
        let disk = Disk::new(image.clone());
        let store = open(&disk).await.map_err(|error| error.to_string())?;
        store.close().await;
        drop(store);
        let ops = disk.take_ops();
        let cut = dice.below(ops.len() as u64 + 1);
        let again = self::image(&image, &ops[..cut], dice, sync);
        self.check(at, Disk::new(again), sync).await
    }

    /// Everything acknowledged by op `at` is there, nothing else than what was appended, and the view
    /// is its fold; and the store goes on from there.
    async fn check(&self, at: usize, disk: Disk, sync: Sync) -> Result<(), String> {
        let store = open(&disk).await.map_err(|error| error.to_string())?;
        let text = |error: livelog::store::StoreError| error.to_string();
        let head = store.head().await.map_err(text)?.get();
        let promised = self.promised(at);
        if store.epoch() != self.epoch {
            return Err("another epoch".to_owned());
        }
        if head < promised || head > self.log.len() as u64 {
            return Err(format!("the head is {head}, promised were {promised}"));
        }
        let log = store.read(Seq::ZERO, usize::MAX).await.map_err(text)?;
        let length = usize::try_from(head).unwrap();
        if log != self.log[..length] {
            return Err(format!("the log up to {head} is not what was appended"));
        }
        let found = store
            .find(&Requester::alone(), &Arc::new(Query::everything()))
            .await
            .map_err(text)?;
        let events: Vec<Event> = found.events.try_collect().await.map_err(text)?;
        let expected = fold(&log);
        if found.seq.get() != head || !events.iter().eq(expected.values().map(|event| &**event)) {
            return Err(format!("the view at {head} is not the fold of the log"));
        }
        self.check_histories(&store, &log).await?;
        check_indexes(&store, at.is_multiple_of(4).then_some(&expected)).await?;
        if sync == Sync::Ignored {
            return Ok(());
        }
        let batch = write_batch(&mut History::of(log), &mut Dice::new(head, 1));
        store
            .append(&batch)
            .await
            .map_err(|error| error.to_string())?;
        store.close().await;
        Ok(())
    }

    /// Of some events: those that died are found by what moves into a table with the view.
    async fn check_histories(
        &self,
        store: &EmbeddedStore,
        log: &[Arc<Change>],
    ) -> Result<(), String> {
        let from_the_oldest = HistoryRange {
            direction: Direction::Ascending,
            after: None,
            limit: usize::MAX,
        };
        let died = log
            .iter()
            .filter(|change| change.kind() == ChangeKind::Delete);
        for id in died.map(|change| change.event_id()).take(HISTORIES) {
            let found = store.history(id, from_the_oldest).await;
            let found = found.map_err(|error| error.to_string())?;
            let expected = log.iter().filter(|change| change.event_id() == id);
            if !found.iter().eq(expected) {
                return Err(format!("the history of {id} is not what the log says"));
            }
        }
        Ok(())
    }

    fn promised(&self, at: usize) -> u64 {
        let by_then = self.acknowledged.iter().take_while(|(done, _)| *done <= at);
        by_then.last().map_or(0, |(_, changes)| *changes)
    }
}

/// Declares indexes, and waits until they are built: so what a history does depends on its seed alone.
async fn declare(store: &EmbeddedStore, indexes: &[&str]) -> Result<(), String> {
    let indexes: Vec<Index> = indexes.iter().map(|index| index.parse().unwrap()).collect();
    let declared = store.declare_indexes(&indexes).await;
    declared.map_err(|error| error.to_string())?;
    until_built(store).await;
    Ok(())
}

/// Indexes that the file has as whole equal the view. So do all, once they are built, and queries by them find what is
/// `expected`.
async fn check_indexes(
    store: &EmbeddedStore,
    expected: Option<&BTreeMap<EventId, Arc<Event>>>,
) -> Result<(), String> {
    find_nothing_wrong(store).await?;
    let Some(expected) = expected else {
        return Ok(());
    };
    declare(store, &INDEXES).await?;
    find_nothing_wrong(store).await?;
    let asked = serde_json::from_str(r#"{"sort":{"n":-1}}"#).unwrap();
    let query = Query::parse(&asked, "").unwrap();
    let found = store
        .find(&Requester::alone(), &Arc::new(query.clone()))
        .await
        .map_err(|error| error.to_string())?;
    let found: Vec<Event> = found
        .events
        .try_collect()
        .await
        .map_err(|error| error.to_string())?;
    let mut sorted: Vec<Event> = expected.values().map(|event| (**event).clone()).collect();
    sorted.sort_by(|a, b| query.compare(a, b));
    match found == sorted {
        true => Ok(()),
        false => Err("an index has another order than the events".to_owned()),
    }
}

async fn find_nothing_wrong(store: &EmbeddedStore) -> Result<(), String> {
    let findings = store.check().await.map_err(|error| error.to_string())?;
    findings.into_iter().next().map_or(Ok(()), Err)
}

async fn open(
    disk: &Disk,
) -> Result<Arc<EmbeddedStore>, livelog::store::embedded::EmbeddedOpenError> {
    EmbeddedStore::open_on(disk.clone(), OVERLAY_BYTES).await
}

type Rebuilding = (Box<dyn livelog::store::Rebuild>, Seq);

async fn begin_rebuild(store: &EmbeddedStore, log: &[Arc<Change>]) -> Rebuilding {
    let mut rebuild = store.rebuild().await.unwrap();
    rebuild.apply(log).await.unwrap();
    (rebuild, Seq::new(log.len() as u64))
}

async fn finish_rebuild(store: &EmbeddedStore, (rebuild, at): &mut Rebuilding) {
    let held = rebuild.hold().await.unwrap();
    let missed = store.read(*at, usize::MAX).await.unwrap();
    rebuild.apply(&missed).await.unwrap();
    assert_eq!(store.head().await.unwrap(), held);
}

// The disk.

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sync {
    Honest,
    Ignored,
}

#[derive(Debug, Clone)]
enum Op {
    Write(usize, Vec<u8>),
    Length(usize),
    Sync,
}

/// A disk in memory that remembers what was done to it.
#[derive(Debug, Clone)]
struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug)]
struct Platter {
    bytes: Vec<u8>,
    ops: Vec<Op>,
}

impl Disk {
    fn new(bytes: Vec<u8>) -> Self {
        let ops = Vec::new();
        Self(Arc::new(Mutex::new(Platter { bytes, ops })))
    }

    fn done(&self) -> usize {
        self.platter().ops.len()
    }

    fn take_ops(&self) -> Vec<Op> {
        std::mem::take(&mut self.platter().ops)
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap()
    }

    fn apply(&self, op: Op) {
        let mut platter = self.platter();
        op.apply(&mut platter.bytes);
        platter.ops.push(op);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platter().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let platter = self.platter();
        let found = platter.bytes.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.apply(Op::Length(usize::try_from(len).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.apply(Op::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.apply(Op::Write(usize::try_from(offset).unwrap(), data.to_vec()));
        Ok(())
    }
}

impl Op {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Sync => {}
        }
    }
}

/// What may be on the disk when the power goes after `ops` were done to `before`.
fn image(before: &[u8], ops: &[Op], dice: &mut Dice, sync: Sync) -> Vec<u8> {
    let last_sync = ops.iter().rposition(|op| matches!(op, Op::Sync));
    let synced = match sync {
        Sync::Honest => last_sync.map_or(0, |at| at + 1),
        Sync::Ignored => 0,
    };
    let mut bytes = before.to_vec();
    ops[..synced].iter().for_each(|op| op.apply(&mut bytes));
    let mut pending: Vec<&Op> = ops[synced..].iter().collect();
    // What a disk may do: all, nothing, what it likes; in order or not.
    let keep = [0, 25, 50, 75, 100][dice.below(5)];
    if dice.below(2) == 0 {
        dice.shuffle(&mut pending);
    }
    for op in pending {
        if dice.below(100) < keep {
            op.apply(&mut bytes);
        } else if dice.below(2) == 0 {
            tear(op, &mut bytes, dice);
        }
    }
    bytes
}

/// Writes some of the sectors of a write.
fn tear(op: &Op, bytes: &mut Vec<u8>, dice: &mut Dice) {
    if let Op::Write(offset, data) = op {
        for (index, sector) in data.chunks(SECTOR).enumerate() {
            if dice.below(2) == 0 {
                Op::Write(offset + index * SECTOR, sector.to_vec()).apply(bytes);
            }
        }
    }
}

// What is written.

/// One to five changes: events created, updated and deleted, some of them large.
fn write_batch(history: &mut History, dice: &mut Dice) -> Arc<Batch> {
    let after = history.head();
    for _ in 0..=dice.below(5) {
        let name = format!("event {}", dice.below(20));
        match history.events.contains_key(&history::id(&name)) {
            true if dice.below(3) == 0 => history.delete(&name),
            true => history.set(&name, "n", dice.next().cast_signed()),
            false => {
                let text = "x".repeat([0, 20, 200, 6_000][dice.below(4)]);
                let fields = [("text", Value::from(text)), ("n", Value::Int(1))];
                history.create(&name, fields.into_iter().collect());
            }
        }
    }
    history.batch_named(after, Uuid::from_u64_pair(dice.next(), dice.next()))
}
