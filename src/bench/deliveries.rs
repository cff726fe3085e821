//! Scenario `deliveries`: how many changes (or broadcasts) a second reach sessions, and whether all reach each, in
//! order.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::address::{Address, Changes};
use super::client::{Client, Received};
use super::connection::{BenchConnection, open_many};
use super::message;
use super::message::Message;
use super::report::{BenchReport, RefusalCounts};
use super::sequence::Sequence;
use super::stats::rate;
use super::write::BenchWriter;
use super::{GRACE, within_delivering};

/// Commands one writer keeps unanswered.
const OUTSTANDING_MAX: usize = 64;

/// How often to check whether every session has everything, once the writers are done.
const DRAIN_POLL: Duration = Duration::from_millis(2);

#[derive(clap::Args, Debug, Clone)]
pub(super) struct DeliveriesOptions {
    /// Sessions that receive every change
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    sessions: u32,

    /// Connections that write; with --broadcast one, since broadcasts of several have no order
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    writers: u32,

    /// Writes that may be under way to the sessions: saturates the server, but does not overrun it
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    window: u32,

    /// Seconds to write
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Bytes of a command, about
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    bytes: u32,

    /// BROADCAST instead of CREATE
    #[arg(long)]
    broadcast: bool,
}

impl DeliveriesOptions {
    fn writers(&self) -> u32 {
        if self.broadcast { 1 } else { self.writers }
    }

    pub(super) fn connections(&self) -> u32 {
        self.sessions + self.writers()
    }
}

/// The state that sessions and writers share: writers stay within `window` writes of what is delivered.
#[derive(Debug)]
struct Progress {
    sessions: u64,
    window: u64,
    written: AtomicU64,
    delivered: AtomicU64,
    /// The last number that each session received: a `seq`, or a broadcast's number.
    received: Vec<AtomicU64>,
    /// Sums over all sessions: numbers skipped, numbers repeated.
    missing: AtomicU64,
    repeated: AtomicU64,
    has_capacity: Notify,
}

/// What the writers wrote.
#[derive(Debug, Default)]
struct Written {
    count: u64,
    /// The last number that every session must receive.
    last: u64,
    refusals: RefusalCounts,
}

pub(super) async fn run(urls: &[Address], options: DeliveriesOptions) -> Result<BenchReport> {
    let work = run_sessions(urls, &options);
    within_delivering(options.sessions, options.seconds, work).await
}

async fn run_sessions(urls: &[Address], options: &DeliveriesOptions) -> Result<BenchReport> {
    let progress = Arc::new(Progress::new(options));
    let mut sessions = JoinSet::new();
    let opened = open_many(urls, options.sessions, Changes::All).await?;
    for (index, connection) in opened.into_iter().enumerate() {
        sessions.spawn(listen(
            connection,
            index,
            Arc::clone(&progress),
            options.broadcast,
        ));
    }
    let begun = Instant::now();
    let written = tokio::select! {
        written = write_all(urls, options, &progress) => written?,
        ended = ended(&mut sessions) => return ended,
    };
    ensure!(
        written.count > 0,
        "no write succeeded: {:?}",
        written.refusals
    );
    let writing = begun.elapsed();
    let drained = tokio::select! {
        drained = drain(&progress, written.last) => drained,
        ended = ended(&mut sessions) => return ended,
    };
    let times = (writing, drained - begun);
    Ok(report(options, &progress, &written, times))
}

/// A session never ends by itself, so its end is an error.
async fn ended<T>(sessions: &mut JoinSet<Result<Infallible>>) -> Result<T> {
    match sessions.join_next().await {
        Some(ended) => match ended?? {},
        None => bail!("there are no sessions"),
    }
}

async fn listen(
    mut connection: BenchConnection,
    index: usize,
    progress: Arc<Progress>,
    broadcast: bool,
) -> Result<Infallible> {
    let mut sequence = Sequence::after(if broadcast { 0 } else { connection.welcome });
    loop {
        let mut count = 0;
        connection
            .step(|text| {
                match message::read(text) {
                    Message::Change { seq, .. } if !broadcast => sequence.see(seq),
                    Message::Broadcast { number } if broadcast => sequence.see(number),
                    _ => return Ok(()),
                }
                count += 1;
                Ok(())
            })
            .await?;
        progress.note(index, count, &mut sequence);
    }
}

async fn write_all(
    urls: &[Address],
    options: &DeliveriesOptions,
    progress: &Arc<Progress>,
) -> Result<Written> {
    let connections = open_many(urls, options.writers(), Changes::None).await?;
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let mut tasks = JoinSet::new();
    for connection in connections {
        let client = Client::new(connection);
        tasks.spawn(write(client, options.clone(), Arc::clone(progress), until));
    }
    let mut total = Written::default();
    while let Some(written) = tasks.join_next().await {
        total.add(written??);
    }
    Ok(total)
}

