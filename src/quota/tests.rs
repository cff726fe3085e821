//! Facts about quotas, on a clock that the tests set.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::FakeRelativeClock;

use super::meter::QuotaClock;
use super::{AddressBlock, Caller, Lobby, Quota, Quotas, Who};
use crate::access::{Rate, RoleLimits};
use crate::domain::Author;
use crate::limits;
use crate::protocol::{Code, Failure};

const SECOND: Duration = Duration::from_secs(1);

struct TestNode {
    clock: FakeRelativeClock,
    quotas: Quotas,
}

impl TestNode {
    fn new() -> Self {
        let clock = FakeRelativeClock::default();
        let quotas = Quotas::with_clock(QuotaClock::Set(clock.clone()));
        Self { clock, quotas }
    }

    fn quota(&self, subject: &str, limits: RoleLimits) -> Quota {
        self.quota_of(user(subject), limits)
    }

    fn stranger(&self, address: &str, limits: RoleLimits) -> Quota {
        self.quota_of(Who::Address(AddressBlock::of(ip(address))), limits)
    }

    fn quota_of(&self, who: Who, limits: RoleLimits) -> Quota {
        let account = self.quotas.account(&who, "user", limits);
        let caller = Caller::new(&self.quotas, ip("192.0.2.99"));
        Quota::new(caller, who, account)
    }
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn user(subject: &str) -> Who {
    Who::Author(Arc::new(Author::Token {
        issuer: "https://id.example".into(),
        subject: subject.into(),
    }))
}

fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    let (per_second, burst) = (count(per_second), count(burst));
    Some(Rate { per_second, burst })
}

fn writes(per_second: u32, burst: u32) -> RoleLimits {
    RoleLimits {
        writes: rate(per_second, burst),
        ..RoleLimits::default()
    }
}

/// How many of `tries` writes get through at once.
fn through(quota: &Quota, tries: usize) -> usize {
    (0..tries).filter(|_| quota.write(1).is_ok()).count()
}

fn wait(failure: &Failure) -> Duration {
    assert_eq!(failure.code, Code::RateLimited);
    failure.retry_after.unwrap()
}

#[test]
fn a_burst_gets_through_and_then_so_many_a_second() {
    let node = TestNode::new();
    let quota = node.quota("ann", writes(20, 50));
    assert_eq!(through(&quota, 100), 50);
    for _ in 0..3 {
        node.clock.advance(SECOND);
        assert_eq!(through(&quota, 100), 20);
    }
    node.clock.advance(60 * SECOND);
    assert_eq!(through(&quota, 100), 50);
}

#[test]
fn who_waits_as_long_as_it_was_told_gets_through() {
    let node = TestNode::new();
    let quota = node.quota("ann", writes(3, 7));
    for commands in [1, 2, 7, 4, 1, 1, 7] {
        let Err(failure) = quota.write(commands) else {
            continue;
        };
        let wait = wait(&failure);
        node.clock.advance(wait - Duration::from_nanos(1));
        assert!(quota.write(commands).is_err(), "{commands} too early");
        node.clock.advance(Duration::from_nanos(1));
        quota.write(commands).expect("after the wait");
    }
}

#[test]
fn who_is_refused_is_not_read_from_for_a_while() {
    let node = TestNode::new();
    let limits = RoleLimits {
        reads: rate(100, 1),
        ..writes(1, 3)
    };
    let quota = node.quota("ann", limits);
    quota.write(3).unwrap();
    quota.read().unwrap();
    assert!(quota.write(4).is_err());
    assert_eq!(quota.pause(), None, "what is never allowed is no flood");
    quota.read().unwrap_err();
    assert_eq!(quota.pause(), Some(Duration::from_millis(10)));
    quota.write(1).unwrap_err();
    let other = node.quota("ann", limits);
    assert_eq!(other.pause(), Some(limits::REFUSAL_PAUSE_MAX));
    assert_eq!(node.quota("bob", limits).pause(), None);
    node.clock.advance(limits::REFUSAL_PAUSE_MAX);
    assert_eq!(other.pause(), None);
}

#[test]
fn each_command_of_a_batch_counts_and_a_refused_batch_takes_nothing() {
    let node = TestNode::new();
    let quota = node.quota("ann", writes(1, 10));
    quota.write(6).unwrap();
    assert_eq!(wait(&quota.write(6).unwrap_err()), 2 * SECOND);
    quota.write(4).unwrap();
    assert!(quota.write(1).is_err());
}

#[test]
fn what_may_never_be_taken_at_once_is_not_put_off() {
    let node = TestNode::new();
    let limits = RoleLimits {
        bytes: rate(100, 1_000),
        ..writes(1, 10)
    };
    let quota = node.quota("ann", limits);
    let batch = quota.write(11).unwrap_err();
    assert_eq!((batch.code, batch.retry_after), (Code::BatchTooLarge, None));
    let message = quota.receive(1_001).unwrap_err();
    assert_eq!(message.code, Code::MessageTooLarge);
    assert!(quota.receive(usize::MAX).is_err());
    quota.write(10).unwrap();
    quota.receive(1_000).unwrap();
}

