//! Scenario `subscriptions`: what subscriptions cost the commands whose changes they do not match. Compares the rate
//! with one subscription to the rate with many, of which each change matches one.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use tokio::task::JoinSet;

use super::address::{Address, Changes};
use super::client::{Client, Received};
use super::connection::open_many;
use super::load::{Commands, LoadPlan, Tally};
use super::matches::{Faults, Matches};
use super::report::BenchReport;
use super::stats::{median, rate};
use super::write::{BenchWriter, subscribe_to};
use super::{GRACE, within};

/// How often to check whether everything was delivered, once the writers are done.
const DRAIN_POLL: Duration = Duration::from_millis(2);

/// SUBSCRIBEs a second below which something is wrong rather than slow.
const SUBSCRIBES_MIN: u64 = 500;

#[derive(clap::Args, Debug, Clone)]
pub(super) struct SubscriptionsOptions {
    /// Subscriptions, each to a topic of its own, whose cost is compared to that of one
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    subscriptions: u32,

    /// Sessions that hold them by turns; a server may bound how many each holds
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    sessions: u32,

    /// Connections that send CREATEs, each for the topic of one subscription
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    connections: u32,

    /// Commands each connection keeps unanswered
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    outstanding: u32,

    /// Seconds to measure with one subscription, and as many with all
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Rounds that both are measured in, by turns, so that whatever else the machine does slows down
    /// the one as much as the other
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60))]
    rounds: u32,

    /// Seconds of the same load before each measurement
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=60))]
    warm_up: u64,

    /// Bytes of a command, about
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    bytes: u32,
}

impl SubscriptionsOptions {
    pub(super) fn connections(&self) -> u32 {
        self.sessions + self.connections
    }

    fn load(&self) -> LoadPlan {
        LoadPlan {
            outstanding: self.outstanding as usize,
            warm_up: Duration::from_secs(self.warm_up),
            measured: Duration::from_secs(self.seconds) / self.rounds,
        }
    }

    fn limit(&self) -> Duration {
        let load = self.load();
        let opening = u64::from(self.connections()) / 100;
        let subscribing = u64::from(self.subscriptions) / SUBSCRIBES_MIN;
        let round = load.warm_up + load.measured + Duration::from_secs(opening + subscribing);
        2 * self.rounds * round + 2 * GRACE
    }
}

/// The topics of one round's changes; no two rounds share any.
#[derive(Clone, Copy, Debug)]
struct Topics {
    first: u64,
    count: u64,
}

/// The sums of all rounds with the same number of subscriptions.
#[derive(Debug, Default)]
struct Total {
    tally: Tally,
    rates: Vec<f64>,
    subscribing: Duration,
    /// The longest from the last answer until everything was delivered.
    draining: Duration,
    delivered: u64,
    missing: u64,
    faults: Faults,
    behind: u64,
}

/// The state that the sessions and writers of a round share.
#[derive(Debug)]
struct LoadRound {
    matches: Matches,
    behind: u64,
}

type SharedRound = Arc<Mutex<LoadRound>>;

fn locked(round: &Mutex<LoadRound>) -> MutexGuard<'_, LoadRound> {
    round.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn run(urls: &[Address], options: SubscriptionsOptions) -> Result<BenchReport> {
    let work = run_rounds(urls, &options);
    within(options.limit(), "measuring in rounds", work).await
}

async fn run_rounds(urls: &[Address], options: &SubscriptionsOptions) -> Result<BenchReport> {
    let mut totals = [
        (1, Total::default()),
        (options.subscriptions, Total::default()),
    ];
    let mut first = 0;
    for _ in 0..options.rounds {
        for (subscriptions, total) in &mut totals {
            let count = u64::from(*subscriptions);
            total.round(urls, options, Topics { first, count }).await?;
            first += count;
        }
    }
    let [(_, one), (_, all)] = totals;
    Ok(report(options, one, all))
}

impl Total {
    async fn round(
        &mut self,
        urls: &[Address],
        options: &SubscriptionsOptions,
        topics: Topics,
    ) -> Result<()> {
        let begun = Instant::now();
        let holders = subscribe(urls, options, topics).await?;
        self.subscribing = self.subscribing.max(begun.elapsed());
        let writers = open_many(urls, options.connections, Changes::None).await?;
        let base = writers
            .iter()
            .map(|writer| writer.welcome)
            .min()
            .unwrap_or(0);
        let round = Arc::new(Mutex::new(LoadRound {
            matches: Matches::after(base, topics.count, holders.len() as u64),
            behind: 0,
        }));
        let mut sessions = JoinSet::new();
        for (number, client) in (0..).zip(holders) {
            sessions.spawn(listen(client, number, Arc::clone(&round)));
        }
        let senders = (0..).zip(writers).map(|(number, connection)| {
            let round = Arc::clone(&round);
            (
                Client::new(connection),
                Topical::new(number, topics, options, round),
            )
        });
        let work = async {
            let tally = options.load().run(senders.collect()).await?;
            Ok::<_, anyhow::Error>((tally, drain(&round).await))
        };
        tokio::select! {
            done = work => self.add(options, &locked(&round), done?),
            Some(ended) = sessions.join_next() => match ended?? {},
        }
        Ok(())
    }

    fn add(
        &mut self,
        options: &SubscriptionsOptions,
        round: &LoadRound,
        (tally, draining): (Tally, Duration),
    ) {
        self.rates.push(rate(tally.done, options.load().measured));
        self.tally.add(tally);
        self.draining = self.draining.max(draining);
        self.delivered += round.matches.delivered();
        self.missing += round.matches.missing();
        self.faults.add(&round.matches.faults());
        self.behind += round.behind;
    }

