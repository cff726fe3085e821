//! The live window: the latest changes and broadcasts, shared by all sessions.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::watch;

use super::entry::Entry;
use crate::domain::{Change, Seq};
use crate::protocol::{self, Frame};
use crate::store::Broadcast;

/// A place in the window: items are numbered as they arrive at this node, changes and broadcasts alike.
pub(super) type Place = u64;

/// Bounded in bytes: the oldest items go when new ones come, read or not.
#[derive(Debug)]
pub(super) struct Live {
    window: RwLock<Window>,
    /// The place after the newest item. Sessions that have read everything wait for it to move.
    end: watch::Sender<Place>,
    /// The place after the newest broadcast, for sessions that hear nothing else.
    broadcasts_end: watch::Sender<Place>,
}

#[derive(Debug)]
struct Window {
    items: VecDeque<Item>,
    /// Places of the broadcasts among them.
    broadcasts: VecDeque<Place>,
    /// The place of the first item.
    start: Place,
    bytes: usize,
    bytes_max: usize,
    /// The last change published.
    seq: Seq,
}

#[derive(Debug)]
pub(super) struct Item {
    /// The last change at or before this item.
    pub(super) seq: Seq,
    pub(super) content: Content,
    bytes: usize,
}

#[derive(Debug)]
pub(super) enum Content {
    Change(Entry),
    Broadcast(Frame),
}

/// The window has moved on without a reader.
#[derive(Debug)]
pub(super) struct Overrun;

impl Live {
    pub(super) fn new(seq: Seq, bytes_max: usize) -> Self {
        let window = Window {
            items: VecDeque::new(),
            broadcasts: VecDeque::new(),
            start: 0,
            bytes: 0,
            bytes_max,
            seq,
        };
        Self {
            window: RwLock::new(window),
            end: watch::Sender::new(0),
            broadcasts_end: watch::Sender::new(0),
        }
    }

    pub(super) fn seq(&self) -> Seq {
        self.window().seq
    }

    /// The end of the window as it is now.
    pub(super) fn now(&self) -> (Place, Seq) {
        let window = self.window();
        (window.end(), window.seq)
    }

    /// Where a reader of all changes up to `seq` goes on; `None` if the window begins after that.
    ///
    /// A position beyond the last published change is fine: the reader has read the log ahead of the pump.
    pub(super) fn place_after(&self, seq: Seq) -> Option<Place> {
        let window = self.window();
        let reaches_back = window
            .items
            .front()
            .is_some_and(|first| first.covers_after(seq));
        if seq >= window.seq {
            return Some(window.end());
        }
        reaches_back
            .then(|| window.start + window.items.partition_point(|item| item.seq <= seq) as Place)
    }

    /// Adds the next changes, and wakes all who wait.
    pub(super) fn publish(&self, changes: &[Arc<Change>]) {
        self.push(|window| {
            for change in changes {
                window.push_change(Arc::clone(change));
            }
        });
    }

    /// Adds a broadcast, and wakes all who wait.
    pub(super) fn broadcast(&self, broadcast: &Broadcast) {
        let end = self.push(|window| window.push_broadcast(broadcast));
        self.broadcasts_end.send_replace(end);
    }

    /// Empties the window, as if much had come since: who has not read everything goes on in the log.
    pub(super) fn forget(&self) {
        let mut window = self.window.write().unwrap_or_else(PoisonError::into_inner);
        window.clear();
    }

    fn push(&self, add: impl FnOnce(&mut Window)) -> Place {
        let mut window = self.window.write().unwrap_or_else(PoisonError::into_inner);
        add(&mut window);
        window.trim();
        let end = window.end();
        drop(window);
        self.end.send_replace(end);
        end
    }

    /// Shows the items from `place` on to `visit`, until that has enough; the place to go on from.
    pub(super) fn read(
        &self,
        place: Place,
        mut visit: impl FnMut(&Item) -> bool,
    ) -> Result<Place, Overrun> {
        let window = self.window();
        let skip = place.checked_sub(window.start).ok_or(Overrun)?;
        let skip = usize::try_from(skip).expect("the window is in memory");
        let mut place = place;
        for item in window.items.range(skip..) {
            if !visit(item) {
                break;
            }
            place += 1;
        }
        Ok(place)
    }

