//! Fair queueing: a deficit round robin over the queues of many requesters, in two rings.
//!
//! One ring holds the requesters whose next item is heavy, the other those whose next item is light. The caller of
//! [`FairQueue::pop_if`] names the ring, and so can let light items pass heavy ones.
//!
//! Invariants: a queue with items is in the ring that its `is_heavy` names, which was set when its first item became
//! first. A ring may still name a queue that has left it; such a name is dropped when the ring comes to it. `count` is
//! the number of items in all queues.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The origin of items: one session, or one request over HTTP. Each has its own queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Requester {
    id: u64,
    /// Bytes that its items cost lately.
    recent_cost: Arc<AtomicUsize>,
}

impl Requester {
    /// A requester that equals no other.
    #[expect(
        clippy::new_without_default,
        reason = "no two are equal, so none is the default"
    )]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            recent_cost: Arc::new(AtomicUsize::new(UNKNOWN_COST_BYTES)),
        }
    }

    /// What its next item is expected to cost, beside what is known of the item itself.
    pub(super) fn expected_cost(&self) -> usize {
        self.recent_cost.load(Ordering::Relaxed)
    }

    /// Records what one of its items cost. A lower cost than expected counts half of that at least.
    pub(super) fn record_cost(&self, cost: usize) {
        let half = self.expected_cost() / 2;
        self.recent_cost.store(cost.max(half), Ordering::Relaxed);
    }
}

/// The expected cost of a new requester's items: heavy, yet many of them fit into a commit.
const UNKNOWN_COST_BYTES: usize = 16 * 1024;

/// An item of a queue.
pub trait Waiting {
    /// In bytes, as far as is known.
    fn cost(&self) -> usize;

    /// Whether light items may pass it.
    fn is_heavy(&self) -> bool;
}

/// The queues of all requesters. Items of one requester come out in the order they went in.
#[derive(Debug)]
pub struct FairQueue<T> {
    queues: HashMap<u64, Queue<T>>,
    light: VecDeque<u64>,
    heavy: VecDeque<u64>,
    count: usize,
}

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<T>,
    /// The deficit counter: bytes that its items may still cost in this round. Below zero it has had more than its
    /// share.
    credit: i64,
    /// The ring that it is in.
    is_heavy: bool,
}

/// The quantum: bytes that each round adds to a queue's credit. Small beside a commit, so that many requesters share
/// one; and as large as many small commands, so that those of one requester are taken together.
pub const QUANTUM_BYTES: usize = 64 * 1024;

/// The most that a requester can owe: it sits out as many rounds as that has quanta.
const DEBT_MAX: i64 = 64 * bytes(QUANTUM_BYTES);

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            queues: HashMap::new(),
            light: VecDeque::new(),
            heavy: VecDeque::new(),
            count: 0,
        }
    }
}

impl<T: Waiting> FairQueue<T> {
    /// Whether all queues are empty.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an item behind all others of its requester.
    pub fn push(&mut self, requester: &Requester, item: T) {
        let is_heavy = item.is_heavy();
        let queue = self.queues.entry(requester.id).or_insert_with(|| {
            let ring = if is_heavy {
                &mut self.heavy
            } else {
                &mut self.light
            };
            ring.push_back(requester.id);
            Queue::new(bytes(QUANTUM_BYTES), is_heavy)
        });
        queue.items.push_back(item);
        self.count += 1;
    }

    /// Puts an item back that was taken too early, before all others of its requester, and returns its cost.
    pub fn put_back(&mut self, requester: &Requester, item: T) {
        let (is_heavy, cost) = (item.is_heavy(), bytes(item.cost()));
        let ring = if is_heavy {
            &mut self.heavy
        } else {
            &mut self.light
        };
        let queue = self.queues.entry(requester.id).or_insert_with(|| {
            ring.push_front(requester.id);
            Queue::new(0, is_heavy)
        });
        if queue.is_heavy != is_heavy {
            queue.is_heavy = is_heavy;
            ring.push_front(requester.id);
        }
        queue.items.push_front(item);
        queue.credit += cost;
        self.count += 1;
    }

    /// Charges a requester for what its items turned out to cost beyond what was expected.
    pub fn charge(&mut self, requester: &Requester, cost: usize) {
        if let Some(queue) = self.queues.get_mut(&requester.id) {
            queue.credit = queue.credit.saturating_sub(bytes(cost)).max(-DEBT_MAX);
        }
    }

