//! Building an index while everything else goes on.
//!
//! | step | by | does |
//! |---|---|---|
//! | begin | the writer's thread | names the index and where it is built to; notes from now on which events change |
//! | gather | another thread | reads events of a snapshot from there on, as many as memory allows, and sorts their entries |
//! | write | the writer's thread | writes some of the entries, but for events that changed meanwhile; appends come between |
//! | end | the writer's thread | notes durably how far the index is built |
//!
//! A crash loses what was not ended, and the next start goes on from there. Writing entries a second time changes
//! nothing.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use redb::Durability;
use tokio::sync::{oneshot, watch};

use super::handle::WriterHandle;
use super::task::WriterTask;
use super::thread::Writer;
use crate::domain::EventId;
use crate::indexes::{FieldSet, Index};
use crate::limits;
use crate::query::Direction;
use crate::store::StoreError;
use crate::store::embedded::format::index;
use crate::store::embedded::read::scan::Scan;
use crate::store::embedded::read::snapshot::Snapshot;
use crate::store::embedded::shared::{Shared, on_a_thread};
use crate::telemetry::Throttle;

/// Entries that one transaction writes: appends wait for no more.
const PIECE_COUNT: usize = 1_000;

/// After a failure, and twice as long after the next one: to gather again costs as much as before.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

static FAILURE_THROTTLE: Throttle = Throttle::new();

/// What is to be built.
#[derive(Debug)]
pub(in crate::store::embedded) struct BuildStart {
    build: u64,
    index: Arc<Index>,
    after: Option<EventId>,
}

/// Some of what was gathered.
#[derive(Debug)]
pub(in crate::store::embedded) struct BuildPiece {
    build: u64,
    index: Arc<Index>,
    entries: Arc<PackedEntries>,
    range: Range<usize>,
}

/// All of what was gathered is written.
#[derive(Debug)]
pub(in crate::store::embedded) struct BuildEnd {
    build: u64,
    index: Arc<Index>,
    spread: FieldSet,
    /// The last event that was read; `None` if there are no more.
    to: Option<EventId>,
}

/// Entries one behind the other, and where each is.
#[derive(Debug, Default)]
pub(super) struct PackedEntries {
    bytes: Vec<u8>,
    /// Where each begins, its length, and that of its key.
    places: Vec<(u32, u16, u16)>,
}

impl PackedEntries {
    fn add(&mut self, key: &[u8], id: &str) {
        let start = u32::try_from(self.bytes.len()).expect("what is gathered is bounded");
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(id.as_bytes());
        let length = u16::try_from(key.len() + id.len()).expect("keys and ids are bounded");
        self.places.push((start, length, index::key_length(key)));
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.places
            .sort_unstable_by_key(|place| entry_at(bytes, *place));
    }

    /// The entry at a place, and the length of its key.
    fn get(&self, place: usize) -> (&[u8], u16) {
        let place = self.places[place];
        (entry_at(&self.bytes, place), place.2)
    }

    fn has_enough(&self) -> bool {
        let places = self.places.len() * size_of::<(u32, u16, u16)>();
        self.bytes.len() + places >= limits::INDEX_BUILD_BYTES_MAX
    }
}

fn entry_at(bytes: &[u8], (start, length, _): (u32, u16, u16)) -> &[u8] {
    let start = start as usize;
    &bytes[start..start + usize::from(length)]
}

/// Entries of events, and how far they go.
struct Gathered {
    entries: PackedEntries,
    spread: FieldSet,
    to: Option<EventId>,
}

/// Builds whatever is to be built, as often as `declared` changes, until the store is closed.
pub(in crate::store::embedded) async fn run(
    shared: Arc<Shared>,
    handle: Weak<WriterHandle>,
    mut work: watch::Receiver<u64>,
) {
    let mut pause = PAUSE;
    loop {
        match build_next(&shared, &handle).await {
            Ok(true) => pause = PAUSE,
            Ok(false) => {
                if handle.strong_count() == 0 || work.changed().await.is_err() {
                    return;
                }
            }
            Err(error) => {
                FAILURE_THROTTLE.log(|suppressed| {
                    tracing::warn!(%error, suppressed, "an index cannot be built yet");
                });
                tokio::time::sleep(pause).await;
                pause = PAUSE_MAX.min(2 * pause);
                if handle.strong_count() == 0 {
                    return;
                }
            }
        }
    }
}

