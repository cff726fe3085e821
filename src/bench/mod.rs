//! `livelog bench`: a load generator. It knows the public wire protocol alone, so it imports nothing of this crate, and
//! nothing but `cli` and `program` imports it.
//!
//! It usually shares a machine with the server that it measures, so it must be far cheaper: one thread, no task per
//! message, frames counted by scanning bytes (`wire`, `message`) instead of parsing JSON. Every wait has a deadline,
//! and every fault ends in an error.
//!
//! A scenario is a file: `commands`, `deliveries`, `latency`, `idle`, `subscriptions`, `lists`, `queries`, `resume`, `slow`. The other
//! files are what they share: the client (`address`, `tls`, `tokens`, `connection`, `wire`, `message`, `client`, `write`), the load
//! (`load`, `steady`, `backlog`), the checks (`sequence`, `matches`) and the result (`stats`, `memory`, `processor`, `report`).

mod address;
mod backlog;
mod client;
mod commands;
mod connection;
mod deliveries;
mod idle;
mod latency;
mod lists;
mod load;
mod matches;
mod memory;
mod message;
mod processor;
mod queries;
mod report;
mod resume;
mod sequence;
mod slow;
mod stats;
mod steady;
mod subscriptions;
mod tls;
mod tokens;
mod wire;
mod write;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use clap::{Args, Subcommand};

use address::Address;
use report::BenchReport;

/// How much longer than planned a scenario may take, to connect, drain and answer.
const GRACE: Duration = Duration::from_secs(20);

/// Descriptors beside one per connection: standard streams, the runtime's own, files of /proc.
const SPARE_DESCRIPTORS: u64 = 64;

/// Put load on a running livelog and report what it did.
#[derive(Args, Debug)]
pub struct BenchOptions {
    /// WebSocket address of a node; repeat it to spread connections over several nodes
    #[arg(
        long = "url",
        global = true,
        value_name = "URL",
        default_value = "ws://127.0.0.1:3000/ws"
    )]
    urls: Vec<Address>,

    /// Certificates that prove a node's name, or those of their authorities, as PEM; addresses of wss:// need it
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// File with tokens or API keys, one a line, that connections show by turns
    #[arg(long, global = true, value_name = "FILE")]
    tokens: Option<PathBuf>,

    /// Print one line of JSON instead of a table
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand, Debug)]
enum Scenario {
    /// How many commands a second are acknowledged, and how soon
    Commands(commands::CommandsOptions),
    /// How many changes (or broadcasts) a second reach sessions, and whether all of them do, in order
    Deliveries(deliveries::DeliveriesOptions),
    /// How long a change takes, at a steady rate, until every session has it
    Latency(latency::LatencyOptions),
    /// Whether many silent sessions stay open, and what each costs the server
    Idle(idle::IdleOptions),
    /// What many subscriptions cost the commands whose changes match one of them each
    Subscriptions(subscriptions::SubscriptionsOptions),
    /// What a live list costs the server, against a plain subscription
    Lists(lists::ListsOptions),
    /// How soon a server with many events answers: one question at a time, and snapshots all at once
    Queries(queries::QueriesOptions),
    /// How soon sessions that were away catch up, all at once, and with how much of the server's memory
    Resume(resume::ResumeOptions),
    /// Whether sessions that stop reading delay the others, and what becomes of them
    Slow(slow::SlowOptions),
}

impl Scenario {
    fn connections(&self) -> u32 {
        match self {
            Self::Commands(options) => options.connections,
            Self::Deliveries(options) => options.connections(),
            Self::Latency(options) => options.sessions + 1,
            Self::Idle(options) => options.sessions,
            Self::Subscriptions(options) => options.connections(),
            Self::Lists(options) => options.connections(),
            Self::Queries(options) => options.connections(),
            Self::Resume(options) => options.sessions + 1,
            Self::Slow(options) => options.connections(),
        }
    }

    async fn run(self, urls: &[Address]) -> Result<BenchReport> {
        match self {
            Self::Commands(options) => commands::run(urls, options).await,
            Self::Deliveries(options) => deliveries::run(urls, options).await,
            Self::Latency(options) => latency::run(urls, options).await,
            Self::Idle(options) => idle::run(urls, options).await,
            Self::Subscriptions(options) => subscriptions::run(urls, options).await,
            Self::Lists(options) => lists::run(urls, options).await,
            Self::Queries(options) => queries::run(urls, options).await,
            Self::Resume(options) => resume::run(urls, options).await,
            Self::Slow(options) => slow::run(urls, options).await,
        }
    }
}

/// Runs one scenario and prints its result.
///
/// # Errors
///
/// When the server cannot be reached, refuses, closes early, loses something, or takes too long.
pub async fn run(options: BenchOptions) -> Result<()> {
    ensure!(
        options.ca.is_some() || !options.urls.iter().any(|url| url.has_tls),
        "an address of wss:// needs --ca FILE, by which the server's certificate is known"
    );
    if let Some(ca) = &options.ca {
        tls::trust(ca)?;
    }
    if let Some(file) = &options.tokens {
        tokens::show(file)?;
    }
    raise_descriptor_limit(options.scenario.connections())?;
    // One thread of its own: work stealing between threads would cost the server's cores.
    tokio::task::spawn_blocking(move || run_on_this_thread(options)).await?
}

fn run_on_this_thread(options: BenchOptions) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(options.scenario.run(&options.urls))?;
    report.print(options.json);
    report.verdict()
}

fn raise_descriptor_limit(connections: u32) -> Result<()> {
    let wanted = u64::from(connections) + SPARE_DESCRIPTORS;
    let granted = rlimit::increase_nofile_limit(wanted).unwrap_or(wanted);
    ensure!(
        granted >= wanted,
        "{connections} connections need {wanted} file descriptors, this system allows {granted}: \
         raise `ulimit -n`"
    );
    Ok(())
}

/// `future`, or an error naming `what` when it takes longer than `limit`.
async fn within<T>(
    limit: Duration,
    what: &str,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(limit, future)
        .await
        .map_err(|_| anyhow!("{what} took longer than {} s", limit.as_secs()))?
}

/// The same for a load of `seconds` with this many sessions, which take time to open and to drain.
async fn within_delivering<T>(
    sessions: u32,
    seconds: u64,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    let opening = Duration::from_secs(u64::from(sessions) / 500);
    let limit = Duration::from_secs(seconds) + opening + 2 * GRACE;
    within(limit, "writing and delivering", future).await
}
