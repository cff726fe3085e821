//! Whether many silent sessions stay open, and what each costs the server.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::connection::{Address, Changes, Connection, open_many};
use super::report::Report;
use super::{GRACE, within};

/// How often the server's memory is looked at until it has settled.
const SETTLE_POLL: Duration = Duration::from_millis(500);

/// Looks after which memory counts as settled, though it may still move.
const SETTLE_LOOKS_MAX: u32 = 20;

#[derive(clap::Args, Debug, Clone)]
pub(super) struct Options {
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
type Memory = (u64, u64);

pub(super) async fn run(urls: &[Address], options: Options) -> Result<Report> {
    let opening = Duration::from_secs(u64::from(options.sessions) / 100);
    let limit = Duration::from_secs(options.seconds) + opening + GRACE;
    within(
        limit,
        "opening and holding the sessions",
        run_sessions(urls, &options),
    )
    .await
}

async fn run_sessions(urls: &[Address], options: &Options) -> Result<Report> {
    let before = options.pid.map(resident_bytes).transpose()?;
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
        let ((), after) = tokio::join!(wait, settled(options.pid));
        Ok::<_, anyhow::Error>(before.zip(after?))
    };
    let memory = tokio::select! {
        memory = hold => memory?,
        Some(ended) = sessions.join_next() => match ended?? {},
    };
    Ok(report(options, opening, pings.load(Relaxed), memory))
}

/// Answers pings until the server ends it, which is an error.
async fn stay(mut connection: Connection, pings: Arc<AtomicU64>) -> Result<Infallible> {
    let opened = Instant::now();
    loop {
        let answered = connection.pings;
        let turn = connection.turn(|_| Ok(())).await;
        pings.fetch_add(connection.pings - answered, Relaxed);
        turn.with_context(|| format!("a session ended after {} s", opened.elapsed().as_secs()))?;
    }
}

/// The server's memory once two looks in a row agree within a hundredth.
async fn settled(pid: Option<u32>) -> Result<Option<u64>> {
    let Some(pid) = pid else { return Ok(None) };
    let mut last = resident_bytes(pid)?;
    for _ in 0..SETTLE_LOOKS_MAX {
        tokio::time::sleep(SETTLE_POLL).await;
        let now = resident_bytes(pid)?;
        if now.abs_diff(last) < now / 100 {
            return Ok(Some(now));
        }
        last = now;
    }
    Ok(Some(last))
}

fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {path}: is --pid a process on this machine?"))?;
    resident_of(&status).with_context(|| format!("{path} does not tell resident memory"))
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn report(options: &Options, opening: Duration, pings: u64, memory: Option<Memory>) -> Report {
    let mut report = Report::new("idle");
    report.row("sessions", options.sessions, "");
    report.row("opened in", opening.as_secs_f64(), "s");
    report.row("stayed open", options.seconds, "s");
    report.row("pings answered", pings, "");
    if let Some((before, after)) = memory {
        const MIB: f64 = 1024.0 * 1024.0;
        report.row("server before", before as f64 / MIB, "MiB");
        report.row("server with sessions", after as f64 / MIB, "MiB");
        let each = after.saturating_sub(before) as f64 / 1024.0 / f64::from(options.sessions);
        report.row("server per session", each, "KiB");
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tlivelog\nVmHWM:\t    9 kB\nVmRSS:\t    1536 kB\nThreads:\t3\n";
        assert_eq!(resident_of(status), Some(1536 * 1024));
        assert_eq!(resident_of("Name:\tkthread\n"), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        let error = resident_bytes(u32::MAX).unwrap_err().to_string();
        assert!(error.contains("--pid"), "{error}");
    }
}
