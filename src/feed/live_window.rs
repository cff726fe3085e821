//! The live window: the latest changes and broadcasts, shared by all sessions.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::shared_broadcast::SharedBroadcast;
use super::shared_change::SharedChange;
use super::window::{Lagged, Window, WindowIndex, WindowItem};
use crate::domain::{Change, Seq};
use crate::store::Broadcast;

/// The window, and the channels that announce its movement.
#[derive(Debug)]
pub(super) struct LiveWindow {
    window: RwLock<Window>,
    /// The index after the newest item. Sessions that have read everything wait for it to move.
    end: watch::Sender<WindowIndex>,
    /// The index after the newest broadcast, for sessions that receive nothing else.
    broadcasts_end: watch::Sender<WindowIndex>,
    /// How often the window was emptied because what was sent before may have been erased since.
    generations: watch::Sender<u64>,
    /// Held by each listener that does not hear every broadcast: while somebody has it, payloads are parsed.
    judging: Arc<()>,
}

/// Who has one judges payloads of broadcasts.
pub(super) type PayloadJudge = Arc<()>;

impl LiveWindow {
    pub(super) fn new(seq: Seq, bytes_max: usize) -> Self {
        Self {
            window: RwLock::new(Window::new(seq, bytes_max)),
            end: watch::Sender::new(0),
            broadcasts_end: watch::Sender::new(0),
            generations: watch::Sender::new(0),
            judging: Arc::default(),
        }
    }

    pub(super) fn seq(&self) -> Seq {
        self.window().seq
    }

    pub(super) fn bytes(&self) -> usize {
        self.window().bytes
    }

    /// The index after the newest item, and the last change.
    pub(super) fn end(&self) -> (WindowIndex, Seq) {
        let window = self.window();
        (window.end(), window.seq)
    }

    /// See [`Window::index_after`].
    pub(super) fn index_after(&self, seq: Seq) -> Option<WindowIndex> {
        self.window().index_after(seq)
    }

    /// Adds the next changes, and wakes all waiting sessions.
    pub(super) fn publish(&self, changes: &[Arc<Change>]) {
        self.push(|window| {
            for change in changes {
                window.push_change(Arc::clone(change));
            }
        });
    }

    /// From now on payloads of broadcasts are parsed, for as long as somebody has one of these.
    pub(super) fn judge_payloads(&self) -> PayloadJudge {
        Arc::clone(&self.judging)
    }

    /// Adds a broadcast, and wakes all waiting sessions.
    pub(super) fn broadcast(&self, broadcast: &Broadcast) {
        let is_judged = Arc::strong_count(&self.judging) > 1;
        let broadcast = SharedBroadcast::new(broadcast, is_judged);
        let end = self.push(|window| window.push_broadcast(broadcast));
        self.broadcasts_end.send_replace(end);
    }

    /// Empties the window: readers that have not read everything go on in the log. What else is held of changes is of an
    /// earlier generation from now on, and is to be read again.
    pub(super) fn clear(&self) {
        self.window_mut().clear();
        self.generations.send_modify(|generation| *generation += 1);
    }

    /// How often it was emptied.
    pub(super) fn generation(&self) -> u64 {
        *self.generations.borrow()
    }

    /// Announces when it is emptied.
    pub(super) fn generations(&self) -> watch::Receiver<u64> {
        self.generations.subscribe()
    }

    /// Passes over the next change, which cannot be read: all readers go on in the log, and learn there that it is
    /// corrupt.
    pub(super) fn skip(&self, seq: Seq) {
        let mut window = self.window_mut();
        window.skip(seq);
        let end = window.end();
        drop(window);
        self.end.send_replace(end);
    }

    fn push(&self, add: impl FnOnce(&mut Window)) -> WindowIndex {
        let mut window = self.window_mut();
        add(&mut window);
        window.trim();
        let end = window.end();
        drop(window);
        self.end.send_replace(end);
        end
    }

    /// See [`Window::read`].
    pub(super) fn read(
        &self,
        from: WindowIndex,
        visit: impl FnMut(&WindowItem) -> bool,
    ) -> Result<WindowIndex, Lagged> {
        self.window().read(from, visit)
    }

