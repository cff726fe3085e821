//! The command line. Doc comments here are the text of `--help`; flags win over the environment.

mod serve;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::bench::BenchOptions;
use crate::credentials::{KeyArguments, TokenArguments, TokenOptions};
use crate::domain::{AsOf, EventId};
use crate::guard::CheckArguments;
use crate::offline::{AdoptArguments, AdoptOptions, ImportArguments, ImportOptions};
use crate::server::Config;
use crate::store::{EmbeddedOptions, MongoOptions, StoreOptions};
use crate::telemetry::{LogFormat, LogOptions};
use serve::Serve;

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
    /// Rebuild the view from the log and replace the live one with it. Safe beside running servers on
    /// MongoDB; a data folder must not be in use. With --until, copy the beginning of the log into another
    /// livelog instead.
    Replay(Replay),
    /// Compare the view with the log; exit with 1 if they differ. Safe beside running servers on MongoDB;
    /// a data folder must not be in use.
    Verify(Offline),
    /// Write the log to stdout, one JSON object a line. Safe beside running servers on MongoDB; a data folder
    /// must not be in use.
    Export(Offline),
    /// Load an exported log into an empty store, every seq, version, time and the epoch kept; or with --format plain
    /// documents, one CREATE each. No server may be running on it.
    Import(Import),
    /// Make a livelog of a collection that another program wrote to MongoDB, one CREATE a document, into an empty
    /// store; the collection is only read. With --follow, go on with its changes until the cut-over.
    Adopt(Adopt),
    /// Delete an event and erase its contents from the log, for good. Safe beside running servers on MongoDB;
    /// a data folder must not be in use.
    Redact(Redact),
    /// Put load on a running server and report what it did.
    Bench(BenchOptions),
    /// Print a token, for trying out: a server never signs one.
    Token(TokenArguments),
    /// API keys of services.
    Key(Key),
    /// Access files.
    Access(Access),
}

#[derive(Debug, Args)]
struct Key {
    #[command(subcommand)]
    command: KeyCommands,
}

#[derive(Debug, Subcommand)]
enum KeyCommands {
    /// Print a new API key, which nobody can find out again, and below it what the access file holds of it.
    New(KeyArguments),
}

#[derive(Debug, Args)]
struct Access {
    #[command(subcommand)]
    command: AccessCommands,
}