    /// Shows the broadcasts from `place` on that are still there; the place to go on from.
    pub(super) fn read_broadcasts(&self, place: Place, mut visit: impl FnMut(&Frame)) -> Place {
        let window = self.window();
        let first = window.broadcasts.partition_point(|known| *known < place);
        for known in window.broadcasts.range(first..) {
            let at = usize::try_from(known - window.start).expect("the window is in memory");
            if let Content::Broadcast(frame) = &window.items[at].content {
                visit(frame);
            }
        }
        window.end()
    }

    /// Shows these changes to `visit`, until that has enough or one has left the window.
    pub(super) fn entries(
        &self,
        seqs: impl Iterator<Item = Seq>,
        mut visit: impl FnMut(&Entry) -> bool,
    ) {
        let window = self.window();
        for seq in seqs {
            match window.entry(seq) {
                Some(entry) if visit(entry) => {}
                _ => return,
            }
        }
    }

    /// Moves whenever anything comes.
    pub(super) fn watch(&self) -> watch::Receiver<Place> {
        self.end.subscribe()
    }

    /// Moves whenever a broadcast comes.
    pub(super) fn watch_broadcasts(&self) -> watch::Receiver<Place> {
        self.broadcasts_end.subscribe()
    }

    fn window(&self) -> RwLockReadGuard<'_, Window> {
        // A reader cannot leave the window half changed.
        self.window.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn end(&self) -> Place {
        self.start + self.items.len() as Place
    }

    fn entry(&self, seq: Seq) -> Option<&Entry> {
        // A change stands before the broadcasts that came after it.
        let at = self.items.partition_point(|item| item.seq < seq);
        match self.items.get(at) {
            Some(Item {
                content: Content::Change(entry),
                ..
            }) if entry.change.seq == seq => Some(entry),
            _ => None,
        }
    }

    fn push_change(&mut self, change: Arc<Change>) {
        assert_eq!(change.seq, self.seq.next(), "the tail is contiguous");
        self.seq = change.seq;
        let entry = Entry::new(change);
        let bytes = entry.weight();
        self.push(Content::Change(entry), bytes);
    }

    fn push_broadcast(&mut self, broadcast: &Broadcast) {
        let frame = protocol::broadcast(&broadcast.payload);
        let bytes = 64 + frame.len();
        self.broadcasts.push_back(self.end());
        self.push(Content::Broadcast(frame), bytes);
    }

    fn push(&mut self, content: Content, bytes: usize) {
        self.bytes += bytes;
        self.items.push_back(Item {
            seq: self.seq,
            content,
            bytes,
        });
    }

    fn clear(&mut self) {
        self.start = self.end();
        self.items.clear();
        self.broadcasts.clear();
        self.bytes = 0;
    }

