//! How many commands a second are acknowledged, and how soon.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::client::{Client, Heard};
use super::connection::{Address, Changes, open_many};
use super::report::{Refusals, Report};
use super::stats::{Durations, rate};
use super::write::Writer;
use super::{GRACE, within};

/// Events each connection updates in turn: different ones, so that batches hold no conflicts.
const EVENTS_PER_CONNECTION: usize = 64;

#[derive(clap::Args, Debug, Clone)]
pub(super) struct Options {
    /// Connections that send commands
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(super) connections: u32,

    /// Commands each connection keeps unanswered
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    outstanding: u32,

    /// Seconds to measure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Seconds of the same load before that
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=60))]
    warm_up: u64,

    /// Bytes of a command, about
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    bytes: u32,

    /// Changes the sending connections receive beside their answers
    #[arg(long, value_enum, default_value = "none")]
    changes: Changes,

    /// Which commands
    #[arg(long, value_enum, default_value = "create")]
    mix: Mix,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mix {
    /// Only CREATE
    Create,
    /// Only UPDATE, of events created beforehand
    Update,
    /// The one and the other in turn
    Mixed,
}

#[derive(Debug, Default)]
struct Tally {
    done: u64,
    changes: u64,
    latencies: Durations,
    refusals: Refusals,
}

pub(super) async fn run(urls: &[Address], options: Options) -> Result<Report> {
    let limit = Duration::from_secs(options.warm_up + options.seconds) + GRACE;
    let tally = within(
        limit,
        "answering every command",
        run_connections(urls, &options),
    )
    .await?;
    ensure!(
        tally.done > 0 || !tally.refusals.is_empty(),
        "no command was answered in {} s",
        options.seconds
    );
    Ok(report(&options, tally))
}

async fn run_connections(urls: &[Address], options: &Options) -> Result<Tally> {
    let connections = open_many(urls, options.connections, options.changes).await?;
    let start = Arc::new(Barrier::new(connections.len()));
    let mut tasks = JoinSet::new();
    for (number, connection) in connections.into_iter().enumerate() {
        let sender = Sender::new(Client::new(connection), options.clone(), number);
        tasks.spawn(sender.run(Arc::clone(&start)));
    }
    let mut total = Tally::default();
    while let Some(tally) = tasks.join_next().await {
        total.add(tally??);
    }
    Ok(total)
}

struct Sender {
    client: Client,
    options: Options,
    writer: Writer,
    events: Vec<String>,
    sent: usize,
}

impl Sender {
    fn new(client: Client, options: Options, number: usize) -> Self {
        let run = uuid::Uuid::now_v7().simple();
        Self {
            client,
            writer: Writer::new(options.bytes as usize),
            events: (0..EVENTS_PER_CONNECTION)
                .map(|event| format!("bench-{run}-{number}-{event}"))
                .collect(),
            options,
            sent: 0,
        }
    }

    async fn run(mut self, start: Arc<Barrier>) -> Result<Tally> {
        if self.options.mix != Mix::Create {
            self.create_events().await?;
        }
        start.wait().await;
        let from = Instant::now() + Duration::from_secs(self.options.warm_up);
        let to = from + Duration::from_secs(self.options.seconds);
        let mut tally = Tally::default();
        while Instant::now() < to {
            self.fill()?;
            self.turn(&mut tally, from, to).await?;
        }
        // What is outstanding must be answered too, though it counts no more.
        while self.client.outstanding() > 0 {
            self.turn(&mut tally, from, to).await?;
        }
        Ok(tally)
    }

    async fn create_events(&mut self) -> Result<()> {
        let mut tally = Tally::default();
        let now = Instant::now();
        for event in &self.events {
            let writer = &self.writer;
            self.client
                .send(now, |out, id| writer.create_named(out, id, event))?;
        }
        while self.client.outstanding() > 0 {
            self.turn(&mut tally, now, now).await?;
        }
        ensure!(
            tally.refusals.is_empty(),
            "the events to update could not be created: {:?}",
            tally.refusals
        );
        Ok(())
    }

    fn fill(&mut self) -> Result<()> {
        let now = Instant::now();
        while self.client.outstanding() < self.options.outstanding as usize {
            self.sent += 1;
            let create = match self.options.mix {
                Mix::Create => true,
                Mix::Update => false,
                Mix::Mixed => self.sent.is_multiple_of(2),
            };
            let (writer, event) = (&self.writer, &self.events[self.sent % self.events.len()]);
            self.client.send(now, |out, id| match create {
                true => writer.create(out, id),
                false => writer.update(out, id, event),
            })?;
        }
        Ok(())
    }

    async fn turn(&mut self, tally: &mut Tally, from: Instant, to: Instant) -> Result<()> {
        let mut now = None;
        self.client
            .turn(|heard| {
                let now = *now.get_or_insert_with(Instant::now);
                tally.count(heard, now, now >= from && now < to);
            })
            .await
    }
}

impl Tally {
    fn count(&mut self, heard: Heard<'_>, now: Instant, measured: bool) {
        match heard {
            // Refusals count whenever they come: a run with any is a failure.
            Heard::Refused { code } => self.refusals.add(code),
            Heard::Done { sent, .. } if measured => {
                self.done += 1;
                self.latencies.add(now - sent);
            }
            Heard::Change if measured => self.changes += 1,
            Heard::Done { .. } | Heard::Change => {}
        }
    }

    fn add(&mut self, mut other: Self) {
        self.done += other.done;
        self.changes += other.changes;
        self.latencies.append(&mut other.latencies);
        self.refusals.merge(other.refusals);
    }
}

fn report(options: &Options, mut tally: Tally) -> Report {
    let time = Duration::from_secs(options.seconds);
    let mut report = Report::new("commands");
    report.row("mix", format!("{:?}", options.mix).to_lowercase(), "");
    report.row("connections", options.connections, "");
    report.row("outstanding each", options.outstanding, "commands");
    report.row("measured", options.seconds, "s");
    report.row("acknowledged", rate(tally.done, time), "commands/s");
    report.percentiles("ack", &mut tally.latencies, &[50, 99]);
    match options.changes {
        Changes::None => report.row("changes received", "none", ""),
        Changes::All => report.row("changes received", rate(tally.changes, time), "changes/s"),
    }
    report.refusals(&tally.refusals);
    report
}
