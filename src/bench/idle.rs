//! Scenario `idle`: whether many silent sessions stay open, and what each costs the server.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::address::{Address, Changes};
use super::connection::{BenchConnection, open_many};
use super::memory;
use super::memory::MIB;
use super::report::BenchReport;
use super::{GRACE, within};

#[derive(clap::Args, Debug, Clone)]
pub(super) struct IdleOptions {
    /// Sessions to open
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(super) sessions: u32,

    /// Seconds they must stay open; by default long enough for the server to ping each once
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Process id of the server, on this machine: also reports its memory per session
    #[arg(long)]
    pid: Option<u32>,
}

/// Bytes of the server before and with all sessions.
type MemorySpan = (u64, u64);

pub(super) async fn run(urls: &[Address], options: IdleOptions) -> Result<BenchReport> {
    let opening = Duration::from_secs(u64::from(options.sessions) / 100);
    let limit = Duration::from_secs(options.seconds) + opening + GRACE;
    within(
        limit,
        "opening and holding the sessions",
        run_sessions(urls, &options),
    )
    .await
}

async fn run_sessions(urls: &[Address], options: &IdleOptions) -> Result<BenchReport> {
    let before = memory::now(options.pid)?;
    let begun = Instant::now();
    let opened = open_many(urls, options.sessions, Changes::All).await?;
    let opening = begun.elapsed();
    let pings = Arc::new(AtomicU64::new(0));
    let mut sessions = JoinSet::new();
    for connection in opened {
        sessions.spawn(stay(connection, Arc::clone(&pings)));
    }
    let hold = async {
        let wait = tokio::time::sleep(Duration::from_secs(options.seconds));
        let ((), after) = tokio::join!(wait, memory::settled(options.pid));
        Ok::<_, anyhow::Error>(before.zip(after?))
    };
    let memory = tokio::select! {
        memory = hold => memory?,
        Some(ended) = sessions.join_next() => match ended?? {},
    };
    Ok(report(options, opening, pings.load(Relaxed), memory))
}

/// Answers pings until the server ends it, which is an error.
async fn stay(mut connection: BenchConnection, pings: Arc<AtomicU64>) -> Result<Infallible> {
    let opened = Instant::now();
    loop {
        let answered = connection.pings;
        let step = connection.step(|_| Ok(())).await;
        pings.fetch_add(connection.pings - answered, Relaxed);
        step.with_context(|| format!("a session ended after {} s", opened.elapsed().as_secs()))?;
    }
}

fn report(
    options: &IdleOptions,
    opening: Duration,
    pings: u64,
    memory: Option<MemorySpan>,
) -> BenchReport {
    let mut report = BenchReport::new("idle");
    report.row("sessions", options.sessions, "");
    report.row("opened in", opening.as_secs_f64(), "s");
    report.row("stayed open", options.seconds, "s");
    report.row("pings answered", pings, "");
    if let Some((before, after)) = memory {
        report.row("server before", before as f64 / MIB, "MiB");
        report.row("server with sessions", after as f64 / MIB, "MiB");
        let each = after.saturating_sub(before) as f64 / 1024.0 / f64::from(options.sessions);
        report.row("server per session", each, "KiB");
    }
    report
}
