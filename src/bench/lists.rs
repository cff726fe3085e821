//! Scenario `lists`: what a live list of the newest events costs the server, against a plain subscription to the same
//! changes, in rounds by turns.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;

use super::address::{Address, Changes};
use super::client::{Client, Received};
use super::connection::open_many;
use super::report::BenchReport;
use super::steady::{Pace, Sent};
use super::write::{subscribe_to_all, subscribe_to_newest};
use super::{GRACE, processor, within_delivering};

/// How often to check whether every session has everything.
const DRAIN_POLL: Duration = Duration::from_millis(10);

#[derive(clap::Args, Debug, Clone)]
pub(super) struct ListsOptions {
    /// Sessions that follow the same list, or all changes
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    sessions: u32,

    /// Events that the list shows
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,

    /// CREATEs a second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,

    /// Seconds of each round
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Rounds of each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=60))]
    rounds: u32,

    /// Bytes of a command, about
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    bytes: u32,

    /// The server's process, on this machine, whose processor time is measured
    #[arg(long)]
    pid: u32,
}

impl ListsOptions {
    pub(super) fn connections(&self) -> u32 {
        self.sessions + 1
    }
}

/// What the sessions of a round have heard.
#[derive(Debug)]
struct Heard {
    /// The last seq that each was told of.
    last: Vec<AtomicU64>,
    frames: AtomicU64,
    /// How often one fell behind, or got its list anew.
    behind: AtomicU64,
}

/// The sums of the rounds of one kind.
#[derive(Debug, Default)]
struct RoundCost {
    processor: Duration,
    changes: u64,
    frames: u64,
    behind: u64,
}

pub(super) async fn run(urls: &[Address], options: ListsOptions) -> Result<BenchReport> {
    let seconds = options.seconds * u64::from(2 * options.rounds);
    let opening = options.sessions.saturating_mul(2 * options.rounds);
    within_delivering(opening, seconds, run_rounds(urls, &options)).await
}

async fn run_rounds(urls: &[Address], options: &ListsOptions) -> Result<BenchReport> {
    let (mut plain, mut list) = (RoundCost::default(), RoundCost::default());
    for _ in 0..options.rounds {
        round(urls, options, None, &mut plain).await?;
        round(urls, options, Some(options.limit), &mut list).await?;
    }
    Ok(report(options, &plain, &list))
}

/// Writes while all sessions follow the list of so many events, or all changes.
async fn round(
    urls: &[Address],
    options: &ListsOptions,
    limit: Option<u32>,
    cost: &mut RoundCost,
) -> Result<()> {
    let heard = Arc::new(Heard::of(options.sessions));
    let mut sessions = JoinSet::new();
    let opened = open_many(urls, options.sessions, Changes::None).await?;
    for (index, connection) in opened.into_iter().enumerate() {
        let mut client = Client::new(connection);
        let subscribe = |out: &mut Vec<u8>, id, ()| match limit {
            None => subscribe_to_all(out, id, 1),
            Some(limit) => subscribe_to_newest(out, id, 1, limit),
        };
        client.carry_out([()], subscribe, |_| {}).await?;
        sessions.spawn(listen(client, index, Arc::clone(&heard)));
    }
    let mut writers = open_many(urls, 1, Changes::None).await?;
    let mut writer = Client::new(writers.pop().context("one connection was opened")?);
    let pace = Pace {
        rate: options.rate,
        seconds: options.seconds,
        bytes: options.bytes as usize,
    };
    let before = processor::time(options.pid)?;
    let sent = tokio::select! {
        sent = write(pace, &mut writer, &heard) => sent?,
        ended = sessions.join_next() => match ended.context("there are sessions")?? {
            Ok(never) => match never {},
            Err(error) => return Err(error),
        },
    };
    cost.processor += processor::time(options.pid)? - before;
    cost.changes += sent.changes.len() as u64;
    cost.frames += heard.frames.load(Relaxed);
    cost.behind += heard.behind.load(Relaxed);
    Ok(())
}

/// Until every session was told of all that was written.
async fn write(pace: Pace, writer: &mut Client, heard: &Heard) -> Result<Sent> {
    let sent = pace.write(writer).await?;
    heard.drain(sent.last()).await?;
    Ok(sent)
}

async fn listen(mut client: Client, index: usize, heard: Arc<Heard>) -> Result<Infallible> {
    loop {
        let (mut last, mut frames, mut behind) = (0, 0, 0);
        client
            .step(|received| match received {
                Received::Change { seq, .. } => {
                    frames += 1;
                    last = seq;
                }
                Received::Behind | Received::Reset => behind += 1,
                Received::Done { .. } | Received::Refused { .. } => {}
            })
            .await?;
        heard.last[index].fetch_max(last, Relaxed);
        heard.frames.fetch_add(frames, Relaxed);
        heard.behind.fetch_add(behind, Relaxed);
    }
}

impl Heard {
    fn of(sessions: u32) -> Self {
        Self {
            last: (0..sessions).map(|_| AtomicU64::new(0)).collect(),
            frames: AtomicU64::new(0),
            behind: AtomicU64::new(0),
        }
    }

    async fn drain(&self, last: u64) -> Result<()> {
        let limit = Instant::now() + GRACE;
        while self.last.iter().any(|heard| heard.load(Relaxed) < last) {
            if Instant::now() > limit {
                bail!("not every session was told of change {last}");
            }
            tokio::time::sleep(DRAIN_POLL).await;
        }
        Ok(())
    }
}

impl RoundCost {
    /// Microseconds of the processor for each change and session.
    fn each(&self, sessions: u32) -> f64 {
        let told = self.changes.max(1) as f64 * f64::from(sessions);
        self.processor.as_secs_f64() * 1e6 / told
    }
}

fn report(options: &ListsOptions, plain: &RoundCost, list: &RoundCost) -> BenchReport {
    let (plain_each, list_each) = (plain.each(options.sessions), list.each(options.sessions));
    let mut report = BenchReport::new("lists");
    report.row("sessions", options.sessions, "");
    report.row("events shown", options.limit, "");
    report.row("changes", plain.changes + list.changes, "");
    report.row("frames, plain", plain.frames, "");
    report.row("frames, list", list.frames, "");
    report.row("processor, plain", plain_each, "us a change and session");
    report.row("processor, list", list_each, "us a change and session");
    report.row("list / plain", list_each / plain_each, "");
    report.row("behind, plain", plain.behind, "");
    report.row("anew, list", list.behind, "");
    report
}
