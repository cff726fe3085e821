//! The latest changes and broadcasts, in the order they arrived at this node.
//!
//! Invariants: indexes and seqs are contiguous: item `i` has the index `start + i`, and the changes among the items are
//! all of the log's from the first to `seq`. `bytes` is the sum over the items. `broadcasts` lists the indexes of the
//! broadcasts that are still held, ascending.

use std::collections::VecDeque;
use std::sync::Arc;

use super::shared_broadcast::SharedBroadcast;
use super::shared_change::SharedChange;
use crate::domain::{Change, Seq};

/// Numbers items as they arrive, changes and broadcasts alike; no index is used twice.
pub(super) type WindowIndex = u64;

/// The window has moved on without a reader.
#[derive(Debug)]
pub(super) struct Lagged;

/// Bounded in bytes: the oldest items go when new ones come, read or not.
#[derive(Debug)]
pub(super) struct Window {
    items: VecDeque<WindowItem>,
    /// Indexes of the broadcasts among them.
    broadcasts: VecDeque<WindowIndex>,
    /// The index of the first item.
    start: WindowIndex,
    pub(super) bytes: usize,
    bytes_max: usize,
    /// The last change published.
    pub(super) seq: Seq,
}

/// A change or a broadcast.
#[derive(Debug)]
pub(super) struct WindowItem {
    /// The last change at or before this item.
    pub(super) seq: Seq,
    pub(super) content: WindowContent,
    bytes: usize,
}

/// What an item is.
#[derive(Debug)]
pub(super) enum WindowContent {
    Change(SharedChange),
    Broadcast(SharedBroadcast),
}

impl Window {
    /// An empty window after change `seq`.
    pub(super) fn new(seq: Seq, bytes_max: usize) -> Self {
        Self {
            items: VecDeque::new(),
            broadcasts: VecDeque::new(),
            start: 0,
            bytes: 0,
            bytes_max,
            seq,
        }
    }

    /// The index at which a reader of all changes up to `seq` goes on; `None` if it would miss some, and so must read
    /// the log.
    ///
    /// A seq beyond the last published change is fine: the reader has read the log ahead of the pump.
    pub(super) fn index_after(&self, seq: Seq) -> Option<WindowIndex> {
        if seq >= self.seq {
            return Some(self.end());
        }
        let first = self.items.front()?;
        first
            .continues(seq)
            .then(|| self.start + self.items.partition_point(|item| item.seq <= seq) as WindowIndex)
    }

    /// Shows the items from an index on to `visit`, until that says `false`; returns the index to go on from.
    pub(super) fn read(
        &self,
        from: WindowIndex,
        mut visit: impl FnMut(&WindowItem) -> bool,
    ) -> Result<WindowIndex, Lagged> {
        let skip = from.checked_sub(self.start).ok_or(Lagged)?;
        debug_assert!(from <= self.end(), "an index comes from this window");
        let skip = usize::try_from(skip).expect("the window is in memory");
        let mut next = from;
        for item in self.items.range(skip..) {
            if !visit(item) {
                break;
            }
            next += 1;
        }
        Ok(next)
    }

    /// Shows the broadcasts from an index on that are still held to `visit`, until that says `false`; returns the index to
    /// go on from.
    pub(super) fn read_broadcasts(
        &self,
        from: WindowIndex,
        mut visit: impl FnMut(&SharedBroadcast) -> bool,
    ) -> WindowIndex {
        let first = self.broadcasts.partition_point(|index| *index < from);
        for index in self.broadcasts.range(first..) {
            let offset = usize::try_from(index - self.start).expect("the window is in memory");
            if let WindowContent::Broadcast(broadcast) = &self.items[offset].content
                && !visit(broadcast)
            {
                return *index;
            }
        }
        self.end()
    }

    /// The index after the newest item.
    pub(super) fn end(&self) -> WindowIndex {
        self.start + self.items.len() as WindowIndex
    }

    /// The change at `seq`, if the window holds it.
    pub(super) fn entry(&self, seq: Seq) -> Option<&SharedChange> {
        // A change precedes the broadcasts that have the same seq.
        let offset = self.items.partition_point(|item| item.seq < seq);
        match self.items.get(offset) {
            Some(WindowItem {
                content: WindowContent::Change(entry),
                ..
            }) if entry.change.seq == seq => Some(entry),
            _ => None,
        }
    }

    /// Adds the next change.
    pub(super) fn push_change(&mut self, change: Arc<Change>) {
        assert_eq!(change.seq, self.seq.next(), "the tail is contiguous");
        self.seq = change.seq;
        let entry = SharedChange::new(change);
        let bytes = entry.bytes_max();
        self.push(WindowContent::Change(entry), bytes);
    }

    /// Adds a broadcast.
    pub(super) fn push_broadcast(&mut self, broadcast: SharedBroadcast) {
        let bytes = broadcast.approx_bytes();
        self.broadcasts.push_back(self.end());
        self.push(WindowContent::Broadcast(broadcast), bytes);
    }

    fn push(&mut self, content: WindowContent, bytes: usize) {
        self.bytes += bytes;
        self.items.push_back(WindowItem {
            seq: self.seq,
            content,
            bytes,
        });
    }

    /// Empties it, as if its items had been trimmed.
    pub(super) fn clear(&mut self) {
        debug_assert_eq!(
            self.bytes,
            self.items.iter().map(|item| item.bytes).sum::<usize>()
        );
        self.start = self.end();
        self.items.clear();
        self.broadcasts.clear();
        self.bytes = 0;
    }

    /// Passes over the next change: empties the window and leaves out an index, so that readers which have read
    /// everything lag too, and find in the log why.
    pub(super) fn skip(&mut self, seq: Seq) {
        assert_eq!(seq, self.seq.next(), "the tail is contiguous");
        self.clear();
        self.start += 1;
        self.seq = seq;
    }

    /// Drops the oldest items beyond the bound in bytes, but never the newest.
    pub(super) fn trim(&mut self) {
        while self.bytes > self.bytes_max && self.items.len() > 1 {
            let oldest = self.items.pop_front().expect("the length was checked");
            self.bytes -= oldest.bytes;
            self.start += 1;
        }
        while self
            .broadcasts
            .front()
            .is_some_and(|first| *first < self.start)
        {
            self.broadcasts.pop_front();
        }
        debug_assert!(self.broadcasts.back().is_none_or(|last| *last < self.end()));
    }
}

impl WindowItem {
    /// Whether a reader of all changes up to `seq` misses none if it begins with this item.
    fn continues(&self, seq: Seq) -> bool {
        match self.content {
            WindowContent::Change(..) => self.seq <= seq.next(),
            WindowContent::Broadcast(_) => self.seq <= seq,
        }
    }
}
