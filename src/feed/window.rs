//! The latest changes and broadcasts, in the order they arrived at this node.

use std::collections::VecDeque;
use std::sync::Arc;

use super::entry::SharedChange;
use crate::domain::{Change, Seq};
use crate::protocol;
use crate::protocol::Frame;
use crate::store::Broadcast;

/// A place in the window: items are numbered as they arrive, changes and broadcasts alike.
pub(super) type WindowIndex = u64;

/// The window has moved on without a reader.
#[derive(Debug)]
pub(super) struct Lagged;

/// Bounded in bytes: the oldest items go when new ones come, read or not.
#[derive(Debug)]
pub(super) struct Window {
    items: VecDeque<WindowItem>,
    /// Places of the broadcasts among them.
    broadcasts: VecDeque<WindowIndex>,
    /// The place of the first item.
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
    Broadcast(Frame),
}

impl Window {
    /// An empty one, after change `seq`.
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

    /// Where a reader of all changes up to `seq` goes on; `None` if the window begins after that.
    ///
    /// A position beyond the last published change is fine: the reader has read the log ahead of the pump.
    pub(super) fn place_after(&self, seq: Seq) -> Option<WindowIndex> {
        if seq >= self.seq {
            return Some(self.end());
        }
        let first = self.items.front()?;
        first
            .covers_after(seq)
            .then(|| self.start + self.items.partition_point(|item| item.seq <= seq) as WindowIndex)
    }

    /// Shows the items from `place` on to `visit`, until that has enough; the place to go on from.
    pub(super) fn read(
        &self,
        place: WindowIndex,
        mut visit: impl FnMut(&WindowItem) -> bool,
    ) -> Result<WindowIndex, Lagged> {
        let skip = place.checked_sub(self.start).ok_or(Lagged)?;
        let skip = usize::try_from(skip).expect("the window is in memory");
        let mut place = place;
        for item in self.items.range(skip..) {
            if !visit(item) {
                break;
            }
            place += 1;
        }
        Ok(place)
    }

    /// Shows the broadcasts from `place` on that are still there; the place to go on from.
    pub(super) fn read_broadcasts(
        &self,
        place: WindowIndex,
        mut visit: impl FnMut(&Frame),
    ) -> WindowIndex {
        let first = self.broadcasts.partition_point(|known| *known < place);
        for known in self.broadcasts.range(first..) {
            let at = usize::try_from(known - self.start).expect("the window is in memory");
            if let WindowContent::Broadcast(frame) = &self.items[at].content {
                visit(frame);
            }
        }
        self.end()
    }

    /// The place after the newest item.
    pub(super) fn end(&self) -> WindowIndex {
        self.start + self.items.len() as WindowIndex
    }

    /// The change at `seq`, if it is here.
    pub(super) fn entry(&self, seq: Seq) -> Option<&SharedChange> {
        // A change stands before the broadcasts that came after it.
        let at = self.items.partition_point(|item| item.seq < seq);
        match self.items.get(at) {
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
        let bytes = entry.weight();
        self.push(WindowContent::Change(entry), bytes);
    }

    /// Adds a broadcast.
    pub(super) fn push_broadcast(&mut self, broadcast: &Broadcast) {
        let frame = protocol::broadcast(&broadcast.payload);
        let bytes = 64 + frame.len();
        self.broadcasts.push_back(self.end());
        self.push(WindowContent::Broadcast(frame), bytes);
    }

    fn push(&mut self, content: WindowContent, bytes: usize) {
        self.bytes += bytes;
        self.items.push_back(WindowItem {
            seq: self.seq,
            content,
            bytes,
        });
    }

    /// Empties it, as if much had come since.
    pub(super) fn clear(&mut self) {
        self.start = self.end();
        self.items.clear();
        self.broadcasts.clear();
        self.bytes = 0;
    }

    /// Empties it, and leaves out a place, so that whoever has read everything notices too.
    pub(super) fn skip(&mut self, seq: Seq) {
        self.clear();
        self.start += 1;
        self.seq = seq;
    }

    /// Drops the oldest items beyond the bound, but never the newest.
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
    }
}

impl WindowItem {
    /// Whether a reader of all changes up to `seq` misses none by beginning with this item.
    fn covers_after(&self, seq: Seq) -> bool {
        match self.content {
            WindowContent::Change(..) => self.seq <= seq.next(),
            WindowContent::Broadcast(_) => self.seq <= seq,
        }
    }
}
