//! Queues of many sources, served in turn by what each costs: a deficit round robin of two rings.
//!
//! In one ring are the sources whose next thing is heavy, in the other those whose next thing is light. Whoever
//! takes says from which, and so can let what is light pass what is heavy.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Whom something comes from: one session, or one request over HTTP. Each has its share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Requester {
    id: u64,
    /// What its things cost lately, in bytes.
    lately: Arc<AtomicUsize>,
}

impl Requester {
    /// One that no other is.
    #[expect(
        clippy::new_without_default,
        reason = "no two are equal, so none is the default"
    )]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            lately: Arc::new(AtomicUsize::new(UNKNOWN_BYTES)),
        }
    }

    /// What its next thing may cost beside what can be seen of it.
    pub(super) fn expected(&self) -> usize {
        self.lately.load(Ordering::Relaxed)
    }

    /// Notes what one of its things came to.
    pub(super) fn note(&self, cost: usize) {
        let half = self.expected() / 2;
        self.lately.store(cost.max(half), Ordering::Relaxed);
    }
}

/// What something is taken to cost of whose source nothing is known: heavy, yet many of it fit into a batch.
const UNKNOWN_BYTES: usize = 16 * 1024;

/// Something that waits for its turn.
pub trait Waiting {
    /// In bytes, as far as is known.
    fn cost(&self) -> usize;

    /// Whether what is light may pass it.
    fn is_heavy(&self) -> bool;
}

/// What waits, by source. Things of one source come out in the order they went in.
#[derive(Debug)]
pub struct RoundRobin<T> {
    queues: HashMap<u64, Queue<T>>,
    light: VecDeque<u64>,
    heavy: VecDeque<u64>,
    count: usize,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<T>,
    /// Bytes it may still cost in this turn; below zero it has had more than its share.
    credit: i64,
    /// Which ring it is in. The other may still name it.
    is_heavy: bool,
}

/// Bytes of a turn. Small beside a batch, so that many sources share one; and many small commands long, so that
/// those of one source are taken together.
pub const TURN_BYTES: usize = 64 * 1024;

/// What a source can owe at most: so many turns does it sit out.
const DEBT_MAX: i64 = 64 * bytes(TURN_BYTES);

impl<T> Default for RoundRobin<T> {
    fn default() -> Self {
        Self {
            queues: HashMap::new(),
            light: VecDeque::new(),
            heavy: VecDeque::new(),
            count: 0,
        }
    }
}

impl<T: Waiting> RoundRobin<T> {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Puts something behind all else of its source.
    pub fn push(&mut self, source: &Requester, item: T) {
        let is_heavy = item.is_heavy();
        let queue = self.queues.entry(source.id).or_insert_with(|| {
            let ring = if is_heavy {
                &mut self.heavy
            } else {
                &mut self.light
            };
            ring.push_back(source.id);
            Queue::new(bytes(TURN_BYTES), is_heavy)
        });
        queue.waiting.push_back(item);
        self.count += 1;
    }

    /// Puts something back that was taken too early, before all else of its source, at no cost.
    pub fn put_back(&mut self, source: &Requester, item: T) {
        let (is_heavy, cost) = (item.is_heavy(), bytes(item.cost()));
        let ring = if is_heavy {
            &mut self.heavy
        } else {
            &mut self.light
        };
        let queue = self.queues.entry(source.id).or_insert_with(|| {
            ring.push_front(source.id);
            Queue::new(0, is_heavy)
        });
        if queue.is_heavy != is_heavy {
            queue.is_heavy = is_heavy;
            ring.push_front(source.id);
        }
        queue.waiting.push_front(item);
        queue.credit += cost;
        self.count += 1;
    }

    /// Lets a source pay for what its things turned out to cost beside what was known of them.
    pub fn charge(&mut self, source: &Requester, cost: usize) {
        if let Some(queue) = self.queues.get_mut(&source.id) {
            queue.credit = queue.credit.saturating_sub(bytes(cost)).max(-DEBT_MAX);
        }
    }

    /// Takes the next of what is heavy, or of what is light, if `fits` takes it.
    pub fn pop_if(&mut self, is_heavy: bool, fits: impl FnOnce(&T) -> bool) -> Option<T> {
        let id = self.next(is_heavy)?;
        let queue = self.queues.get_mut(&id)?;
        let item = queue.waiting.pop_front_if(|item| fits(item))?;
        queue.credit -= bytes(item.cost());
        self.count -= 1;
        match queue.waiting.front().map(T::is_heavy) {
            Some(next) if next == is_heavy => {}
            Some(next) => {
                queue.is_heavy = next;
                self.ring(is_heavy).pop_front();
                self.ring(next).push_back(id);
            }
            None => {
                self.queues.remove(&id);
                self.ring(is_heavy).pop_front();
            }
        }
        Some(item)
    }

    /// Takes everything from the front of each queue that `is_over` says so of.
    pub fn expire(&mut self, is_over: impl Fn(&T) -> bool, mut take: impl FnMut(T)) {
        for queue in self.queues.values_mut() {
            while let Some(item) = queue.waiting.pop_front_if(|item| is_over(item)) {
                self.count -= 1;
                take(item);
            }
        }
    }

