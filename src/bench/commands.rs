//! Scenario `commands`: how many commands a second are acknowledged, and how soon.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;

use super::address::{Address, Changes};
use super::client::Client;
use super::connection::{BenchConnection, open_many};
use super::load::{Commands, LoadPlan, Tally};
use super::report::BenchReport;
use super::stats::rate;
use super::write::BenchWriter;
use super::{GRACE, within};

/// Events each connection updates in turn: different ones, so that batches hold no conflicts.
const EVENTS_PER_CONNECTION: usize = 64;

#[derive(clap::Args, Debug, Clone)]
pub(super) struct CommandsOptions {
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

pub(super) async fn run(urls: &[Address], options: CommandsOptions) -> Result<BenchReport> {
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

async fn run_connections(urls: &[Address], options: &CommandsOptions) -> Result<Tally> {
    let connections = open_many(urls, options.connections, options.changes).await?;
    let senders = connections.into_iter().enumerate();
    let senders = senders.map(|(number, connection)| prepare(connection, number, options));
    let load = LoadPlan {
        outstanding: options.outstanding as usize,
        warm_up: Duration::from_secs(options.warm_up),
        measured: Duration::from_secs(options.seconds),
    };
    load.run(try_join_all(senders).await?).await
}

/// A client and its commands, once the events that they update exist.
async fn prepare(
    connection: BenchConnection,
    number: usize,
    options: &CommandsOptions,
) -> Result<(Client, Mixture)> {
    let mut client = Client::new(connection);
    let mixture = Mixture::new(number, options);
    if options.mix != Mix::Create {
        let create =
            |out: &mut Vec<u8>, id, event: &String| mixture.writer.create_named(out, id, event);
        let created = client.carry_out(&mixture.events, create, |_| {}).await;
        created.context("the events to update could not be created")?;
    }
    Ok((client, mixture))
}

/// The commands of one connection.
struct Mixture {
    mix: Mix,
    writer: BenchWriter,
    events: Vec<String>,
    sent: usize,
}

impl Mixture {
    fn new(number: usize, options: &CommandsOptions) -> Self {
        let run = uuid::Uuid::now_v7().simple();
        Self {
            mix: options.mix,
            writer: BenchWriter::new(options.bytes as usize),
            events: (0..EVENTS_PER_CONNECTION)
                .map(|event| format!("bench-{run}-{number}-{event}"))
                .collect(),
            sent: 0,
        }
    }
}

impl Commands for Mixture {
    fn write(&mut self, out: &mut Vec<u8>, id: u64) -> std::io::Result<()> {
        self.sent += 1;
        let create = match self.mix {
            Mix::Create => true,
            Mix::Update => false,
            Mix::Mixed => self.sent.is_multiple_of(2),
        };
        if create {
            return self.writer.create(out, id);
        }
        let event = &self.events[self.sent % self.events.len()];
        self.writer.update(out, id, event)
    }
}

fn report(options: &CommandsOptions, mut tally: Tally) -> BenchReport {
    let time = Duration::from_secs(options.seconds);
    let mut report = BenchReport::new("commands");
    report.row("mix", format!("{:?}", options.mix).to_lowercase(), "");
    report.row("connections", options.connections, "");
    report.row("outstanding each", options.outstanding, "commands");
    report.row("measured", options.seconds, "s");
    report.row("acknowledged", rate(tally.done, time), "commands/s");
    report.percentiles("ack", &mut tally.latencies, &[50, 99]);
    match options.changes {
        Changes::None => report.row("changes received", "none", ""),
        Changes::All | Changes::After(_) => {
            report.row("changes received", rate(tally.changes, time), "changes/s")
        }
    }
    report.refusals(&tally.refusals);
    report
}
