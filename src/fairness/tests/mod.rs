//! Turns by cost, on both levels, and permits.

mod random;

use super::{FairPermits, Holdings};
use std::sync::Arc;

use super::queue::{DEBT_MAX, FairQueue, QUANTUM_BYTES, Waiting};
use super::requester::{Party, Requester};

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
    let (a, b) = (Requester::alone(), Requester::alone());
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
    let (costly, other) = (Requester::alone(), Requester::alone());
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
    let (a, b) = (Requester::alone(), Requester::alone());
    let mut queues = FairQueue::default();
    queues.push(&a, Thing(0, 10 * QUANTUM_BYTES));
    queues.push(&a, Thing(1, 100));
    queues.push(&b, Thing(2, 100));
    assert_eq!(rest(&mut queues), [2, 0, 1]);
}

#[test]
fn what_is_put_back_comes_first_again_and_costs_nothing() {
    let (a, b) = (Requester::alone(), Requester::alone());
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
    let a = Requester::alone();
    let mut queues = FairQueue::default();
    queues.push(&a, Thing(1, 100));
    assert_eq!(queues.pop_if(false, |_| false), None);
    assert_eq!(queues.pop_if(true, |_| true), None);
    assert_eq!(pop(&mut queues), Some(1));
}

#[test]
fn a_party_has_one_share_however_many_requesters_it_has() {
    let party = Party::of(&"many");
    let one = Requester::alone();
    let mut queues = FairQueue::default();
    for n in 0..4 {
        queues.push(&Requester::of(party), Thing(n, QUANTUM_BYTES));
        queues.push(&one, Thing(100 + n, QUANTUM_BYTES));
    }
    assert_eq!(rest(&mut queues), [0, 100, 1, 101, 2, 102, 3, 103]);
}

#[test]
fn requesters_of_a_party_share_its_turns() {
    let party = Party::of(&"shared");
    let (a, b) = (Requester::of(party), Requester::of(party));
    let mut queues = FairQueue::default();
    for n in 0..3 {
        queues.push(&a, Thing(n, QUANTUM_BYTES));
    }
    for n in 0..3 {
        queues.push(&b, Thing(10 + n, QUANTUM_BYTES));
    }
    assert_eq!(rest(&mut queues), [0, 10, 1, 11, 2, 12]);
}

#[test]
fn who_changes_its_party_stays_in_order() {
    let before = Requester::of(Party::of(&"before"));
    let after = before.joining(Party::of(&"after"));
    let mut queues = FairQueue::default();
    queues.push(&before, Thing(0, 1));
    queues.push(&after, Thing(1, 1));
    queues.push(&after, Thing(2, 2 * QUANTUM_BYTES));
    assert_eq!(rest(&mut queues), [0, 1, 2]);
    queues.push(&after, Thing(3, 1));
    assert_eq!(rest(&mut queues), [3]);
}

#[test]
fn a_party_that_may_not_go_is_passed_over_and_keeps_its_place() {
    let (first, second) = (Party::of(&"first"), Party::of(&"second"));
    let mut queues = FairQueue::default();
    queues.push(&Requester::of(first), Thing(1, 1));
    queues.push(&Requester::of(second), Thing(2, 1));
    let taken = queues.pop_of(|party| party != first, false, |_| true);
    assert_eq!(taken, Some(Thing(2, 1)));
    assert_eq!(queues.pop_of(|party| party != first, false, |_| true), None);
    assert_eq!(pop(&mut queues), Some(1));
    assert_eq!(pop(&mut queues), None);
}

#[tokio::test]
async fn a_party_leaves_some_permits_to_others() {
    let permits = FairPermits::new(8);
    let many = Party::of(&"many");
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(permits.acquire(&Requester::of(many)).await);
    }
    let requester = Requester::of(many);
    let mut seventh = std::pin::pin!(permits.acquire(&requester));
    assert!(futures::poll!(&mut seventh).is_pending());
    let other = permits.acquire(&Requester::alone()).await;
    held.pop();
    assert!(futures::poll!(&mut seventh).is_ready());
    drop((held, other));
    // All are free again.
    for _ in 0..8 {
        std::mem::forget(permits.acquire(&Requester::alone()).await);
    }
    let requester = Requester::alone();
    let mut ninth = std::pin::pin!(permits.acquire(&requester));
    assert!(futures::poll!(&mut ninth).is_pending());
}

#[tokio::test]
async fn ten_thousand_that_gave_up_waiting_cost_no_permit_and_no_memory() {
    let permits = FairPermits::new(1);
    let held = permits.acquire(&Requester::alone()).await;
    for _ in 0..10_000 {
        let requester = Requester::alone();
        let mut waiting = Box::pin(permits.acquire(&requester));
        assert!(futures::poll!(&mut waiting).is_pending());
    }
    assert_eq!(permits.waiting(), [0; 3]);
    let requester = Requester::alone();
    let mut last = std::pin::pin!(permits.acquire(&requester));
    assert!(futures::poll!(&mut last).is_pending());
    for _ in 0..10_000 {
        let mut waiting = Box::pin(permits.acquire(&requester));
        assert!(futures::poll!(&mut waiting).is_pending());
    }
    assert_eq!(permits.waiting(), [1; 3]);
    drop(held);
    drop(last.await);
}

#[test]
fn what_a_party_holds_is_counted_until_it_is_dropped() {
    let holdings = Arc::new(Holdings::default());
    let (a, b) = (Party::of(&"a"), Party::of(&"b"));
    let held: Vec<_> = [(a, 0), (a, 3), (b, 5), (a, 4), (a, 0)]
        .into_iter()
        .map(|(party, bytes)| holdings.hold(party, bytes))
        .collect();
    assert_eq!((holdings.of(a), holdings.of(b)), (7, 5));
    for held in held {
        drop(held);
        drop(holdings.hold(a, 0));
    }
    assert_eq!((holdings.of(a), holdings.of(b)), (0, 0));
}
