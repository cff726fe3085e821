//! Scenario `slow`: whether sessions that stop reading delay the others, and how they end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::{join_all, try_join_all};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::address::{Address, Changes};
use super::backlog;
use super::client::Client;
use super::connection::{BenchConnection, Closed, open_many};
use super::message;
use super::message::Message;
use super::report::BenchReport;
use super::sequence::Sequence;
use super::stats::{Durations, rate};
use super::steady::{Arrivals, Pace, Sent, listen};
use super::write::BenchWriter;
use super::{GRACE, within_delivering};

/// The receive buffer of a slow session.
const RECEIVE_BYTES: u32 = 16 * 1024;

/// The backlog of a slow session: more than all buffers on the way hold (on Linux 4 MiB), so that the server cannot
/// send all of it.
const CLOGGING_BYTES: u32 = 8 * 1024 * 1024;

/// How long the backlog takes to fill every buffer on the way. The server closes the session no sooner than 10 s later.
const CLOGGING: Duration = Duration::from_secs(1);

/// Changes of those bytes a second below which something is wrong rather than slow.
const WRITES_MIN: u64 = 500;

#[derive(clap::Args, Debug, Clone)]
pub(super) struct SlowOptions {
    /// Sessions that read every change at once
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    sessions: u32,

    /// Sessions beside them that resume from 8 MiB back and read nothing, every second time
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    slow: u32,

    /// CREATEs a second, evenly spaced, over one more connection
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,

    /// Seconds to send without slow sessions, and again with them: by default long enough for the server
    /// to close them
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Rounds of both, by turns, so that whatever else the machine does delays the one as much as the
    /// other
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    rounds: u32,

    /// Bytes of a command, about
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    bytes: u32,
}

impl SlowOptions {
    pub(super) fn connections(&self) -> u32 {
        self.sessions + self.slow + 1
    }

    fn pace(&self) -> Pace {
        Pace {
            rate: self.rate,
            seconds: self.seconds,
            bytes: self.bytes as usize,
        }
    }

    /// Changes that slow sessions have missed when they connect.
    fn backlog(&self) -> u64 {
        u64::from(CLOGGING_BYTES / self.bytes)
    }
}

/// How a slow session ended.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ReaderFate {
    /// Closed with this code.
    Closed(u16),
    /// Closed while the buffers were so full that no code could be sent.
    CutOff,
    /// Open, and it caught up once it read.
    CaughtUp,
    /// Open, but it does not receive everything.
    Stuck,
    /// What it received has gaps or repeats.
    Torn,
}

/// What was written without and with slow sessions, and how those ended.
#[derive(Default)]
struct SlowOutcome {
    without: Sent,
    with: Sent,
    fates: BTreeMap<ReaderFate, u32>,
}

pub(super) async fn run(urls: &[Address], options: SlowOptions) -> Result<BenchReport> {
    let work = run_sessions(urls, &options);
    let rounds = u64::from(options.rounds) * (2 * options.seconds + CLOGGING.as_secs());
    let seconds = rounds + options.backlog() / WRITES_MIN;
    within_delivering(options.connections(), seconds, work).await
}

async fn run_sessions(urls: &[Address], options: &SlowOptions) -> Result<BenchReport> {
    let first = urls.first().context("no --url")?;
    let writer = BenchWriter::new(options.bytes as usize);
    let mut client = Client::new(BenchConnection::open(first, Changes::None).await?);
    let last = backlog::write(&mut client, &writer, options.backlog()).await?;
    let arrivals = Arc::new(Arrivals::after(last));
    let opened = open_many(urls, options.sessions, Changes::After(last)).await?;
    let mut sessions = JoinSet::new();
    for connection in opened {
        sessions.spawn(listen(connection, Arc::clone(&arrivals)));
    }
    tokio::select! {
        outcome = run_rounds(urls, options, client, &arrivals) => {
            Ok(report(options, &arrivals, outcome?))
        }
        Some(ended) = sessions.join_next() => match ended?? {},
    }
}

async fn run_rounds(
    urls: &[Address],
    options: &SlowOptions,
    mut client: Client,
    arrivals: &Arrivals,
) -> Result<SlowOutcome> {
    let mut outcome = SlowOutcome::default();
    for _ in 0..options.rounds {
        let sent = options.pace().write(&mut client).await?;
        arrivals.drain(&sent, options.sessions).await;
        let last = sent.last();
        outcome.without.add(sent);

        let slow = clog(urls, options, last).await?;
        let sent = options.pace().write(&mut client).await?;
        arrivals.drain(&sent, options.sessions).await;
        let last = sent.last();
        outcome.with.add(sent);
        for fate in join_all(slow.into_iter().map(|each| fate(each, last))).await {
            *outcome.fates.entry(fate).or_default() += 1;
        }
    }
    Ok(outcome)
}

