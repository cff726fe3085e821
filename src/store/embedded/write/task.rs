//! The tasks that callers send to the writer's thread, and what they carry.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::index_build::{BuildEnd, BuildPiece, BuildStart};
use crate::domain::{Event, EventId, Seq};
use crate::indexes::Index;
use crate::store::embedded::format::encode;
use crate::store::{AppendError, Batch, Epoch, StoreError};

/// A task, and where its reply goes.
pub(in super::super) enum WriterTask {
    Append(Arc<Batch>, oneshot::Sender<Appended>),
    /// Refuse appends while this rebuild catches up with the head.
    Hold(u64, oneshot::Sender<Result<Seq, StoreError>>),
    /// Write rows to a rebuild's view.
    Shadow(u64, ShadowRows, oneshot::Sender<Result<(), StoreError>>),
    /// Replace the live view by the rebuild's.
    Swap(u64, oneshot::Sender<Result<(), StoreError>>),
    /// Remove what is left of a rebuild, and allow appends again.
    Abandon(u64),
    /// Give the log another identity, if this is its head.
    Adopt(Epoch, Seq, oneshot::Sender<Result<(), StoreError>>),
    ReadNote(String, oneshot::Sender<Result<Option<String>, StoreError>>),
    /// A name, and its new text.
    WriteNote([String; 2], oneshot::Sender<Result<(), StoreError>>),
    /// Keep these indexes, and no others.
    DeclareIndexes(Vec<Index>, oneshot::Sender<Result<(), StoreError>>),
    /// Note that these indexes, of these names, are unique as of this seq.
    MarkUnique(Vec<String>, Seq, oneshot::Sender<Result<(), StoreError>>),
    /// Name what is to be built next, and keep an eye on it from now on.
    BeginBuild(oneshot::Sender<Result<Option<BuildStart>, StoreError>>),
    /// Write some of what was gathered for an index.
    Build(BuildPiece, oneshot::Sender<Result<(), StoreError>>),
    /// All that was gathered is written.
    EndBuild(BuildEnd, oneshot::Sender<Result<(), StoreError>>),
    /// Erase the contents of an event's changes up to its deletion at this seq.
    Redact(EventId, Seq, oneshot::Sender<Result<u64, StoreError>>),
    Close(oneshot::Sender<()>),
}

/// The reply to an append.
pub(in super::super) enum Appended {
    Done(Result<(), AppendError>),
    /// Nothing was written: a rebuild holds the writers off.
    Held,
}

/// Rows for a rebuild's view, encoded. As events they would take several times the memory, and dropping them would take
/// as long as writing them.
#[derive(Default)]
pub(in super::super) struct ShadowRows {
    /// Where each event's bytes are; `None` for an event that is deleted. Sorted as the table is: inserting in that
    /// order is several times faster.
    ranges: BTreeMap<EventId, Option<Range<usize>>>,
    bytes: Vec<u8>,
}

impl ShadowRows {
    pub(super) fn set(&mut self, id: &EventId, event: Option<&Event>, buffer: &mut Vec<u8>) {
        let range = event.map(|event| {
            encode::event(buffer, event);
            let start = self.bytes.len();
            self.bytes.extend_from_slice(buffer);
            start..self.bytes.len()
        });
        self.ranges.insert(id.clone(), range);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.ranges.iter().map(|(id, range)| {
            let bytes = range.clone().map(|range| &self.bytes[range]);
            (id.as_str(), bytes)
        })
    }

    /// Bytes of all that were set, replaced ones included.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }
}