#[test]
fn writes_reads_and_bytes_are_counted_apart() {
    let node = TestNode::new();
    let limits = RoleLimits {
        writes: rate(1, 1),
        reads: rate(1, 2),
        bytes: rate(10, 30),
        ..RoleLimits::default()
    };
    let quota = node.quota("ann", limits);
    quota.write(1).unwrap();
    assert!(quota.write(1).is_err());
    quota.read().unwrap();
    quota.read().unwrap();
    assert_eq!(wait(&quota.read().unwrap_err()), SECOND);
    quota.receive(25).unwrap();
    assert_eq!(wait(&quota.receive(10).unwrap_err()), SECOND / 2);
    quota.receive(0).unwrap();
}

#[test]
fn all_that_a_principal_does_takes_of_one_quota_and_another_has_its_own() {
    let node = TestNode::new();
    let (one, other) = (
        node.quota("ann", writes(1, 5)),
        node.quota("ann", writes(1, 5)),
    );
    assert_eq!(through(&one, 3) + through(&other, 10), 5);
    assert_eq!(through(&node.quota("ann", writes(1, 5)), 1), 0);
    assert_eq!(through(&node.quota("bob", writes(1, 5)), 9), 5);
    let key = Who::Author(Arc::new(Author::Key { id: "ann".into() }));
    let key = node.quota_of(key, writes(1, 5));
    assert_eq!(through(&key, 9), 5);
    let elsewhere = Who::Author(Arc::new(Author::Token {
        issuer: "https://id.exampl".into(),
        subject: "eann".into(),
    }));
    let elsewhere = node.quota_of(elsewhere, writes(1, 5));
    assert_eq!(through(&elsewhere, 9), 5);
}

#[test]
fn who_shows_no_credentials_is_counted_by_address_and_by_the_network_of_ipv6() {
    let node = TestNode::new();
    let limits = writes(1, 5);
    for (address, same, other) in [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"),
    ] {
        assert_eq!(through(&node.stranger(address, limits), 3), 3);
        assert_eq!(through(&node.stranger(same, limits), 9), 2, "{same}");
        assert_eq!(through(&node.stranger(other, limits), 9), 5, "{other}");
    }
}

#[test]
fn a_role_without_limits_has_none_and_nothing_is_kept_of_it() {
    let node = TestNode::new();
    let quota = node.quota("ann", RoleLimits::default());
    assert_eq!(through(&quota, 10_000), 10_000);
    let seats: Vec<_> = (0..1_000).map(|_| quota.seat().unwrap()).collect();
    assert_eq!(seats.len(), 1_000);
    assert_eq!(quota.subscriptions_max(), limits::SESSION_SUBSCRIPTIONS_MAX);
    assert!(node.quotas.is_empty());
}

#[test]
fn a_principal_has_so_many_sessions_at_once_and_each_gives_its_seat_back() {
    let node = TestNode::new();
    let limits = RoleLimits {
        sessions: Some(count(2)),
        subscriptions: Some(count(3)),
        ..RoleLimits::default()
    };
    let quota = || node.quota("ann", limits);
    let (first, _second) = (quota().seat().unwrap(), quota().seat().unwrap());
    assert_eq!(wait(&quota().seat().unwrap_err()), limits::SESSION_RETRY);
    node.quota("bob", limits).seat().unwrap();
    drop(first);
    let _third = quota().seat().unwrap();
    assert!(quota().seat().is_err());
    assert_eq!(quota().subscriptions_max(), 3);
}

#[test]
fn a_session_that_shows_credentials_later_takes_a_seat_of_theirs() {
    let node = TestNode::new();
    let limits = RoleLimits {
        sessions: Some(count(1)),
        ..RoleLimits::default()
    };
    let (guest, ann) = (
        node.stranger("192.0.2.1", limits),
        node.quota("ann", limits),
    );
    let mut seat = guest.seat().unwrap();
    ann.reseat(&mut seat).unwrap();
    ann.reseat(&mut seat)
        .expect("a renewed token keeps its seat");
    assert!(ann.seat().is_err());
    let mut other = guest.seat().expect("it was given back");
    assert!(ann.reseat(&mut other).is_err());
    assert!(guest.seat().is_err(), "who was refused keeps its seat");
    node.quota("eve", RoleLimits::default())
        .reseat(&mut seat)
        .unwrap();
    ann.reseat(&mut other).unwrap();
}

#[test]
fn limits_that_change_hold_at_once_and_the_sessions_that_are_open_count() {
    let node = TestNode::new();
    let before = RoleLimits {
        sessions: Some(count(2)),
        ..writes(1, 5)
    };
    let _seats = [(); 2].map(|()| node.quota("ann", before).seat().unwrap());
    assert_eq!(through(&node.quota("ann", before), 9), 5);
    let after = RoleLimits {
        writes: rate(1, 7),
        ..before
    };
    assert_eq!(through(&node.quota("ann", after), 9), 7);
    node.clock.advance(1_000 * SECOND);
    node.quota("bob", after);
    assert!(node.quota("ann", after).seat().is_err());
}