    /// See [`Window::read_broadcasts`].
    pub(super) fn read_broadcasts(
        &self,
        from: WindowIndex,
        visit: impl FnMut(&SharedBroadcast) -> bool,
    ) -> WindowIndex {
        self.window().read_broadcasts(from, visit)
    }

    /// Shows the changes at these seqs to `visit`, each with what belongs to it, until `visit` says `false` or a change
    /// has left the window.
    pub(super) fn entries<T>(
        &self,
        seqs: impl Iterator<Item = (Seq, T)>,
        mut visit: impl FnMut(&SharedChange, T) -> bool,
    ) {
        let window = self.window();
        for (seq, of_it) in seqs {
            match window.entry(seq) {
                Some(entry) if visit(entry, of_it) => {}
                _ => return,
            }
        }
    }

    /// Announces every new item.
    pub(super) fn watch(&self) -> watch::Receiver<WindowIndex> {
        self.end.subscribe()
    }

    /// Announces every new broadcast.
    pub(super) fn watch_broadcasts(&self) -> watch::Receiver<WindowIndex> {
        self.broadcasts_end.subscribe()
    }

    fn window(&self) -> RwLockReadGuard<'_, Window> {
        // Only the pump writes, and a node whose pump has panicked ends.
        self.window.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn window_mut(&self) -> RwLockWriteGuard<'_, Window> {
        self.window.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::WindowContent;
    use super::*;
    use crate::domain::{Command, Create, EventId, EventState, Hearing, Stamp, Timestamp, decide};
    use crate::protocol::Frame;
    use crate::query::Filter;
    use crate::value::{Document, Steps};
    use serde_json::value::RawValue;

    fn change(seq: u64, text: &str) -> Arc<Change> {
        let payload = Document::from_iter([("text", text.into())]);
        let command = Command::Create(Create::parse(payload).unwrap());
        let at = Timestamp::parse("2026-01-31T12:00:00.000Z").unwrap();
        let state = EventState {
            id: EventId::parse(&format!("e{seq}")).unwrap(),
            current: None,
            earlier: None,
            last_version: 0,
        };
        let seq = Seq::new(seq);
        let decided = decide(&state, &command, Stamp { seq, at }, &Steps::unbounded());
        Arc::new(decided.unwrap())
    }

    fn publish(live: &LiveWindow, seqs: impl IntoIterator<Item = u64>, text: &str) {
        let changes: Vec<_> = seqs.into_iter().map(|seq| change(seq, text)).collect();
        live.publish(&changes);
    }

    /// The changes from an index on, and the index to go on from.
    fn read(live: &LiveWindow, index: WindowIndex) -> Result<(Vec<u64>, WindowIndex), Lagged> {
        let mut seqs = Vec::new();
        let index = live.read(index, |item| {
            if let WindowContent::Change(entry) = &item.content {
                seqs.push(entry.change.seq.get());
            }
            true
        })?;
        Ok((seqs, index))
    }

    const BYTES_MAX: usize = 1024 * 1024;

    fn live(seq: u64) -> LiveWindow {
        LiveWindow::new(Seq::new(seq), BYTES_MAX)
    }

    fn say(live: &LiveWindow, payload: &str) {
        let payload = RawValue::from_string(payload.to_owned()).unwrap().into();
        live.broadcast(&Broadcast { payload });
    }

    #[test]
    fn a_reader_gets_what_was_published_after_its_place_once() {
        let live = live(10);
        let (index, _) = live.end();
        publish(&live, 11..=13, "");
        let (seqs, index) = read(&live, index).expect("within the window");
        assert_eq!(seqs, [11, 12, 13]);
        assert_eq!(read(&live, index).expect("within the window").0, [0; 0]);
    }

    #[test]
    fn a_position_within_the_window_finds_its_place_and_an_older_one_does_not() {
        let live = live(10);
        assert_eq!(live.index_after(Seq::new(9)), None, "an empty window");
        say(&live, "1");
        publish(&live, 11..=20, "");
        for after in 10..=20 {
            let index = live.index_after(Seq::new(after));
            let (seqs, _) = read(&live, index.expect("within")).expect("within the window");
            assert_eq!(seqs, (after + 1..=20).collect::<Vec<_>>());
        }
        assert_eq!(live.index_after(Seq::new(9)), None);
        assert_eq!(live.index_after(Seq::new(25)), Some(live.end().0));
    }