/// Builds a part of an index; `false` if none is left.
pub(in crate::store::embedded) async fn build_next(
    shared: &Arc<Shared>,
    handle: &Weak<WriterHandle>,
) -> Result<bool, StoreError> {
    let Some(BuildStart {
        build,
        index,
        after,
    }) = call(handle, WriterTask::BeginBuild).await?
    else {
        return Ok(false);
    };
    let began = Instant::now();
    let (snapshot, declared) = (shared.snapshot(), Arc::clone(&index));
    let gathered = on_a_thread(move || gather(&snapshot, &declared, after.as_ref())).await??;
    let Gathered {
        entries,
        spread,
        to,
    } = gathered;
    let entries = Arc::new(entries);
    let count = entries.places.len();
    for start in (0..count).step_by(PIECE_COUNT) {
        let piece = BuildPiece {
            build,
            index: Arc::clone(&index),
            entries: Arc::clone(&entries),
            range: start..count.min(start + PIECE_COUNT),
        };
        call(handle, |reply| WriterTask::Build(piece, reply)).await?;
    }
    let took = began.elapsed();
    tracing::info!(
        index = index.name(),
        entries = count,
        ?took,
        is_whole = to.is_none(),
        "building an index"
    );
    let end = BuildEnd {
        build,
        index,
        spread,
        to,
    };
    call(handle, |reply| WriterTask::EndBuild(end, reply)).await?;
    Ok(true)
}

async fn call<T>(
    handle: &Weak<WriterHandle>,
    task: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> WriterTask,
) -> Result<T, StoreError> {
    let closed = || StoreError::Unavailable("the store is closed".to_owned());
    let handle = handle.upgrade().ok_or_else(closed)?;
    handle.call(task).await?
}

fn gather(
    snapshot: &Snapshot,
    index: &Index,
    after: Option<&EventId>,
) -> Result<Gathered, StoreError> {
    let mut gathered = Gathered {
        entries: PackedEntries::default(),
        spread: FieldSet::default(),
        to: None,
    };
    for event in Scan::begin(snapshot, Direction::Ascending, after)? {
        let event = event?;
        let keys = index.keys_of(&event);
        gathered.spread = gathered.spread.union(keys.spread);
        for key in &keys.keys {
            gathered.entries.add(key, event.id.as_str());
        }
        if gathered.entries.has_enough() {
            gathered.to = Some(event.id);
            break;
        }
    }
    gathered.entries.sort();
    Ok(gathered)
}

/// The writer's half.
impl Writer {
    pub(super) fn begin_build(&mut self) -> Result<Option<BuildStart>, StoreError> {
        self.ensure_writable()?;
        self.indexing.interrupt();
        let left = self.indexing.kept.iter();
        let left = left.filter(|kept| !kept.state.is_whole);
        // A start waits for those that are unique.
        let Some(next) = left.max_by_key(|kept| kept.index.is_unique()) else {
            return Ok(None);
        };
        self.indexing.moved = Some(HashSet::new());
        Ok(Some(BuildStart {
            build: self.indexing.build,
            index: Arc::clone(&next.index),
            after: next.state.built_to.clone(),
        }))
    }

    pub(super) fn write_piece(&mut self, piece: &BuildPiece) -> Result<(), StoreError> {
        self.ensure_writable()?;
        self.ensure_building(piece.build)?;
        let bytes = piece.range.len() * limits::INDEX_KEY_BYTES_MAX;
        self.ensure_room([bytes])?;
        self.try_write_piece(piece)
            .map_err(|error| self.fail(error))
    }

    fn try_write_piece(&mut self, piece: &BuildPiece) -> Result<(), redb::Error> {
        let mut transaction = self.begin()?;
        transaction.set_durability(Durability::None)?;
        {
            let name = index::table_name(piece.index.name());
            let mut table = transaction.open_table(index::definition(&name))?;
            let moved = self.indexing.moved.as_ref();
            for place in piece.range.clone() {
                let (entry, key_length) = piece.entries.get(place);
                let (_, id) = index::parts(entry, key_length)
                    .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
                if !moved.is_some_and(|moved| moved.contains(id)) {
                    table.insert(entry, key_length)?;
                }
            }
        }
        self.commit(transaction)
    }

    pub(super) fn end_build(&mut self, end: BuildEnd) -> Result<(), StoreError> {
        self.ensure_writable()?;
        self.ensure_building(end.build)?;
        self.indexing.interrupt();
        let kept = self.indexing.kept.iter_mut();
        let mut same = kept.filter(|kept| kept.index == end.index);
        let kept = same
            .next()
            .expect("a build ends when indexes are declared anew");
        kept.state.spread_to(end.spread);
        kept.state.is_whole = end.to.is_none();
        kept.state.built_to = end.to;
        let kept = kept.clone();
        self.try_end(&kept).map_err(|error| self.fail(error))?;
        let current = self.shared.snapshot();
        let published = self.publish(current.seq, current.memtable.clone());
        published.inspect_err(|error| self.stop_writes(error.clone()))
    }

    fn try_end(&mut self, kept: &index::KeptIndex) -> Result<(), redb::Error> {
        let transaction = self.begin()?;
        kept.write_state(&transaction)?;
        self.commit(transaction)
    }

    fn ensure_building(&self, build: u64) -> Result<(), StoreError> {
        match build == self.indexing.build {
            true => Ok(()),
            false => Err(StoreError::Unavailable(
                "the index is built anew".to_owned(),
            )),
        }
    }
}

/// Bytes that the entries of one event may take, in memory and on disk.
const _: () = assert!(
    limits::STORED_EVENT_ID_BYTES_MAX + limits::INDEX_KEY_BYTES_MAX < u16::MAX as usize,
    "the length of an entry has 16 bits"
);