#[test]
fn who_is_gone_is_forgotten_once_there_is_nothing_left_to_remember() {
    let node = TestNode::new();
    let quick = writes(1, 5);
    let slow = writes(1, 300);
    assert_eq!(through(&node.quota("quick", quick), 9), 5);
    assert_eq!(through(&node.quota("slow", slow), 999), 300);
    let held = node.quota("held", quick);
    let sessions = RoleLimits {
        sessions: Some(count(1)),
        ..RoleLimits::default()
    };
    let seat = node.quota("seated", sessions).seat().unwrap();
    node.clock.advance(limits::QUOTA_SWEEP_INTERVAL);
    let asks = |who: &str| node.quota(who, quick).write(1);
    asks("anyone").unwrap();
    assert_eq!(node.quotas.len(), 4, "all but the quick one, and who asks");
    assert_eq!(through(&node.quota("slow", slow), 999), 60);
    drop((held, seat));
    node.clock.advance(limits::QUOTA_SWEEP_INTERVAL);
    asks("anyone").unwrap();
    assert_eq!(node.quotas.len(), 2, "the slow one, and who asks");
    node.clock.advance(300 * SECOND);
    asks("anyone").unwrap();
    assert_eq!(node.quotas.len(), 1);
}

#[test]
fn what_is_remembered_is_bounded_and_who_is_at_work_is_not_forgotten() {
    let node = TestNode::new();
    let limits = writes(1, 1_000_000);
    let held = node.quota("held", writes(1, 5));
    assert_eq!(through(&held, 9), 5);
    for n in 0..limits::QUOTAS_MAX + 10 {
        if n % 1_000 == 0 {
            node.clock.advance(Duration::from_millis(1));
        }
        node.quota(&n.to_string(), limits).write(900_000).unwrap();
        assert!(node.quotas.len() <= limits::QUOTAS_MAX, "{n}");
    }
    assert!(node.quotas.len() > limits::QUOTAS_MAX / 3);
    assert_eq!(through(&node.quota("held", writes(1, 5)), 9), 0);
    let last = (limits::QUOTAS_MAX + 9).to_string();
    assert!(node.quota(&last, limits).write(900_000).is_err());
}

#[test]
fn the_extremes_of_what_the_access_file_allows_are_counted_right() {
    let node = TestNode::new();
    let most = u32::MAX;
    for (per_second, burst) in [(1, most), (most, 1), (most, most), (1, 1)] {
        let name = format!("{per_second} {burst}");
        let quota = node.quota(&name, writes(per_second, burst));
        quota.write(burst as usize).expect("a whole burst");
        let refused = quota.write(burst as usize).unwrap_err();
        let wait = wait(&refused);
        let whole = f64::from(burst) / f64::from(per_second);
        assert!(wait.as_secs_f64() >= whole - 1e-6, "{name}: {wait:?}");
        // A nanosecond is the shortest time between two.
        assert!(
            wait.as_secs_f64() <= whole.max(f64::from(burst) * 1e-9) + 1e-6,
            "{name}: {wait:?}"
        );
    }
}

#[test]
fn the_log_names_who_it_was_without_what_they_could_forge() {
    let issuer = "\"https://id.example\"";
    let long = "x".repeat(500);
    let key = Author::Key { id: "k1".into() };
    let from = |address| Who::Address(AddressBlock::of(ip(address)));
    let names = [
        (user("ann\nWARN"), format!("\"ann\\nWARN\" of {issuer}")),
        (user(&long), format!("\"{}\" of {issuer}", &long[..64])),
        (Who::Author(Arc::new(key)), "key \"k1\"".to_owned()),
        (from("192.0.2.1"), "192.0.2.1".to_owned()),
        (from("2001:db8::1"), "2001:db8::/64".to_owned()),
    ];
    for (who, text) in names {
        assert_eq!(who.to_string(), text);
    }
}

#[test]
fn so_many_sockets_of_one_address_wait_for_credentials_and_so_many_of_all() {
    let lobby = Lobby::default();
    let address = |n: usize| ip(&format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255));
    let of_one = limits::LOBBY_ADDRESS_MAX as usize;
    let mut seats: Vec<_> = (0..of_one)
        .map(|_| lobby.enter(ip("::ffff:10.0.0.0")).unwrap())
        .collect();
    assert_eq!(
        wait(&lobby.enter(address(0)).unwrap_err()),
        limits::LOBBY_RETRY
    );
    seats.extend((of_one..limits::LOBBY_MAX).map(|n| lobby.enter(address(n)).unwrap()));
    assert!(lobby.enter(address(1)).is_err());
    drop(seats.pop());
    let seat = lobby.enter(address(1)).unwrap();
    assert!(lobby.enter(address(2)).is_err());
    drop((seats, seat));
    for _ in 0..of_one {
        std::mem::forget(lobby.enter(address(0)).unwrap());
    }
    assert!(lobby.enter(address(0)).is_err());
    lobby.enter(address(1)).expect("all others were given back");
}
