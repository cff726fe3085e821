//! A batch as the commands of its transaction: few commands, because each costs a round trip.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bson::RawDocumentBuf;
use uuid::Uuid;

use super::encode;
use super::encode::{Encoder, item_name};
use crate::domain::{Change, Event, EventId, Seq};
use crate::store::Epoch;
use crate::store::mongo::{EVENTS, LOG, META};
use crate::value::ValueRef;

/// A command is finished once it is this long. The server accepts 16 MiB, and what one more entry may add (an event
/// before and a patch as large, 10 MiB: see [`EVENT_VALUES_MAX`](crate::limits::EVENT_VALUES_MAX)) stays inside the rest.
const COMMAND_BYTES: usize = 4 * 1024 * 1024;

/// A write command. Not `Clone`: its body can be megabytes.
#[derive(Debug)]
pub(crate) struct RawCommand {
    pub(crate) body: RawDocumentBuf,
    pub(crate) collection: String,
    /// How many documents it must report as written. At least one.
    pub(crate) count: usize,
}

/// Moves the head from `after` to `to`, if it is this log's and at `after`, the view is the one known, no rebuild
/// pauses the writers, and no writer but `writer` has the write lease. Ends the lease.
pub(crate) fn move_head(after: Seq, to: Seq, epoch: Epoch, view: i64, writer: &str) -> RawCommand {
    assert!(after < to, "the head only moves on");
    let mut body = Encoder::new();
    body.text("update", META);
    body.array("updates");
    body.document("0");
    body.document("q");
    body.text("_id", "head");
    body.int("seq", after.get().cast_signed());
    body.text("epoch", &epoch.to_string());
    body.int("view", view);
    body.document("hold");
    body.flag("$exists", false);
    body.close();
    body.document("turn.writer");
    body.array("$in");
    // `null` matches a head without a lease.
    body.value("0", ValueRef::Null);
    body.text("1", writer);
    body.close();
    body.close();
    body.close();
    body.document("u");
    body.document("$unset");
    body.text("turn", "");
    body.close();
    body.document("$set");
    body.int("seq", to.get().cast_signed());
    RawCommand {
        body: body.finish_all(),
        collection: META.to_owned(),
        count: 1,
    }
}

/// Appends the batch's entries to the log.
pub(crate) fn log(id: Uuid, changes: &[Arc<Change>]) -> Vec<RawCommand> {
    let mut split = Split::new(WriteKind::Insert, LOG);
    for (index, change) in changes.iter().enumerate() {
        let batch = (index == 0).then_some(id);
        split.add(|to, name| encode::entry(to, name, change, batch));
    }
    split.finish()
}

/// Brings the live view to what it is after `changes`.
pub(crate) fn view(changes: &[Arc<Change>]) -> Vec<RawCommand> {
    apply(changes, EVENTS, |_| None)
}

/// The same for the new view of a rebuild, where each change must find what the change before left: a replacement or
/// deletion names the version it replaces.
pub(crate) fn shadow(changes: &[Arc<Change>], collection: &str) -> Vec<RawCommand> {
    apply(changes, collection, |before| Some(before.version))
}

/// `expected` returns the version that an event must have to be replaced or deleted.
fn apply(
    changes: &[Arc<Change>],
    collection: &str,
    expected: impl Fn(&Event) -> Option<u64>,
) -> Vec<RawCommand> {
    let mut inserts = Split::new(WriteKind::Insert, collection);
    let mut replaces = Split::new(WriteKind::Update, collection);
    let mut deletes = Split::new(WriteKind::Delete, collection);
    for statement in collapse(changes) {
        let version = statement.before.and_then(&expected);
        match (statement.before, statement.after) {
            (None, Some(after)) => inserts.add(|to, name| encode::event(to, name, after)),
            (Some(_), Some(after)) => replaces.add(|to, name| replace(to, name, after, version)),
            (Some(_), None) => deletes.add(|to, name| delete(to, name, statement.id, version)),
            (None, None) => {}
        }
    }
    let parts = [inserts, replaces, deletes];
    parts.into_iter().flat_map(Split::finish).collect()
}

/// `expected` is the version that the event must have; without one, a missing event is inserted.
fn replace(to: &mut Encoder, name: &str, event: &Event, expected: Option<u64>) {
    to.document(name);
    selector(to, &event.id, expected);
    encode::event(to, "u", event);
    to.flag("upsert", expected.is_none());
    to.close();
}

fn delete(to: &mut Encoder, name: &str, id: &EventId, expected: Option<u64>) {
    to.document(name);
    selector(to, id, expected);
    to.int("limit", 1);
    to.close();
}

fn selector(to: &mut Encoder, id: &EventId, expected: Option<u64>) {
    to.document("q");
    to.text("_id", id.as_str());
    if let Some(version) = expected {
        to.int("_version", version.cast_signed());
    }
    to.close();
}

/// The net effect of a batch on one event.
#[derive(Debug)]
struct Statement<'a> {
    id: &'a EventId,
    before: Option<&'a Event>,
    after: Option<&'a Event>,
}

/// One statement for each event, in the order of their first changes: an event changed ten times is written once.
fn collapse(changes: &[Arc<Change>]) -> Vec<Statement<'_>> {
    let mut statements: Vec<Statement<'_>> = Vec::with_capacity(changes.len());
    let mut indexes: HashMap<&EventId, usize> = HashMap::with_capacity(changes.len());
    for change in changes {
        let after = change.after().map(Arc::as_ref);
        match indexes.entry(change.event_id()) {
            Entry::Occupied(index) => statements[*index.get()].after = after,
            Entry::Vacant(index) => {
                index.insert(statements.len());
                statements.push(Statement {
                    id: change.event_id(),
                    before: change.before().map(Arc::as_ref),
                    after,
                });
            }
        }
    }
    statements
}

#[derive(Debug, Clone, Copy)]
enum WriteKind {
    Insert,
    Update,
    Delete,
}

impl WriteKind {
    /// The names of the command and of its list.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Insert => ("insert", "documents"),
            Self::Update => ("update", "updates"),
            Self::Delete => ("delete", "deletes"),
        }
    }
}

/// Writes of one kind to one collection, split into commands of about [`COMMAND_BYTES`].
struct Split<'a> {
    kind: WriteKind,
    collection: &'a str,
    done: Vec<RawCommand>,
    /// The last command, and how many documents it has.
    open: Option<(Encoder, usize)>,
}

impl<'a> Split<'a> {
    fn new(kind: WriteKind, collection: &'a str) -> Self {
        Self {
            kind,
            collection,
            done: Vec::new(),
            open: None,
        }
    }

    fn add(&mut self, write: impl FnOnce(&mut Encoder, &str)) {
        let (mut body, count) = self.open.take().unwrap_or_else(|| (self.begin(), 0));
        write(&mut body, &item_name(count));
        let full = body.len() >= COMMAND_BYTES;
        self.open = Some((body, count + 1));
        if full {
            self.end();
        }
    }

    fn begin(&self) -> Encoder {
        let (command, list) = self.kind.names();
        let mut body = Encoder::new();
        body.text(command, self.collection);
        body.array(list);
        body
    }

    fn end(&mut self) {
        if let Some((body, count)) = self.open.take() {
            debug_assert!(count > 0, "the server refuses an empty list");
            self.done.push(RawCommand {
                body: body.finish_all(),
                collection: self.collection.to_owned(),
                count,
            });
        }
    }

    fn finish(mut self) -> Vec<RawCommand> {
        self.end();
        self.done
    }
}
