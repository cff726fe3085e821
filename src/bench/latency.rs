//! Scenario `latency`: how long a change takes, at a steady rate, until every session has it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::address::{Address, Changes};
use super::client::Client;
use super::connection::{BenchConnection, open_many};
use super::report::BenchReport;
use super::stats::{Durations, rate};
use super::steady::{Arrivals, Pace, Sent, listen};
use super::within_delivering;

#[derive(clap::Args, Debug, Clone)]
pub(super) struct LatencyOptions {
    /// Sessions that receive every change
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(super) sessions: u32,

    /// CREATEs a second, evenly spaced, over one more connection
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,

    /// Seconds to send
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Bytes of a command, about
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    bytes: u32,
}

impl LatencyOptions {
    fn pace(&self) -> Pace {
        Pace {
            rate: self.rate,
            seconds: self.seconds,
            bytes: self.bytes as usize,
        }
    }
}

pub(super) async fn run(urls: &[Address], options: LatencyOptions) -> Result<BenchReport> {
    let work = run_sessions(urls, &options);
    within_delivering(options.sessions, options.seconds, work).await
}

async fn run_sessions(urls: &[Address], options: &LatencyOptions) -> Result<BenchReport> {
    let opened = open_many(urls, options.sessions, Changes::All).await?;
    let first = urls.first().context("no --url")?;
    let writer = BenchConnection::open(first, Changes::None).await?;
    let arrivals = Arc::new(Arrivals::after(writer.welcome));
    let mut sessions = JoinSet::new();
    for connection in opened {
        sessions.spawn(listen(connection, Arc::clone(&arrivals)));
    }
    let work = async {
        let sent = options.pace().write(&mut Client::new(writer)).await?;
        arrivals.drain(&sent, options.sessions).await;
        Ok::<_, anyhow::Error>(sent)
    };
    tokio::select! {
        sent = work => Ok(report(options, &arrivals, sent?)),
        Some(ended) = sessions.join_next() => match ended?? {},
    }
}

fn report(options: &LatencyOptions, arrivals: &Arrivals, mut sent: Sent) -> BenchReport {
    let mut everywhere = Durations::default();
    for (seq, begun) in &sent.changes {
        if let Some(last) = arrivals.complete(*seq, options.sessions) {
            everywhere.add(last.saturating_duration_since(*begun));
        }
    }
    let mut report = BenchReport::new("latency");
    let acknowledged = sent.acks.len() as u64;
    report.row("sessions", options.sessions, "");
    let time = Duration::from_secs(options.seconds);
    report.row("sent", rate(acknowledged, time), "commands/s");
    report.percentiles("ack", &mut sent.acks, &[50, 90, 99]);
    report.percentiles("all sessions", &mut everywhere, &[50, 90, 99]);
    arrivals.report_losses(&mut report, &sent, options.sessions);
    report
}
