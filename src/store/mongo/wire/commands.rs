//! A batch as the commands of its transaction: few, because each costs a round trip.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bson::RawDocumentBuf;
use uuid::Uuid;

use super::encode;
use super::encode::{Encoder, position};
use crate::domain::{Change, Event, EventId, Seq};
use crate::store::Epoch;
use crate::store::mongo::{EVENTS, LOG, META};
use crate::value::ValueRef;

/// A command is closed once it is this long. The server takes 16 MiB, and what one more entry may add (an event
/// before and a patch as large, 10 MiB: see [`EVENT_VALUES_MAX`](crate::limits::EVENT_VALUES_MAX)) stays inside the rest.
const COMMAND_BYTES: usize = 4 * 1024 * 1024;

/// A write command and how many documents it must report as written.
#[derive(Debug, Clone)]
pub(crate) struct RawCommand {
    pub(crate) body: RawDocumentBuf,
    pub(crate) count: usize,
}

impl RawCommand {
    /// The collection that it writes to, which a command names first.
    pub(crate) fn collection(&self) -> &str {
        let first = self.body.iter().next().and_then(Result::ok);
        let named = first.and_then(|(_, name)| name.as_str());
        named.unwrap_or_default()
    }
}

/// Moves the head from `after` to `to`, if it stands there, it is this log's, the view is the one known, no rebuild
/// holds the writers off, and it is not the turn of another than `writer`. Ends a turn.
pub(crate) fn move_head(after: Seq, to: Seq, epoch: Epoch, view: i64, writer: &str) -> RawCommand {
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
    // `null` matches a head without a turn.
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
    let body = body.finish_all();
    RawCommand { body, count: 1 }
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

/// The same for a view in the making, where every step must find what the step before left: a
/// replacement or deletion names the version it replaces.
pub(crate) fn shadow(changes: &[Arc<Change>], collection: &str) -> Vec<RawCommand> {
    apply(changes, collection, |before| Some(before.version))
}

/// `expected` says which version of an event must be there to be replaced or deleted.
fn apply(
    changes: &[Arc<Change>],
    collection: &str,
    expected: impl Fn(&Event) -> Option<u64>,
) -> Vec<RawCommand> {
    let mut inserts = Split::new(WriteKind::Insert, collection);
    let mut replaces = Split::new(WriteKind::Update, collection);
    let mut deletes = Split::new(WriteKind::Delete, collection);
    for step in collapse(changes) {
        let version = step.before.and_then(&expected);
        match (step.before, step.after) {
            (None, Some(after)) => inserts.add(|to, name| encode::event(to, name, after)),
            (Some(_), Some(after)) => replaces.add(|to, name| replace(to, name, after, version)),
            (Some(_), None) => deletes.add(|to, name| delete(to, name, step.id, version)),
            (None, None) => {}
        }
    }
    let parts = [inserts, replaces, deletes];
    parts.into_iter().flat_map(Split::finish).collect()
}

/// `expected` is the version that must stand there; without one, a missing event is put there.
fn replace(to: &mut Encoder, name: &str, event: &Event, expected: Option<u64>) {
    to.document(name);
    which(to, &event.id, expected);
    encode::event(to, "u", event);
    to.flag("upsert", expected.is_none());
    to.close();
}

fn delete(to: &mut Encoder, name: &str, id: &EventId, expected: Option<u64>) {
    to.document(name);
    which(to, id, expected);
    to.int("limit", 1);
    to.close();
}

fn which(to: &mut Encoder, id: &EventId, expected: Option<u64>) {
    to.document("q");
    to.text("_id", id.as_str());
    if let Some(version) = expected {
        to.int("_version", version.cast_signed());
    }
    to.close();
}

/// What a run of changes comes to for one event.
#[derive(Debug)]
struct Statement<'a> {
    id: &'a EventId,
    before: Option<&'a Event>,
    after: Option<&'a Event>,
}

/// One step per event, in the order of their first changes: an event changed ten times is written once.
fn collapse(changes: &[Arc<Change>]) -> Vec<Statement<'_>> {
    let mut steps: Vec<Statement<'_>> = Vec::with_capacity(changes.len());
    let mut places: HashMap<&EventId, usize> = HashMap::with_capacity(changes.len());
    for change in changes {
        let after = change.after().map(Arc::as_ref);
        match places.entry(change.event_id()) {
            Entry::Occupied(place) => steps[*place.get()].after = after,
            Entry::Vacant(place) => {
                place.insert(steps.len());
                steps.push(Statement {
                    id: change.event_id(),
                    before: change.before().map(Arc::as_ref),
                    after,
                });
            }
        }
    }
    steps
}

#[derive(Debug, Clone, Copy)]
enum WriteKind {
    Insert,
    Update,
    Delete,
}

impl WriteKind {
    /// The command, and the name of its list.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Insert => ("insert", "documents"),
            Self::Update => ("update", "updates"),
            Self::Delete => ("delete", "deletes"),
        }
    }
}

/// Commands of one kind against one collection, begun anew when the last is long enough.
struct Split<'a> {
    verb: WriteKind,
    collection: &'a str,
    done: Vec<RawCommand>,
    open: Option<(Encoder, usize)>,
}

impl<'a> Split<'a> {
    fn new(verb: WriteKind, collection: &'a str) -> Self {
        Self {
            verb,
            collection,
            done: Vec::new(),
            open: None,
        }
    }

    fn add(&mut self, write: impl FnOnce(&mut Encoder, &str)) {
        let (mut body, count) = self.open.take().unwrap_or_else(|| (self.begin(), 0));
        write(&mut body, &position(count));
        let full = body.len() >= COMMAND_BYTES;
        self.open = Some((body, count + 1));
        if full {
            self.end();
        }
    }

    fn begin(&self) -> Encoder {
        let (verb, list) = self.verb.names();
        let mut body = Encoder::new();
        body.text(verb, self.collection);
        body.array(list);
        body
    }

    fn end(&mut self) {
        if let Some((body, count)) = self.open.take() {
            let body = body.finish_all();
            self.done.push(RawCommand { body, count });
        }
    }

    fn finish(mut self) -> Vec<RawCommand> {
        self.end();
        self.done
    }
}