    /// Goes round until one has its turn and credit.
    fn next(&mut self, is_heavy: bool) -> Option<u64> {
        loop {
            let id = *self.ring(is_heavy).front()?;
            match self.queues.get_mut(&id) {
                Some(queue) if queue.waiting.is_empty() => {
                    self.ring(is_heavy).pop_front();
                    self.queues.remove(&id);
                }
                Some(queue) if queue.is_heavy == is_heavy && queue.credit > 0 => return Some(id),
                Some(queue) if queue.is_heavy == is_heavy => {
                    queue.credit += bytes(TURN_BYTES);
                    self.ring(is_heavy).rotate_left(1);
                }
                // It left this ring.
                Some(_) | None => drop(self.ring(is_heavy).pop_front()),
            }
        }
    }

    fn ring(&mut self, is_heavy: bool) -> &mut VecDeque<u64> {
        match is_heavy {
            true => &mut self.heavy,
            false => &mut self.light,
        }
    }
}

impl<T> Queue<T> {
    fn new(credit: i64, is_heavy: bool) -> Self {
        Self {
            waiting: VecDeque::new(),
            credit,
            is_heavy,
        }
    }
}

/// Costs are bounded by the memory that there is.
const fn bytes(cost: usize) -> i64 {
    cost.cast_signed() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number, and what it costs.
    #[derive(Debug, PartialEq)]
    struct Thing(u32, usize);

    impl Waiting for Thing {
        fn cost(&self) -> usize {
            self.1
        }

        fn is_heavy(&self) -> bool {
            self.1 > TURN_BYTES
        }
    }

    fn pop(turns: &mut RoundRobin<Thing>) -> Option<u32> {
        let light = turns.pop_if(false, |_| true);
        let taken = light.or_else(|| turns.pop_if(true, |_| true));
        taken.map(|Thing(number, _)| number)
    }

    fn rest(turns: &mut RoundRobin<Thing>) -> Vec<u32> {
        std::iter::from_fn(|| pop(turns)).collect()
    }

    #[test]
    fn things_of_one_source_come_in_order_and_sources_share_by_what_they_cost() {
        let (a, b) = (Requester::new(), Requester::new());
        let mut turns = RoundRobin::default();
        for n in 0..6 {
            turns.push(&a, Thing(n, TURN_BYTES / 2));
            turns.push(&b, Thing(100 + n, TURN_BYTES));
        }
        let order = rest(&mut turns);
        assert_eq!(order, [0, 1, 100, 2, 3, 101, 4, 5, 102, 103, 104, 105]);
        assert!(turns.is_empty());
    }

    #[test]
    fn who_turned_out_dear_waits_for_others_but_never_for_ever() {
        let (dear, other) = (Requester::new(), Requester::new());
        let mut turns = RoundRobin::default();
        turns.push(&dear, Thing(0, 100));
        turns.push(&dear, Thing(1, 100));
        assert_eq!(pop(&mut turns), Some(0));
        turns.charge(&dear, 1 << 40);
        let count = 2 * u32::try_from(DEBT_MAX).unwrap() / 1_000;
        (0..count).for_each(|n| turns.push(&other, Thing(2 + n, 1_000)));
        let before = std::iter::from_fn(|| pop(&mut turns)).take_while(|number| *number != 1);
        let passed = before.count() * 1_000;
        let most = usize::try_from(DEBT_MAX).unwrap() + 3 * TURN_BYTES;
        assert!((1..=most).contains(&passed), "{passed} bytes came first");
    }

    #[test]
    fn what_is_light_passes_what_is_heavy_but_nothing_of_its_own_source() {
        let (a, b) = (Requester::new(), Requester::new());
        let mut turns = RoundRobin::default();
        turns.push(&a, Thing(0, 10 * TURN_BYTES));
        turns.push(&a, Thing(1, 100));
        turns.push(&b, Thing(2, 100));
        assert_eq!(rest(&mut turns), [2, 0, 1]);
    }

    #[test]
    fn what_is_put_back_comes_first_again_and_costs_nothing() {
        let (a, b) = (Requester::new(), Requester::new());
        let mut turns = RoundRobin::default();
        for n in 0..3 {
            turns.push(&a, Thing(n, 1_000));
            turns.push(
                &b,
                Thing(10 + n, if n == 1 { 2 * TURN_BYTES } else { 1_000 }),
            );
        }
        let taken: Vec<u32> = rest(&mut turns);
        assert_eq!(taken, [0, 1, 2, 10, 11, 12]);
        for number in taken.iter().rev() {
            let source = if *number < 10 { &a } else { &b };
            let cost = if *number == 11 { 2 * TURN_BYTES } else { 1_000 };
            turns.put_back(source, Thing(*number, cost));
        }
        assert_eq!(rest(&mut turns), taken);
    }

    #[test]
    fn what_does_not_fit_stays() {
        let a = Requester::new();
        let mut turns = RoundRobin::default();
        turns.push(&a, Thing(1, 100));
        assert_eq!(turns.pop_if(false, |_| false), None);
        assert_eq!(turns.pop_if(true, |_| true), None);
        assert_eq!(pop(&mut turns), Some(1));
    }
}