    /// Takes the next heavy, or the next light, item if it `fits`.
    pub fn pop_if(&mut self, is_heavy: bool, fits: impl FnOnce(&T) -> bool) -> Option<T> {
        let id = self.next_queue(is_heavy)?;
        let queue = self.queues.get_mut(&id)?;
        let item = queue.items.pop_front_if(|item| fits(item))?;
        queue.credit -= bytes(item.cost());
        self.count -= 1;
        match queue.items.front().map(T::is_heavy) {
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

    /// Takes items from the front of each queue as long as they `is_expired`.
    pub fn expire(&mut self, is_expired: impl Fn(&T) -> bool, mut take: impl FnMut(T)) {
        for queue in self.queues.values_mut() {
            while let Some(item) = queue.items.pop_front_if(|item| is_expired(item)) {
                self.count -= 1;
                take(item);
            }
        }
    }

    /// Goes round the ring, adding a quantum to each queue without credit, until one has some.
    fn next_queue(&mut self, is_heavy: bool) -> Option<u64> {
        loop {
            let id = *self.ring(is_heavy).front()?;
            match self.queues.get_mut(&id) {
                Some(queue) if queue.items.is_empty() => {
                    self.ring(is_heavy).pop_front();
                    self.queues.remove(&id);
                }
                Some(queue) if queue.is_heavy == is_heavy && queue.credit > 0 => return Some(id),
                Some(queue) if queue.is_heavy == is_heavy => {
                    queue.credit += bytes(QUANTUM_BYTES);
                    self.ring(is_heavy).rotate_left(1);
                }
                // The queue has left this ring, or is gone.
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
            items: VecDeque::new(),
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
            self.1 > QUANTUM_BYTES
        }
    }

    fn pop(queues: &mut FairQueue<Thing>) -> Option<u32> {
        let light = queues.pop_if(false, |_| true);
        let taken = light.or_else(|| queues.pop_if(true, |_| true));
        taken.map(|Thing(number, _)| number)
    }

    fn rest(queues: &mut FairQueue<Thing>) -> Vec<u32> {
        std::iter::from_fn(|| pop(queues)).collect()
    }

    #[test]
    fn things_of_one_source_come_in_order_and_sources_share_by_what_they_cost() {
        let (a, b) = (Requester::new(), Requester::new());
        let mut queues = FairQueue::default();
        for n in 0..6 {
            queues.push(&a, Thing(n, QUANTUM_BYTES / 2));
            queues.push(&b, Thing(100 + n, QUANTUM_BYTES));
        }
        let order = rest(&mut queues);
        assert_eq!(order, [0, 1, 100, 2, 3, 101, 4, 5, 102, 103, 104, 105]);
        assert!(queues.is_empty());
    }

    #[test]
    fn who_turned_out_dear_waits_for_others_but_never_for_ever() {
        let (costly, other) = (Requester::new(), Requester::new());
        let mut queues = FairQueue::default();
        queues.push(&costly, Thing(0, 100));
        queues.push(&costly, Thing(1, 100));
        assert_eq!(pop(&mut queues), Some(0));
        queues.charge(&costly, 1 << 40);
        let count = 2 * u32::try_from(DEBT_MAX).unwrap() / 1_000;
        (0..count).for_each(|n| queues.push(&other, Thing(2 + n, 1_000)));
        let before = std::iter::from_fn(|| pop(&mut queues)).take_while(|number| *number != 1);
        let passed = before.count() * 1_000;
        let most = usize::try_from(DEBT_MAX).unwrap() + 3 * QUANTUM_BYTES;
        assert!((1..=most).contains(&passed), "{passed} bytes came first");
    }

    #[test]
    fn what_is_light_passes_what_is_heavy_but_nothing_of_its_own_source() {
        let (a, b) = (Requester::new(), Requester::new());
        let mut queues = FairQueue::default();
        queues.push(&a, Thing(0, 10 * QUANTUM_BYTES));
        queues.push(&a, Thing(1, 100));
        queues.push(&b, Thing(2, 100));
        assert_eq!(rest(&mut queues), [2, 0, 1]);
    }

    #[test]
    fn what_is_put_back_comes_first_again_and_costs_nothing() {
        let (a, b) = (Requester::new(), Requester::new());
        let mut queues = FairQueue::default();
        for n in 0..3 {
            queues.push(&a, Thing(n, 1_000));
            queues.push(
                &b,
                Thing(10 + n, if n == 1 { 2 * QUANTUM_BYTES } else { 1_000 }),
            );
        }
        let taken: Vec<u32> = rest(&mut queues);
        assert_eq!(taken, [0, 1, 2, 10, 11, 12]);
        for number in taken.iter().rev() {
            let source = if *number < 10 { &a } else { &b };
            let cost = if *number == 11 {
                2 * QUANTUM_BYTES
            } else {
                1_000
            };
            queues.put_back(source, Thing(*number, cost));
        }
        assert_eq!(rest(&mut queues), taken);
    }

    #[test]
    fn what_does_not_fit_stays() {
        let a = Requester::new();
        let mut queues = FairQueue::default();
        queues.push(&a, Thing(1, 100));
        assert_eq!(queues.pop_if(false, |_| false), None);
        assert_eq!(queues.pop_if(true, |_| true), None);
        assert_eq!(pop(&mut queues), Some(1));
    }
}
