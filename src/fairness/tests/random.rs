//! Random plays with queues and with permits, beside a plain account of who waits for what.
//! `LIVELOG_FAIRNESS_SEED` repeats a run that failed.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;

use futures::FutureExt;

use super::*;
use crate::fairness::FairPermit;

const PLAYS: u64 = 200;
const STEPS: usize = 400;

struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

/// Plays again and again. Which play failed is the last that was told.
fn play(what: impl Fn(Dice)) {
    let seed = std::env::var("LIVELOG_FAIRNESS_SEED").map_or_else(
        |_| RandomState::new().hash_one("seed") >> 1,
        |seed| seed.parse().expect("LIVELOG_FAIRNESS_SEED is a number"),
    );
    for seed in seed..seed + PLAYS {
        println!("LIVELOG_FAIRNESS_SEED={seed}");
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        dice.below(1);
        what(dice);
    }
}

fn parties() -> [Party; 3] {
    ["a", "b", "c"].map(|name| Party::of(&name))
}

/// Two of each party.
fn requesters() -> Vec<Requester> {
    let twice = parties().into_iter().chain(parties());
    twice.map(Requester::of).collect()
}

/// What one requester waits for, and the party that it was of when it began to.
struct Expected {
    requester: Requester,
    party: Party,
    things: VecDeque<Thing>,
}

struct QueuePlay {
    dice: Dice,
    queue: FairQueue<Thing>,
    expected: Vec<Expected>,
    next: u32,
}

impl QueuePlay {
    fn new(dice: Dice) -> Self {
        let expected = requesters().into_iter().map(|requester| Expected {
            party: requester.party(),
            requester,
            things: VecDeque::new(),
        });
        Self {
            dice,
            queue: FairQueue::default(),
            expected: expected.collect(),
            next: 0,
        }
    }

    fn step(&mut self) {
        let who = self.dice.below(self.expected.len());
        match self.dice.below(16) {
            0..7 => self.push(who),
            7..10 => drop(self.pop()),
            10 => self.put_back(),
            11..14 => self.remove(who),
            14 => self.expire(),
            _ => {
                let cost = self.dice.below(4 * QUANTUM_BYTES);
                self.queue.charge(&self.expected[who].requester, cost);
            }
        }
        self.check_sizes();
    }

    fn push(&mut self, who: usize) {
        let cost = self.dice.below(2 * QUANTUM_BYTES);
        let thing = |number| Thing(number, cost);
        let expected = &mut self.expected[who];
        if self.dice.below(8) == 0 {
            let party = self.dice.of(&parties());
            expected.requester = expected.requester.joining(party);
        }
        if expected.things.is_empty() {
            expected.party = expected.requester.party();
        }
        self.queue.push(&expected.requester, thing(self.next));
        expected.things.push_back(thing(self.next));
        self.next += 1;
    }

    /// Somebody's first thing comes out, of those that were asked for, or there is none.
    fn pop(&mut self) -> Option<(usize, Thing)> {
        let is_heavy = self.dice.below(2) == 0;
        let barred = self.dice.of(&[None, None, Some(parties()[0])]);
        let may_go = |party| Some(party) != barred;
        let popped = self.queue.pop_of(may_go, is_heavy, |_| true);
        let first = self.expected.iter().position(|expected| {
            let first = expected.things.front();
            may_go(expected.party)
                && first.is_some_and(|first| {
                    first.is_heavy() == is_heavy && popped.as_ref().is_none_or(|it| it == first)
                })
        });
        assert_eq!(
            popped.is_some(),
            first.is_some(),
            "{popped:?} for {first:?}"
        );
        let who = first?;
        self.expected[who].things.pop_front();
        popped.map(|thing| (who, thing))
    }

    fn put_back(&mut self) {
        let Some((who, thing)) = self.pop() else {
            return;
        };
        let expected = &mut self.expected[who];
        if expected.things.is_empty() {
            expected.party = expected.requester.party();
        }
        let Thing(number, cost) = thing;
        expected.things.push_front(Thing(number, cost));
        self.queue.put_back(&expected.requester, thing);
    }

    fn remove(&mut self, who: usize) {
        let Expected {
            requester, things, ..
        } = &mut self.expected[who];
        let at = self.dice.below(things.len() + 1);
        let removed = things.remove(at);
        let number = removed.as_ref().map_or(u32::MAX, |thing| thing.0);
        let is_it = |thing: &Thing| thing.0 == number;
        assert_eq!(self.queue.remove_if(requester, is_it), removed);
    }

