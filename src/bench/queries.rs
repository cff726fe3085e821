//! Scenario `queries`: how soon queries are answered, of which kinds, on a store of any size that it fills itself; and
//! snapshots, one by one and all at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;

use super::address::{Address, Changes};
use super::client::{Client, Received};
use super::connection::open_many;
use super::report::BenchReport;
use super::stats::{Durations, rate};
use super::write::{BenchWriter, QueryKind, fetch, subscribe_to_owner};
use super::{GRACE, within};

/// Connections that fill the store, each with so many events a BATCH and two BATCHes unanswered.
const FILLERS: u32 = 8;

const BATCH_COUNT: u64 = 100;

const BATCHES_OUTSTANDING: usize = 2;

/// Events filled a second below which something is wrong rather than slow.
const FILLED_MIN: u64 = 500;

/// How long one query may take.
const QUERY_LIMIT: Duration = Duration::from_secs(12);

#[derive(clap::Args, Debug, Clone)]
pub(super) struct QueriesOptions {
    /// Events to fill the store with before; 0 asks of those that an earlier run has left
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(0..=100_000_000))]
    fill: u64,

    /// Events of each owner
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    of_each: u64,

    /// Owners that are asked about: as many as all events make, if an earlier run has filled the store
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    owners: u64,

    /// How often each query is asked
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    times: u32,

    /// Sessions that take the snapshot of an owner each, at once
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    sessions: u32,

    /// Bytes of an event, about
    #[arg(long, default_value_t = 440, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    bytes: u32,
}

impl QueriesOptions {
    pub(super) fn connections(&self) -> u32 {
        self.sessions.max(FILLERS) + 1
    }

    fn limit(&self) -> Duration {
        let asking = QueryKind::ALL.iter().map(|_| QUERY_LIMIT).sum::<Duration>();
        let asking = self.times * (asking + QUERY_LIMIT);
        Duration::from_secs(self.fill / FILLED_MIN) + asking + 2 * GRACE
    }
}

pub(super) async fn run(urls: &[Address], options: QueriesOptions) -> Result<BenchReport> {
    let work = run_queries(urls, &options);
    within(options.limit(), "filling and asking", work).await
}

async fn run_queries(urls: &[Address], options: &QueriesOptions) -> Result<BenchReport> {
    let mut report = BenchReport::new("queries");
    if options.fill > 0 {
        let filled = fill(urls, options).await?;
        report.row("filled", options.fill, "events");
        report.row("fill rate", rate(options.fill, filled), "events/s");
    }
    let mut client = one(urls).await?;
    for kind in QueryKind::ALL {
        let mut times = Durations::default();
        for turn in 0..options.times {
            times.add(ask(&mut client, kind, owner(turn, options)).await?);
        }
        report.percentiles(kind.name(), &mut times, &[50, 99]);
    }
    let mut times = Durations::default();
    for turn in 0..options.times {
        let mut client = one(urls).await?;
        times.add(take_snapshot(&mut client, owner(turn, options)).await?);
    }
    report.percentiles("snapshot of an owner until live", &mut times, &[50, 99]);
    let (took, mut times) = take_snapshots(urls, options).await?;
    report.row("sessions", options.sessions, "");
    report.row("snapshots at once, all", took.as_secs_f64() * 1_000.0, "ms");
    report.percentiles("snapshots at once, each", &mut times, &[50, 99]);
    Ok(report)
}

/// Spread over all owners, and another each turn.
fn owner(turn: u32, options: &QueriesOptions) -> u64 {
    u64::from(turn) * 7_919 % options.owners
}

async fn one(urls: &[Address]) -> Result<Client> {
    let mut opened = open_many(urls, 1, Changes::None).await?;
    Ok(Client::new(opened.pop().context("one was opened")?))
}

/// Fills the store; how long it took.
async fn fill(urls: &[Address], options: &QueriesOptions) -> Result<Duration> {
    let connections = open_many(urls, FILLERS, Changes::None).await?;
    let batches = options.fill.div_ceil(BATCH_COUNT);
    let begun = Instant::now();
    let fillers = (0..).zip(connections).map(|(number, connection)| {
        let mine = (number..batches).step_by(FILLERS as usize);
        fill_some(Client::new(connection), mine, options)
    });
    try_join_all(fillers).await?;
    Ok(begun.elapsed())
}

async fn fill_some(
    mut client: Client,
    mut batches: impl Iterator<Item = u64>,
    options: &QueriesOptions,
) -> Result<()> {
    let writer = BenchWriter::new(options.bytes as usize);
    let owners = (options.fill / options.of_each).max(1);
    loop {
        while client.outstanding() < BATCHES_OUTSTANDING
            && let Some(batch) = batches.next()
        {
            let first = batch * BATCH_COUNT;
            let events = first..options.fill.min(first + BATCH_COUNT);
            client.send(Instant::now(), |out, id| {
                writer.create_owned(out, id, events, owners)
            })?;
        }
        if client.outstanding() == 0 {
            return Ok(());
        }
        let mut refused = None;
        let each = |received: Received<'_>| {
            if let Received::Refused { code } = received {
                refused = Some(code.to_owned());
            }
        };
        client.step(each).await?;
        ensure!(refused.is_none(), "the server answered {refused:?}");
    }
}

/// How long the answer took.
async fn ask(client: &mut Client, kind: QueryKind, owner: u64) -> Result<Duration> {
    let begun = Instant::now();
    let write = |out: &mut Vec<u8>, id, ()| fetch(out, id, kind, owner);
    client.carry_out([()], write, |_| {}).await?;
    Ok(begun.elapsed())
}

/// Subscribes to an owner's events; how long it took until it was live.
async fn take_snapshot(client: &mut Client, owner: u64) -> Result<Duration> {
    let begun = Instant::now();
    let mut is_live = false;
    let mut note = |received: Received<'_>| is_live |= matches!(received, Received::Live);
    let write = |out: &mut Vec<u8>, id, ()| subscribe_to_owner(out, id, 1, owner);
    client.carry_out([()], write, &mut note).await?;
    let mut refused = None;
    while !is_live && refused.is_none() {
        let each = |received: Received<'_>| match received {
            Received::Live => is_live = true,
            Received::Refused { code } => refused = Some(code.to_owned()),
            _ => {}
        };
        client.step(each).await?;
    }
    ensure!(refused.is_none(), "the subscription ended with {refused:?}");
    Ok(begun.elapsed())
}

/// All sessions at once: until the last was live, and how long each took.
async fn take_snapshots(
    urls: &[Address],
    options: &QueriesOptions,
) -> Result<(Duration, Durations)> {
    let opened = open_many(urls, options.sessions, Changes::None).await?;
    let begun = Instant::now();
    let taking = (0..).zip(opened).map(|(turn, connection)| async move {
        let mut client = Client::new(connection);
        let took = take_snapshot(&mut client, owner(turn, options)).await?;
        // It stays: who has its snapshot goes on listening.
        anyhow::Ok((client, took))
    });
    let taken = try_join_all(taking).await?;
    let all = begun.elapsed();
    let mut times = Durations::default();
    taken.iter().for_each(|(_, took)| times.add(*took));
    Ok((all, times))
}
