//! The command line. Doc comments here are the text of `--help`; flags win over the environment.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

use crate::bench::BenchOptions;
use crate::config::Config;
use crate::store::StoreOptions;
use crate::store::mongo::MongoOptions;
use crate::transport::Origins;

/// An event-sourced server with change streams.
///
/// Clients create, update, delete and fetch JSON documents over a WebSocket or REST. Every change is
/// appended to a log and pushed, in order, to every session. Without a subcommand, livelog serves.
#[derive(Debug, Parser)]
#[command(name = "livelog", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Subcommands>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Serve clients until Ctrl-C or SIGTERM.
    Serve(Serve),
    /// Rebuild the view from the log and put it in the live one's place. Safe beside running servers.
    Replay(Offline),
    /// Compare the view with the log; exit with 1 if they differ. Safe beside running servers.
    Verify(Offline),
    /// Put load on a running server and report what it did.
    Bench(BenchOptions),
}

#[derive(Debug, Args)]
struct Serve {
    /// Address to listen on; port 0 takes a free one.
    #[arg(
        long,
        env = "LIVELOG_LISTEN",
        default_value = "127.0.0.1:3000",
        value_name = "ADDR"
    )]
    listen: SocketAddr,
    /// Origins of web pages that may connect beside the server's own, e.g. https://app.example.org.
    #[arg(
        long = "allow-origin",
        env = "LIVELOG_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    origins: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Offline {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// MongoDB replica set that holds the log and the view.
    #[arg(
        long = "mongodb",
        env = "MONGODB_URI",
        hide_env_values = true,
        default_value = "mongodb://127.0.0.1:27017",
        value_name = "URI"
    )]
    uri: String,
    /// Database; wins over one named in the URI. [default: events_db]
    #[arg(long, env = "LIVELOG_DATABASE", value_name = "NAME")]
    database: Option<String>,
    /// What to log, as in `info,livelog=debug`.
    #[arg(
        long,
        env = "LIVELOG_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    log: String,
}

/// What was asked for, validated.
#[derive(Debug)]
pub enum Task {
    /// Serve.
    Serve(Config),
    /// Rebuild the view.
    Replay(StoreOptions),
    /// Compare the view with the log.
    Verify(StoreOptions),
    /// Load a server.
    Bench(BenchOptions),
}

impl Cli {
    /// The task, and what to log meanwhile.
    ///
    /// # Errors
    /// If something typed cannot be used.
    pub fn into_task(self) -> anyhow::Result<(Task, String)> {
        let (task, log) = match self.command.unwrap_or(Subcommands::Serve(self.serve)) {
            Subcommands::Serve(Serve {
                listen,
                origins,
                common,
            }) => {
                let origins = Origins::parse(&origins)
                    .map_err(|reason| anyhow::anyhow!("--allow-origin {reason}"))?;
                let (store, log) = common.into_options();
                (
                    Task::Serve(Config {
                        listen,
                        store,
                        origins,
                    }),
                    log,
                )
            }
            Subcommands::Replay(Offline { common }) => {
                let (store, log) = common.into_options();
                (Task::Replay(store), log)
            }
            Subcommands::Verify(Offline { common }) => {
                let (store, log) = common.into_options();
                (Task::Verify(store), log)
            }
            Subcommands::Bench(options) => (Task::Bench(options), "warn".to_owned()),
        };
        Ok((task, log))
    }
}

impl Common {
    fn into_options(self) -> (StoreOptions, String) {
        (
            StoreOptions::Mongo(MongoOptions {
                uri: self.uri,
                database: self.database,
            }),
            self.log,
        )
    }
}