/// Opens slow sessions, whose backlog fills every buffer on the way.
async fn clog(urls: &[Address], options: &SlowOptions, last: u64) -> Result<Vec<BenchConnection>> {
    let from = Changes::After(last.saturating_sub(options.backlog()));
    let urls = urls.iter().cycle().take(options.slow as usize);
    let opening = urls.map(|url| BenchConnection::open_narrow(url, from, RECEIVE_BYTES));
    let slow = try_join_all(opening).await?;
    tokio::time::sleep(CLOGGING).await;
    Ok(slow)
}

/// Reads everything of a session that has not read so far.
async fn fate(mut connection: BenchConnection, last: u64) -> ReaderFate {
    let mut sequence = Sequence::after(connection.welcome);
    let reading = async {
        while sequence.last() < last {
            connection
                .step(|text| {
                    if let Message::Change { seq, .. } = message::read(text) {
                        sequence.see(seq);
                    }
                    Ok(())
                })
                .await?;
        }
        Ok(())
    };
    let ended = timeout(GRACE, reading).await;
    if sequence.take_faults() != (0, 0) {
        return ReaderFate::Torn;
    }
    match ended {
        Ok(Ok(())) => ReaderFate::CaughtUp,
        Ok(Err(error)) => end_of(&error),
        Err(_) => ReaderFate::Stuck,
    }
}

fn end_of(error: &anyhow::Error) -> ReaderFate {
    match error.downcast_ref::<Closed>() {
        Some(closed) => ReaderFate::Closed(closed.code),
        None => ReaderFate::CutOff,
    }
}

impl ReaderFate {
    fn name(&self) -> String {
        match self {
            Self::Closed(code) => format!("slow closed with {code}"),
            Self::CutOff => "slow closed without a word".to_owned(),
            Self::CaughtUp => "slow open, then read up".to_owned(),
            Self::Stuck => "slow open, but stuck".to_owned(),
            Self::Torn => "slow with gaps".to_owned(),
        }
    }

    fn is_wrong(&self) -> bool {
        matches!(self, Self::Stuck | Self::Torn)
    }
}

fn report(options: &SlowOptions, arrivals: &Arrivals, outcome: SlowOutcome) -> BenchReport {
    let mut report = BenchReport::new("slow");
    report.row("sessions", options.sessions, "");
    report.row("slow", options.slow, "");
    report.row("rounds", options.rounds, "");
    let SlowOutcome {
        without,
        with,
        fates,
    } = outcome;
    let time = Duration::from_secs(options.seconds) * options.rounds;
    let mut tails = Vec::new();
    for (name, sent) in [("without slow", &without), ("with slow", &with)] {
        let written = rate(sent.changes.len() as u64, time);
        report.row(&format!("sent {name}"), written, "commands/s");
        let mut took = Durations::default();
        for (seq, begun) in &sent.changes {
            arrivals.each(*seq, *begun, &mut took);
        }
        report.percentiles(name, &mut took, &[50, 99]);
        tails.push(took.percentile(99));
        arrivals.report_losses(&mut report, sent, options.sessions);
    }
    report.row("ratio of p99", tails[1] / tails[0], "");
    for (fate, count) in fates {
        report.row(&fate.name(), count, "");
        if fate.is_wrong() {
            report.fault(format!("{count} {}", fate.name()));
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_says_why_is_told_from_one_that_cannot() {
        let gone = anyhow::anyhow!("the server closed the connection without a word");
        assert_eq!(end_of(&gone), ReaderFate::CutOff);
        let closed = Closed::new(4002, "too slow").into();
        assert_eq!(end_of(&closed), ReaderFate::Closed(4002));
        assert_eq!(ReaderFate::Closed(4002).name(), "slow closed with 4002");
    }

    #[test]
    fn a_slow_session_may_be_closed_but_not_be_lied_to() {
        for fate in [
            ReaderFate::Closed(4002),
            ReaderFate::CutOff,
            ReaderFate::CaughtUp,
        ] {
            assert!(!fate.is_wrong(), "{fate:?}");
        }
        assert!(ReaderFate::Stuck.is_wrong() && ReaderFate::Torn.is_wrong());
    }
}