    #[test]
    fn what_is_forgotten_is_gone_from_the_window_and_what_comes_later_is_not() {
        let live = live(10);
        let (early, _) = live.end();
        publish(&live, 11..=13, "");
        let (late, _) = live.end();
        live.clear();
        assert!(read(&live, early).is_err(), "it must read the log");
        assert_eq!(live.index_after(Seq::new(12)), None);
        assert_eq!(live.index_after(Seq::new(13)), Some(late));
        publish(&live, [14], "");
        assert_eq!(read(&live, late).expect("within the window").0, [14]);
        assert_eq!(live.index_after(Seq::new(12)), None);
    }

    #[test]
    fn the_window_is_bounded_in_bytes_and_says_so_to_those_it_left_behind() {
        let live = live(0);
        let (index, seq) = live.end();
        let text = "x".repeat(BYTES_MAX / 32);
        (1..=32).for_each(|n| publish(&live, [n], &text));
        assert!(live.window().bytes <= BYTES_MAX);
        assert!(read(&live, index).is_err());
        assert_eq!(live.index_after(seq), None);
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
            live.entries(seqs.iter().map(|seq| (Seq::new(*seq), ())), |entry, ()| {
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
        let everything = Hearing::everything();
        let mut heard = Vec::new();
        let index = live.read_broadcasts(0, |broadcast| {
            let frame = broadcast.frame(&everything, &Steps::unbounded());
            heard.push(frame.expect("it hears everything").clone());
            true
        });
        live.read_broadcasts(index, |_| panic!("it was heard"));
        assert_eq!(
            heard.iter().map(Frame::as_str).collect::<Vec<_>>(),
            [r#"{"type":"broadcast","payload":{"a": 1}}"#]
        );
        assert_eq!(
            live.read_broadcasts(0, |_| false),
            2,
            "it is to be shown again"
        );
        let text = "x".repeat(BYTES_MAX / 4);
        publish(&live, 5..=8, &text);
        live.read_broadcasts(0, |_| panic!("it has left the window"));
    }

    /// What who hears this is told of the broadcasts that the window holds.
    fn heard(live: &LiveWindow, rule: &str) -> Vec<String> {
        let rule = Filter::parse(&serde_json::from_str(rule).unwrap(), "hear").unwrap();
        let hearing = Hearing::new(rule);
        let mut heard = Vec::new();
        live.read_broadcasts(0, |broadcast| {
            let frame = broadcast.frame(&hearing, &Steps::unbounded());
            heard.extend(frame.map(|frame| frame.as_str().to_owned()));
            true
        });
        heard
    }

    #[test]
    fn payloads_are_parsed_while_somebody_judges_them_and_take_room_then() {
        let live = live(0);
        let payload = format!("{{\"room\":\"a\",\"list\":[{}0]}}", "0,".repeat(1_000));
        say(&live, &payload);
        let unparsed = live.bytes();
        assert!(unparsed < 3 * payload.len());
        assert_eq!(heard(&live, r#"{"room":"a"}"#), [""; 0]);
        let judge = live.judge_payloads();
        say(&live, &payload);
        let parsed = live.bytes() - unparsed;
        assert!(parsed > 5 * payload.len(), "{parsed} bytes");
        assert_eq!(heard(&live, r#"{"room":"a"}"#).len(), 1);
        assert_eq!(heard(&live, r#"{"room":"b"}"#).len(), 0);
        assert_eq!(heard(&live, "{}").len(), 2);
        drop(judge);
        say(&live, &payload);
        assert_eq!(live.bytes(), 2 * unparsed + parsed);
    }

    #[test]
    fn a_payload_that_is_no_object_is_heard_by_who_hears_everything() {
        let live = live(0);
        let _judge = live.judge_payloads();
        for payload in ["1", "[{\"room\":\"a\"}]", "\"room\"", "null"] {
            say(&live, payload);
        }
        assert_eq!(heard(&live, "{}").len(), 4);
        for rule in [r#"{"room":"a"}"#, r#"{"room":{"$ne":"b"}}"#] {
            assert_eq!(heard(&live, rule), [""; 0], "{rule}");
        }
    }
}
