//! The live window: the latest changes and broadcasts, shared by all sessions.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::watch;

use crate::domain::{Change, Seq};
use crate::limits;
use crate::protocol::{self, Frame};
use crate::store::{Broadcast, Tidings};

/// What a session wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Every change, and broadcasts.
    Changes,
    /// Broadcasts alone.
    Broadcasts,
}

/// A place in the window: items are numbered as they arrive at this node, changes and broadcasts alike.
pub(super) type Place = u64;

/// Bounded by [`limits::LIVE_WINDOW_BYTES_MAX`]: the oldest items go when new ones come, read or not.
#[derive(Debug)]
pub(super) struct Live {
    window: RwLock<Window>,
    /// The place after the newest item. Sessions that have read everything wait for it to move.
    end: watch::Sender<Place>,
}

#[derive(Debug)]
struct Window {
    items: VecDeque<Item>,
    /// The place of the first item.
    start: Place,
    bytes: usize,
    /// The last change published.
    seq: Seq,
}

#[derive(Debug)]
struct Item {
    /// The last change at or before this item.
    seq: Seq,
    content: Content,
    bytes: usize,
}

#[derive(Debug)]
enum Content {
    /// Encoded by the first session that needs it.
    Change(Arc<Change>, OnceLock<Frame>),
    Broadcast(Frame),
}

/// What a reader finds at its place.
pub(super) enum Found {
    /// Items were read up to this place, and changes up to this seq.
    Read(Place, Seq),
    /// The window has moved on without this reader.
    Overrun,
}