    fn rate(&self) -> f64 {
        self.rates.iter().sum::<f64>() / self.rates.len() as f64
    }
}

/// Sessions that hold a subscription to each topic: number n is held by session n modulo their number.
async fn subscribe(
    urls: &[Address],
    options: &SubscriptionsOptions,
    topics: Topics,
) -> Result<Vec<Client>> {
    let count = u64::from(options.sessions).min(topics.count);
    let opened = open_many(urls, u32::try_from(count)?, Changes::None).await?;
    let subscribing = (0..).zip(opened).map(async |(session, connection)| {
        let mut client = Client::new(connection);
        let numbers = (session..topics.count).step_by(usize::try_from(count)?);
        let write =
            |out: &mut Vec<u8>, id, number| subscribe_to(out, id, number, topics.first + number);
        let subscribed = client.carry_out(numbers, write, |_| {}).await;
        subscribed.context("the subscriptions could not be made")?;
        Ok(client)
    });
    try_join_all(subscribing).await
}

async fn listen(mut client: Client, number: u64, round: SharedRound) -> Result<Infallible> {
    loop {
        client
            .step(|received| match received {
                Received::Change { sub, seq } => {
                    // A change without a subscription belongs to none of ours.
                    let subscription = sub.unwrap_or(u64::MAX);
                    locked(&round).matches.reached(number, subscription, seq);
                }
                Received::Behind => locked(&round).behind += 1,
                _ => {}
            })
            .await?;
    }
}

/// The CREATEs of one connection, each about a topic that looks chosen at random.
struct Topical {
    number: u64,
    topics: Topics,
    writer: BenchWriter,
    round: SharedRound,
}

impl Topical {
    fn new(
        number: u64,
        topics: Topics,
        options: &SubscriptionsOptions,
        round: SharedRound,
    ) -> Self {
        Self {
            number,
            topics,
            writer: BenchWriter::new(options.bytes as usize),
            round,
        }
    }
}

impl Commands for Topical {
    fn write(&mut self, out: &mut Vec<u8>, id: u64) -> std::io::Result<()> {
        let subscription = self.topics.of(self.number, id);
        self.writer
            .create_about(out, id, self.topics.first + subscription)
    }

    fn done(&mut self, id: u64, seq: Option<u64>) {
        if let Some(seq) = seq {
            let subscription = self.topics.of(self.number, id);
            locked(&self.round).matches.belongs(seq, subscription);
        }
    }
}

impl Topics {
    /// The subscription that command `id` of connection `number` is for: the same whenever it is asked.
    fn of(self, number: u64, id: u64) -> u64 {
        let mixed = (number << 40 | id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (mixed ^ mixed >> 32) % self.count
    }
}

/// How long it takes until everything acknowledged is delivered, or [`GRACE`].
async fn drain(round: &Mutex<LoadRound>) -> Duration {
    let begun = Instant::now();
    while !locked(round).matches.all_reached() && begun.elapsed() < GRACE {
        tokio::time::sleep(DRAIN_POLL).await;
    }
    begun.elapsed()
}

fn report(options: &SubscriptionsOptions, mut one: Total, mut all: Total) -> BenchReport {
    let mut report = BenchReport::new("subscriptions");
    report.row("subscriptions", options.subscriptions, "");
    report.row("sessions", options.sessions, "");
    report.row("connections", options.connections, "");
    report.row("outstanding each", options.outstanding, "commands");
    report.row("measured each", options.seconds, "s");
    report.row("rounds", options.rounds, "");
    report.row("subscribed in", all.subscribing.as_secs_f64(), "s");
    report.row("rate with one", one.rate(), "commands/s");
    report.row("rate with all", all.rate(), "commands/s");
    report.row("ratio", all.rate() / one.rate(), "");
    let ratios = all.rates.iter().zip(&one.rates).map(|(all, one)| all / one);
    report.row("ratio of the median round", median(ratios.collect()), "");
    for (name, total) in [("one", &mut one), ("all", &mut all)] {
        let ack = format!("ack with {name}");
        report.percentiles(&ack, &mut total.tally.latencies, &[50, 99]);
        let draining = total.draining.as_secs_f64() * 1_000.0;
        report.row(&format!("delivered with {name}"), total.delivered, "");
        report.row(&format!("last delivered with {name}"), draining, "ms later");
        report.row(&format!("fell behind with {name}"), total.behind, "times");
        report.refusals(&total.tally.refusals);
    }
    complete(&mut report, &one, &all);
    report
}

fn complete(report: &mut BenchReport, one: &Total, all: &Total) {
    let missing = one.missing + all.missing;
    let mut faults = one.faults.clone();
    faults.add(&all.faults);
    let whole = missing == 0 && faults == Faults::default();
    report.row("each to its own, in order", whole, "");
    if !whole {
        let Faults {
            astray,
            repeated,
            disordered,
        } = faults;
        report.fault(format!(
            "{missing} changes did not reach their subscription, {astray} reached another, \
             {repeated} came twice, {disordered} out of order"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_for_all_topics_about_equally() {
        let topics = Topics {
            first: 5,
            count: 100,
        };
        let mut counts = [0_u32; 100];
        for (number, id) in (0..32).flat_map(|number| (1..=500).map(move |id| (number, id))) {
            counts[usize::try_from(topics.of(number, id)).unwrap()] += 1;
        }
        assert!(
            counts.iter().all(|count| (80..240).contains(count)),
            "{counts:?}"
        );
        let single = Topics { first: 0, count: 1 };
        assert_eq!(single.of(31, 7), 0);
    }
}