    /// Drops the oldest items beyond the bound, but never the newest.
    fn trim(&mut self) {
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

impl Item {
    /// Whether a reader of all changes up to `seq` misses none by beginning with this item.
    fn covers_after(&self, seq: Seq) -> bool {
        match self.content {
            Content::Change(..) => self.seq <= seq.next(),
            Content::Broadcast(_) => self.seq <= seq,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Command, Create, Document, EventId, Stamp, State, Timestamp, decide};

    fn change(seq: u64, text: &str) -> Arc<Change> {
        let payload = Document::from_iter([("text", text.into())]);
        let command = Command::Create(Create::parse(payload).unwrap());
        let at = Timestamp::parse("2026-01-31T12:00:00.000Z").unwrap();
        let state = State {
            id: EventId::parse(&format!("e{seq}")).unwrap(),
            current: None,
            earlier: None,
        };
        let seq = Seq::new(seq);
        Arc::new(decide(&state, &command, Stamp { seq, at }).unwrap())
    }

    fn publish(live: &Live, seqs: impl IntoIterator<Item = u64>, text: &str) {
        let changes: Vec<_> = seqs.into_iter().map(|seq| change(seq, text)).collect();
        live.publish(&changes);
    }

    /// The changes from `place` on, and where to go on.
    fn read(live: &Live, place: Place) -> Result<(Vec<u64>, Place), Overrun> {
        let mut seqs = Vec::new();
        let place = live.read(place, |item| {
            if let Content::Change(entry) = &item.content {
                seqs.push(entry.change.seq.get());
            }
            true
        })?;
        Ok((seqs, place))
    }

    const BYTES_MAX: usize = 1024 * 1024;

    fn live(seq: u64) -> Live {
        Live::new(Seq::new(seq), BYTES_MAX)
    }

    fn say(live: &Live, payload: &str) {
        let payload = payload.into();
        live.broadcast(&Broadcast { payload });
    }

    #[test]
    fn a_reader_gets_what_was_published_after_its_place_once() {
        let live = live(10);
        let (place, _) = live.now();
        publish(&live, 11..=13, "");
        let (seqs, place) = read(&live, place).expect("within the window");
        assert_eq!(seqs, [11, 12, 13]);
        assert_eq!(read(&live, place).expect("within the window").0, [0; 0]);
    }

    #[test]
    fn a_position_within_the_window_finds_its_place_and_an_older_one_does_not() {
        let live = live(10);
        assert_eq!(live.place_after(Seq::new(9)), None, "an empty window");
        say(&live, "1");
        publish(&live, 11..=20, "");
        for after in 10..=20 {
            let place = live.place_after(Seq::new(after));
            let (seqs, _) = read(&live, place.expect("within")).expect("within the window");
            assert_eq!(seqs, (after + 1..=20).collect::<Vec<_>>());
        }
        assert_eq!(live.place_after(Seq::new(9)), None);
        assert_eq!(live.place_after(Seq::new(25)), Some(live.now().0));
    }

    #[test]
    fn what_is_forgotten_is_gone_from_the_window_and_what_comes_later_is_not() {
        let live = live(10);
        let (early, _) = live.now();
        publish(&live, 11..=13, "");
        let (late, _) = live.now();
        live.forget();
        assert!(read(&live, early).is_err(), "it must read the log");
        assert_eq!(live.place_after(Seq::new(12)), None);
        assert_eq!(live.place_after(Seq::new(13)), Some(late));
        publish(&live, [14], "");
        assert_eq!(read(&live, late).expect("within the window").0, [14]);
        assert_eq!(live.place_after(Seq::new(12)), None);
    }

    #[test]
    fn the_window_is_bounded_in_bytes_and_says_so_to_those_it_left_behind() {
        let live = live(0);
        let (place, seq) = live.now();
        let text = "x".repeat(BYTES_MAX / 32);
        (1..=32).for_each(|n| publish(&live, [n], &text));
        assert!(live.window().bytes <= BYTES_MAX);
        assert!(read(&live, place).is_err());
        assert_eq!(live.place_after(seq), None);
    }

    #[test]
    fn changes_are_found_by_their_seq_as_long_as_they_are_there() {
        let live = live(0);
        let text = "x".repeat(BYTES_MAX / 32);
        for n in 1..=32 {
            say(&live, "1");
            publish(&live, [n], &text);
        }
        let found = |seqs: &[u64]| {
            let mut found = Vec::new();
            live.entries(seqs.iter().map(|seq| Seq::new(*seq)), |entry| {
                found.push(entry.change.seq.get());
                true
            });
            found
        };
        assert_eq!(found(&[30, 32]), [30, 32]);
        assert_eq!(found(&[30, 33, 31]), [30], "33 is not there yet");
        assert_eq!(found(&[1, 32]), [0; 0], "1 is there no more");
    }

    #[test]
    fn broadcasts_are_found_among_changes_once_each() {
        let live = live(0);
        publish(&live, 1..=2, "");
        say(&live, "{\"a\": 1}");
        publish(&live, 3..=4, "");
        let mut heard = Vec::new();
        let place = live.read_broadcasts(0, |frame| heard.push(frame.clone()));
        live.read_broadcasts(place, |_| panic!("it was heard"));
        assert_eq!(
            heard.iter().map(Frame::as_str).collect::<Vec<_>>(),
            [r#"{"type":"broadcast","payload":{"a": 1}}"#]
        );
        let text = "x".repeat(BYTES_MAX / 4);
        publish(&live, 5..=8, &text);
        live.read_broadcasts(0, |_| panic!("it has left the window"));
    }
}