async fn write(
    mut client: Client,
    options: DeliveriesOptions,
    progress: Arc<Progress>,
    until: Instant,
) -> Result<Written> {
    let writer = BenchWriter::new(options.bytes as usize);
    let mut written = Written::default();
    let mut number = 0;
    loop {
        let writing = Instant::now() < until;
        while writing && client.outstanding() < OUTSTANDING_MAX && progress.try_begin_write() {
            number += 1;
            client.send(until, |out, id| match options.broadcast {
                true => writer.broadcast(out, id, number),
                false => writer.create(out, id),
            })?;
        }
        if !writing && client.outstanding() == 0 {
            return Ok(written);
        }
        tokio::select! {
            step = client.step(|received| written.count(received, &progress)) => step?,
            () = progress.has_capacity.notified(), if writing => {}
            () = tokio::time::sleep_until(until.into()), if writing => {}
        }
    }
}

/// Waits until every session has received `last`, at most [`GRACE`]: the report tells which it was.
async fn drain(progress: &Progress, last: u64) -> Instant {
    let limit = Instant::now() + GRACE;
    while progress.behind(last) > 0 && Instant::now() < limit {
        tokio::time::sleep(DRAIN_POLL).await;
    }
    Instant::now()
}

impl Progress {
    fn new(options: &DeliveriesOptions) -> Self {
        Self {
            sessions: u64::from(options.sessions),
            window: u64::from(options.window),
            written: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            received: (0..options.sessions).map(|_| AtomicU64::new(0)).collect(),
            missing: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            has_capacity: Notify::new(),
        }
    }

    fn has_capacity(&self) -> bool {
        let delivered = self.delivered.load(Relaxed) / self.sessions;
        self.written.load(Relaxed).saturating_sub(delivered) < self.window
    }

    fn try_begin_write(&self) -> bool {
        let has_capacity = self.has_capacity();
        if has_capacity {
            self.written.fetch_add(1, Relaxed);
        }
        has_capacity
    }

    fn note(&self, index: usize, count: u64, sequence: &mut Sequence) {
        self.received[index].store(sequence.last(), Relaxed);
        let (missing, repeated) = sequence.take_faults();
        self.missing.fetch_add(missing, Relaxed);
        self.repeated.fetch_add(repeated, Relaxed);
        self.delivered.fetch_add(count, Relaxed);
        if self.has_capacity() {
            self.has_capacity.notify_waiters();
        }
    }

    fn behind(&self, last: u64) -> usize {
        let behind = |received: &&AtomicU64| received.load(Relaxed) < last;
        self.received.iter().filter(behind).count()
    }
}

impl Written {
    fn count(&mut self, received: Received<'_>, progress: &Progress) {
        match received {
            Received::Done { seq, .. } => {
                self.count += 1;
                self.last = self.last.max(seq.unwrap_or(self.count));
            }
            Received::Refused { code } => {
                // It will never be delivered, so it must not count as under way.
                progress.written.fetch_sub(1, Relaxed);
                self.refusals.add(code);
            }
            _ => {}
        }
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.last = self.last.max(other.last);
        self.refusals.merge(other.refusals);
    }
}

fn report(
    options: &DeliveriesOptions,
    progress: &Progress,
    written: &Written,
    (writing, total): (Duration, Duration),
) -> BenchReport {
    let delivered = progress.delivered.load(Relaxed);
    let mut report = BenchReport::new("deliveries");
    let what = if options.broadcast {
        "broadcast"
    } else {
        "change"
    };
    report.row("what", what, "");
    report.row("sessions", options.sessions, "");
    report.row("writers", options.writers(), "");
    report.row("written", written.count, "");
    report.row("write rate", rate(written.count, writing), "commands/s");
    report.row("delivered", delivered, "");
    report.row("delivery rate", rate(delivered, total), "deliveries/s");
    report.row("time", total.as_secs_f64(), "s");
    report.refusals(&written.refusals);
    complete(&mut report, progress, written.last);
    report
}

fn complete(report: &mut BenchReport, progress: &Progress, last: u64) {
    let behind = progress.behind(last);
    let missing = progress.missing.load(Relaxed);
    let repeated = progress.repeated.load(Relaxed);
    let whole = behind == 0 && missing == 0 && repeated == 0;
    report.row("each once, in order", whole, "");
    if !whole {
        report.fault(format!(
            "{behind} sessions did not reach the end, {missing} deliveries are missing, \
             {repeated} came twice or out of order"
        ));
    }
}