#[derive(Debug, Subcommand)]
enum AccessCommands {
    /// Say whether an access file is good, and what a role comes to: which events it sees, makes, changes and deletes.
    Check {
        #[command(flatten)]
        check: CheckArguments,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct Offline {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Import {
    #[command(flatten)]
    import: ImportArguments,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Adopt {
    #[command(flatten)]
    adopt: AdoptArguments,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Replay {
    /// Replay the log up to this seq or RFC 3339 time, e.g. `2026-01-31T12:00:00Z`, and leave the live view alone.
    #[arg(long, value_name = "SEQ|TIME", requires = "into", value_parser = AsOf::parse_text)]
    until: Option<AsOf>,
    /// Where to: a new folder, or with --mongodb a new database of the same MongoDB. It can be served, verified
    /// and exported like any other.
    #[arg(long, value_name = "FOLDER|DATABASE", requires = "until")]
    into: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Redact {
    /// The event's id.
    #[arg(long, value_name = "ID", value_parser = EventId::parse)]
    event: EventId,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Folder that holds the log and the view, for one process at a time.
    /// [env: LIVELOG_DATA=] [default: ./livelog-data]
    #[arg(long, value_name = "DIR", conflicts_with = "uri")]
    data: Option<PathBuf>,
    /// MongoDB replica set that holds the log and the view instead. [env: MONGODB_URI=]
    #[arg(long = "mongodb", value_name = "URI")]
    uri: Option<String>,
    /// Database of MongoDB; wins over one named in the URI. [env: LIVELOG_DATABASE=] [default: events_db]
    #[arg(long, value_name = "NAME", conflicts_with = "data")]
    database: Option<String>,
    /// What to log, as in `info,livelog=debug`.
    #[arg(
        long,
        env = "LIVELOG_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    log: String,
    /// How a line of the log is written: for people, or as one JSON object.
    #[arg(
        long,
        env = "LIVELOG_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    log_format: LogFormat,
}

/// What the command line asks for, validated.
#[derive(Debug)]
pub enum Task {
    /// Serve.
    Serve(Config),
    /// Rebuild the view.
    Replay(StoreOptions),
    /// Copy the log up to a seq or time into another store.
    Copy(StoreOptions, AsOf, StoreOptions),
    /// Erase an event.
    Redact(StoreOptions, EventId),
    /// Compare the view with the log.
    Verify(StoreOptions),
    /// Write the log to stdout.
    Export(StoreOptions),
    /// Load a log, or documents.
    Import(ImportOptions, StoreOptions),
    /// Move a collection in.
    Adopt(AdoptOptions, StoreOptions),
    /// Put load on a server.
    Bench(BenchOptions),
    /// Print a token.
    Token(TokenOptions),
    /// Print a new API key.
    NewApiKey(KeyArguments),
    /// Tell of an access file.
    CheckAccess(CheckArguments, StoreOptions),
}

impl Cli {
    /// Reads the words of a command line and the environment; a variable that is set to nothing is not set. Ends the
    /// process if they cannot be read.
    pub fn read(words: &[OsString]) -> Self {
        let matches = without_empty_variables(Self::command()).get_matches_from(words);
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The task, and what it logs.
    ///
    /// # Errors
    /// If a value cannot be used.
    pub fn into_task(self) -> anyhow::Result<(Task, LogOptions)> {
        let (task, log) = match self.command.unwrap_or(Subcommands::Serve(self.serve)) {
            Subcommands::Serve(serve) => serve.into_task()?,
            Subcommands::Replay(replay) => replay.into_task()?,
            Subcommands::Redact(Redact { event, common }) => {
                let (store, log) = common.into_options()?;
                (Task::Redact(store, event), log)
            }
            Subcommands::Verify(offline) => offline.into_task(Task::Verify)?,
            Subcommands::Export(offline) => offline.into_task(Task::Export)?,
            Subcommands::Import(Import { import, common }) => {
                let (store, log) = common.into_options()?;
                (Task::Import(import.into_options()?, store), log)
            }
            Subcommands::Adopt(Adopt { adopt, common }) => {
                let (store, log) = common.into_options()?;
                (Task::Adopt(adopt.into_options()?, store), log)
            }
            Subcommands::Bench(options) => (Task::Bench(options), quiet()),
            Subcommands::Token(token) => (Task::Token(token.into_options()?), quiet()),
            Subcommands::Key(Key {
                command: KeyCommands::New(key),
            }) => (Task::NewApiKey(key), quiet()),
            Subcommands::Access(Access {
                command: AccessCommands::Check { check, common },
            }) => {
                let (store, log) = common.into_options()?;
                (Task::CheckAccess(check, store), log)
            }
        };
        Ok((task, log))
    }
}

impl Offline {
    fn into_task(self, task: fn(StoreOptions) -> Task) -> anyhow::Result<(Task, LogOptions)> {
        let (store, log) = self.common.into_options()?;
        Ok((task(store), log))
    }
}

impl Replay {
    fn into_task(self) -> anyhow::Result<(Task, LogOptions)> {
        let (store, log) = self.common.into_options()?;
        let task = match self.until.zip(self.into) {
            None => Task::Replay(store),
            Some((until, into)) => {
                let into = store.elsewhere(&into);
                Task::Copy(store, until, into)
            }
        };
        Ok((task, log))
    }
}

impl Common {
    fn into_options(self) -> anyhow::Result<(StoreOptions, LogOptions)> {
        let log = LogOptions {
            directives: self.log,
            format: self.log_format,
        };
        if let Some(dir) = self.data {
            return Ok((embedded(dir), log));
        }
        let text = |name| variable(name).and_then(|value| value.into_string().ok());
        let database = self.database.or_else(|| text(LIVELOG_DATABASE));
        let store = match (self.uri.or_else(|| text(MONGODB_URI)), database) {
            (Some(uri), database) => StoreOptions::Mongo(MongoOptions { uri, database }),
            (None, Some(_)) => anyhow::bail!(
                "--database (or {LIVELOG_DATABASE}) names a database of MongoDB, and no MongoDB is named: \
                 add --mongodb URI, or leave it out"
            ),
            (None, None) => embedded(variable(LIVELOG_DATA).unwrap_or(DATA_DEFAULT.into()).into()),
        };
        Ok((store, log))
    }
}

// Read here and not by clap, which cannot tell `--data` beside `MONGODB_URI`, where the flag wins, from
// `--data` beside `--mongodb`, which is a mistake.
const MONGODB_URI: &str = "MONGODB_URI";
const LIVELOG_DATABASE: &str = "LIVELOG_DATABASE";
const LIVELOG_DATA: &str = "LIVELOG_DATA";

const DATA_DEFAULT: &str = "./livelog-data";

/// For a command whose output is figures.
fn quiet() -> LogOptions {
    LogOptions {
        directives: "warn".to_owned(),
        format: LogFormat::Text,
    }
}

fn embedded(dir: PathBuf) -> StoreOptions {
    StoreOptions::Embedded(EmbeddedOptions { dir })
}

fn without_empty_variables(command: Command) -> Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| match arg.get_env().is_some_and(is_empty) {
            true => arg.env(Resettable::Reset),
            false => arg,
        })
        .mut_subcommands(without_empty_variables)
}

/// A variable that is set to nothing is not set.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