impl Live {
    pub(super) fn new(seq: Seq) -> Self {
        let window = Window {
            items: VecDeque::new(),
            start: 0,
            bytes: 0,
            seq,
        };
        Self {
            window: RwLock::new(window),
            end: watch::Sender::new(0),
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

    /// Adds what the tail told, and wakes all who wait.
    pub(super) fn publish(&self, tidings: Tidings) {
        let mut window = self.window.write().unwrap_or_else(PoisonError::into_inner);
        match tidings {
            Tidings::Changes(changes) => changes
                .into_iter()
                .for_each(|change| window.push_change(change)),
            Tidings::Broadcast(broadcast) => window.push_broadcast(&broadcast),
        }
        window.trim();
        let end = window.end();
        drop(window);
        self.end.send_replace(end);
    }

    /// Reads from `place` what `interest` asks for and is after `seq`, until `frames` is full for one flush.
    pub(super) fn read(
        &self,
        place: Place,
        seq: Seq,
        interest: Interest,
        frames: &mut Vec<Frame>,
    ) -> Found {
        let window = self.window();
        let Some(skip) = place.checked_sub(window.start) else {
            return Found::Overrun;
        };
        let mut bytes = 0;
        let (mut place, mut seq) = (place, seq);
        for item in window
            .items
            .range(usize::try_from(skip).expect("the window is in memory")..)
        {
            if frames.len() >= limits::FLUSH_COUNT_MAX || bytes >= limits::FLUSH_BYTES_MAX {
                break;
            }
            if let Some(frame) = item.frame(seq, interest) {
                bytes += frame.len();
                frames.push(frame);
            }
            place += 1;
            seq = seq.max(item.seq);
        }
        Found::Read(place, seq)
    }

    pub(super) fn watch(&self) -> watch::Receiver<Place> {
        self.end.subscribe()
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

    fn push_change(&mut self, change: Arc<Change>) {
        assert_eq!(change.seq, self.seq.next(), "the tail is contiguous");
        self.seq = change.seq;
        // Twice: the frame will stand beside the change.
        let bytes = 2 * change.weight();
        self.push(Content::Change(change, OnceLock::new()), bytes);
    }

    fn push_broadcast(&mut self, broadcast: &Broadcast) {
        let frame = protocol::broadcast(&broadcast.payload);
        let bytes = 64 + frame.len();
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

    /// Drops the oldest items beyond the bound, but never the newest.
    fn trim(&mut self) {
        while self.bytes > limits::LIVE_WINDOW_BYTES_MAX && self.items.len() > 1 {
            let oldest = self.items.pop_front().expect("the length was checked");
            self.bytes -= oldest.bytes;
            self.start += 1;
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

    fn frame(&self, read: Seq, interest: Interest) -> Option<Frame> {
        match &self.content {
            Content::Broadcast(frame) => Some(frame.clone()),
            Content::Change(change, frame) => {
                let wanted = interest == Interest::Changes && change.seq > read;
                wanted.then(|| frame.get_or_init(|| protocol::change(change)).clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Command, Create, Document, EventId, Stamp, Timestamp, decide};

    fn change(seq: u64, text: &str) -> Arc<Change> {
        let payload = Document::from_iter([("text", text.into())]);
        let command = Command::Create(Create::parse(payload).unwrap());
        let at = Timestamp::parse("2026-01-31T12:00:00.000Z").unwrap();
        let id = EventId::parse(&format!("e{seq}")).unwrap();
        Arc::new(
            decide(
                id,
                None,
                &command,
                Stamp {
                    seq: Seq::new(seq),
                    at,
                },
            )
            .unwrap(),
        )
    }

    fn publish(live: &Live, seqs: impl IntoIterator<Item = u64>, text: &str) {
        live.publish(Tidings::Changes(
            seqs.into_iter().map(|seq| change(seq, text)).collect(),
        ));
    }

    fn seqs(frames: &[Frame]) -> Vec<u64> {
        let seq = |frame: &Frame| {
            serde_json::from_str::<serde_json::Value>(frame.as_str()).unwrap()["seq"].as_u64()
        };
        frames.iter().filter_map(seq).collect()
    }

    #[test]
    fn a_reader_gets_what_was_published_after_its_place_once() {
        let live = Live::new(Seq::new(10));
        let (place, seq) = live.now();
        publish(&live, 11..=13, "");
        let mut frames = Vec::new();
        let Found::Read(place, seq) = live.read(place, seq, Interest::Changes, &mut frames) else {
            panic!("within the window");
        };
        assert_eq!((seqs(&frames), seq), (vec![11, 12, 13], Seq::new(13)));
        assert!(matches!(
            live.read(place, seq, Interest::Changes, &mut frames),
            Found::Read(_, _)
        ));
        assert_eq!(frames.len(), 3);
    }

    #[test]
    fn a_position_within_the_window_finds_its_place_and_an_older_one_does_not() {
        let live = Live::new(Seq::new(10));
        assert_eq!(live.place_after(Seq::new(9)), None, "an empty window");
        live.publish(Tidings::Broadcast(Broadcast {
            payload: "1".into(),
        }));
        publish(&live, 11..=20, "");
        for after in 10..=20 {
            let place = live
                .place_after(Seq::new(after))
                .expect("within the window");
            let mut frames = Vec::new();
            live.read(place, Seq::new(after), Interest::Changes, &mut frames);
            assert_eq!(seqs(&frames), (after + 1..=20).collect::<Vec<_>>());
        }
        assert_eq!(live.place_after(Seq::new(9)), None);
        assert_eq!(live.place_after(Seq::new(25)), Some(live.now().0));
    }

    #[test]
    fn the_window_is_bounded_in_bytes_and_says_so_to_those_it_left_behind() {
        let live = Live::new(Seq::ZERO);
        let (place, seq) = live.now();
        let text = "x".repeat(256 * 1024);
        let count = (limits::LIVE_WINDOW_BYTES_MAX / text.len()) as u64;
        (1..=count).for_each(|n| publish(&live, [n], &text));
        assert!(live.window().bytes <= limits::LIVE_WINDOW_BYTES_MAX);
        assert!(matches!(
            live.read(place, seq, Interest::Changes, &mut Vec::new()),
            Found::Overrun
        ));
        assert_eq!(live.place_after(seq), None);
    }

    #[test]
    fn a_session_that_wants_no_changes_hears_broadcasts_only() {
        let live = Live::new(Seq::ZERO);
        publish(&live, 1..=2, "");
        live.publish(Tidings::Broadcast(Broadcast {
            payload: "{\"a\": 1}".into(),
        }));
        let mut frames = Vec::new();
        live.read(0, Seq::ZERO, Interest::Broadcasts, &mut frames);
        assert_eq!(
            frames.iter().map(Frame::as_str).collect::<Vec<_>>(),
            [r#"{"type":"broadcast","payload":{"a": 1}}"#]
        );
    }
}
