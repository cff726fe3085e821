//! Scenario `resume`: how soon sessions catch up that were disconnected, all at once, and how much of the server's
//! memory that takes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::address::{Address, Changes};
use super::backlog;
use super::client::{Client, Received};
use super::connection::{BenchConnection, opening};
use super::memory;
use super::memory::MIB;
use super::report::BenchReport;
use super::sequence::Sequence;
use super::stats::{Durations, rate};
use super::write::{BenchWriter, subscribe_after};
use super::{GRACE, within};

/// Deliveries a second below which something is wrong rather than slow.
const DELIVERIES_MIN: u64 = 10_000;

/// The same for writes.
const WRITES_MIN: u64 = 500;

/// The name of each session's subscription.
const SUBSCRIPTION: u64 = 1;

#[derive(clap::Args, Debug, Clone)]
pub(super) struct ResumeOptions {
    /// Sessions that connect at once
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(super) sessions: u32,

    /// Changes each has missed: the last of the log, written beforehand
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    changes: u32,

    /// Write none beforehand: resume into the log as it is, for instance after a restart, when none of
    /// it is in the server's memory
    #[arg(long)]
    no_writes: bool,

    /// Bytes of a command, about
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    bytes: u32,

    /// Resume a subscription (SUBSCRIBE with `after`) instead of the default feed (`/ws?after=`)
    #[arg(long)]
    subscribe: bool,

    /// Process id of the server, on this machine: also reports its memory before, meanwhile and after
    #[arg(long)]
    pid: Option<u32>,
}

/// The changes that each session missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Missed {
    after: u64,
    last: u64,
}

/// A session that has received the last change; dropping this closes it.
struct CaughtUp {
    _client: Client,
    at: Instant,
    missing: u64,
    repeated: u64,
}

/// Bytes of the server before, at most, and with all sessions caught up.
type ResumeMemory = (u64, u64, u64);

pub(super) async fn run(urls: &[Address], options: ResumeOptions) -> Result<BenchReport> {
    let (sessions, changes) = (u64::from(options.sessions), u64::from(options.changes));
    let seconds = sessions * changes / DELIVERIES_MIN + sessions / 100 + changes / WRITES_MIN;
    let limit = Duration::from_secs(seconds) + 2 * GRACE;
    within(limit, "catching up", run_sessions(urls, &options)).await
}

async fn run_sessions(urls: &[Address], options: &ResumeOptions) -> Result<BenchReport> {
    let missed = missed(urls, options).await?;
    let before = memory::now(options.pid)?;
    let begun = Instant::now();
    let (sessions, peak) =
        memory::peak_during(options.pid, catch_all_up(urls, options, missed)).await?;
    let after = memory::settled(options.pid).await?;
    let memory = before.zip(peak).zip(after);
    let memory = memory.map(|((before, peak), after)| (before, peak, after));
    Ok(report(options, begun, &sessions, memory))
}

/// Writes the changes to catch up with, or checks that the log has so many.
async fn missed(urls: &[Address], options: &ResumeOptions) -> Result<Missed> {
    let first = urls.first().context("no --url")?;
    let connection = BenchConnection::open(first, Changes::None).await?;
    let mut last = connection.welcome;
    if !options.no_writes {
        let writer = BenchWriter::new(options.bytes as usize);
        let count = options.changes.into();
        last = backlog::write(&mut Client::new(connection), &writer, count).await?;
    }
    Missed::of(last, options.changes.into())
}

impl Missed {
    fn of(last: u64, changes: u64) -> Result<Self> {
        let after = last.checked_sub(changes).with_context(|| {
            format!("the log has {last} changes, not {changes}: leave out --no-writes")
        })?;
        Ok(Self { after, last })
    }
}

async fn catch_all_up(
    urls: &[Address],
    options: &ResumeOptions,
    missed: Missed,
) -> Result<Vec<CaughtUp>> {
    let changes = if options.subscribe {
        Changes::None
    } else {
        Changes::After(missed.after)
    };
    let mut tasks = JoinSet::new();
    let mut opened = std::pin::pin!(opening(urls, options.sessions, changes));
    while let Some(connection) = opened.try_next().await? {
        tasks.spawn(catch_up(connection, missed, options.subscribe));
    }
    let mut sessions = Vec::new();
    while let Some(session) = tasks.join_next().await {
        sessions.push(session??);
    }
    Ok(sessions)
}

async fn catch_up(
    connection: BenchConnection,
    missed: Missed,
    subscribe: bool,
) -> Result<CaughtUp> {
    let mut sequence = Sequence::after(missed.after);
    let wanted = subscribe.then_some(SUBSCRIPTION);
    let mut client = Client::new(connection);
    if subscribe {
        client.send(Instant::now(), |out, id| {
            subscribe_after(out, id, SUBSCRIPTION, missed.after)
        })?;
    }
    while sequence.last() < missed.last {
        let mut refused = None;
        client
            .step(|received| match received {
                Received::Change { sub, seq } if sub == wanted => sequence.see(seq),
                Received::Refused { code } => refused = Some(code.to_owned()),
                Received::Reset => refused = Some("reset".to_owned()),
                _ => {}
            })
            .await?;
        ensure!(
            refused.is_none(),
            "resuming after {} was answered {refused:?}",
            missed.after
        );
    }
    let (missing, repeated) = sequence.take_faults();
    Ok(CaughtUp {
        _client: client,
        at: Instant::now(),
        missing,
        repeated,
    })
}

fn report(
    options: &ResumeOptions,
    begun: Instant,
    sessions: &[CaughtUp],
    memory: Option<ResumeMemory>,
) -> BenchReport {
    let mut times = Durations::default();
    sessions
        .iter()
        .for_each(|session| times.add(session.at - begun));
    let last = sessions.iter().map(|session| session.at).max();
    let total = last.map_or(Duration::ZERO, |last| last - begun);
    let deliveries = u64::from(options.sessions) * u64::from(options.changes);
    let mut report = BenchReport::new("resume");
    let what = if options.subscribe {
        "subscription"
    } else {
        "default feed"
    };
    report.row("what", what, "");
    report.row("sessions", options.sessions, "");
    report.row("changes each", options.changes, "");
    report.row("written beforehand", !options.no_writes, "");
    report.row("all caught up in", total.as_secs_f64(), "s");
    report.percentiles("caught up", &mut times, &[50, 99]);
    report.row("delivery rate", rate(deliveries, total), "deliveries/s");
    if let Some((before, peak, after)) = memory {
        report.row("server before", before as f64 / MIB, "MiB");
        report.row("server at most", peak as f64 / MIB, "MiB");
        report.row("server with sessions", after as f64 / MIB, "MiB");
    }
    complete(&mut report, sessions);
    report
}

fn complete(report: &mut BenchReport, sessions: &[CaughtUp]) {
    let missing: u64 = sessions.iter().map(|session| session.missing).sum();
    let repeated: u64 = sessions.iter().map(|session| session.repeated).sum();
    let whole = (missing, repeated) == (0, 0);
    report.row("each once, in order", whole, "");
    if !whole {
        report.fault(format!(
            "{missing} deliveries are missing, {repeated} came twice or out of order"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_the_end_of_the_log() {
        let (after, last) = (40, 50);
        assert_eq!(Missed::of(50, 10).unwrap(), Missed { after, last });
        assert_eq!(Missed::of(10, 10).unwrap().after, 0);
        let error = Missed::of(9, 10).unwrap_err().to_string();
        assert!(error.contains("--no-writes"), "{error}");
    }
}