    /// One in eight of those that wait has waited too long.
    fn expire(&mut self) {
        let is_expired = |thing: &Thing| thing.0.is_multiple_of(8);
        let mut expired = Vec::new();
        self.queue.expire(is_expired, |thing| expired.push(thing.0));
        let mut missed = Vec::new();
        for expected in &mut self.expected {
            while let Some(thing) = expected.things.pop_front_if(|thing| is_expired(thing)) {
                missed.push(thing.0);
            }
        }
        expired.sort_unstable();
        missed.sort_unstable();
        assert_eq!(expired, missed);
    }

    fn check_sizes(&self) {
        let sizes = self.expected.iter().map(|expected| expected.things.len());
        let queues = sizes.clone().filter(|size| *size > 0).count();
        assert_eq!(self.queue.sizes(), [sizes.sum(), queues, queues]);
    }
}

#[test]
fn whatever_is_done_with_a_queue_what_waits_comes_out_once_and_in_order() {
    play(|dice| {
        let mut play = QueuePlay::new(dice);
        (0..STEPS).for_each(|_| play.step());
        while !play.queue.is_empty() {
            play.pop();
            play.check_sizes();
        }
    });
}

type Acquiring<'a> = Pin<Box<dyn Future<Output = FairPermit> + 'a>>;

const PERMITS: usize = 8;
const PARTY_MAX: usize = 6;

struct PermitsPlay<'a> {
    dice: Dice,
    permits: &'a Arc<FairPermits>,
    requesters: &'a [Requester],
    /// Some of them may have got their permit meanwhile.
    waiting: Vec<(&'a Requester, Acquiring<'a>)>,
    held: Vec<(Party, FairPermit)>,
}

impl<'a> PermitsPlay<'a> {
    fn step(&mut self) {
        match self.dice.below(8) {
            0..3 => self.ask(),
            3 if !self.held.is_empty() => {
                let at = self.dice.below(self.held.len());
                self.held.swap_remove(at);
            }
            4..6 if !self.waiting.is_empty() => {
                let at = self.dice.below(self.waiting.len());
                drop(self.waiting.swap_remove(at));
            }
            6 => {
                self.receive();
                self.check();
            }
            _ => {}
        }
    }

    fn ask(&mut self) {
        let requester = &self.requesters[self.dice.below(self.requesters.len())];
        let mut acquiring: Acquiring<'a> = Box::pin(self.permits.acquire(requester));
        match (&mut acquiring).now_or_never() {
            Some(permit) => self.held.push((requester.party(), permit)),
            None => self.waiting.push((requester, acquiring)),
        }
    }

    fn receive(&mut self) {
        for (requester, mut acquiring) in std::mem::take(&mut self.waiting) {
            match (&mut acquiring).now_or_never() {
                Some(permit) => self.held.push((requester.party(), permit)),
                None => self.waiting.push((requester, acquiring)),
            }
        }
    }

    fn check(&self) {
        let held_by = |party| self.held.iter().filter(|held| held.0 == party).count();
        assert!(self.held.len() <= PERMITS);
        assert!(
            parties()
                .into_iter()
                .all(|party| held_by(party) <= PARTY_MAX)
        );
        let is_at_most = |requester: &Requester| held_by(requester.party()) == PARTY_MAX;
        assert!(
            self.held.len() == PERMITS || self.waiting.iter().all(|(who, _)| is_at_most(who)),
            "somebody waits in vain"
        );
        let queues: HashSet<u64> = self.waiting.iter().map(|(who, _)| who.id).collect();
        let sizes = [self.waiting.len(), queues.len(), queues.len()];
        assert_eq!(self.permits.waiting(), sizes);
    }
}

#[test]
fn permits_are_never_lost_whoever_gives_up_and_when() {
    play(|dice| {
        let (permits, requesters) = (FairPermits::new(PERMITS), requesters());
        let mut play = PermitsPlay {
            dice,
            permits: &permits,
            requesters: &requesters,
            waiting: Vec::new(),
            held: Vec::new(),
        };
        (0..STEPS).for_each(|_| play.step());
        drop(play);
        assert_eq!(permits.waiting(), [0; 3]);
        let free = (0..PERMITS).map(|_| permits.acquire(&Requester::alone()).now_or_never());
        assert!(free.collect::<Option<Vec<_>>>().is_some(), "some are lost");
    });
}

/// As many threads as may meet: one drops its turn while another hands it a permit.
#[test]
fn who_gives_up_as_a_permit_comes_hands_it_on() {
    let (permits, requesters) = (FairPermits::new(2), requesters());
    std::thread::scope(|scope| {
        for requester in &requesters {
            scope.spawn(|| {
                for _ in 0..50_000 {
                    let mut acquiring = Box::pin(permits.acquire(requester));
                    if (&mut acquiring).now_or_never().is_none() {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    assert_eq!(permits.waiting(), [0; 3]);
    let free = (0..2).map(|_| permits.acquire(&Requester::alone()).now_or_never());
    assert!(free.collect::<Option<Vec<_>>>().is_some(), "some are lost");
}
