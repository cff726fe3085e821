//! What the command line says of `adopt` and `import`, beside the store. Doc comments here are the text of `--help`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use clap::{Args, ValueEnum};

use super::adopt::{AdoptOptions, FollowOptions, IntakeOptions};
use super::import_documents::{DocumentFormat, Input};
use crate::adoption::Renames;
use crate::store::SourceOptions;

/// How documents of another program are taken in.
#[derive(Debug, Args)]
struct IntakeArguments {
    /// Read and report only, on the documents and on the store that they are to go to: nothing is written.
    #[arg(long)]
    dry_run: bool,
    /// Give the field at a path another name, where it is: `meta.$type=type`. In a path a dot is a step inwards; `\.`,
    /// `\=` and `\\` are a dot, = and backslash in a name, `\u{1b}` any character. Indexes of arrays are left out. May
    /// be given more than once.
    #[arg(long = "rename", value_name = "PATH=NAME")]
    renames: Vec<String>,
    /// Leave out the field at a path, written as for --rename: `a.b` is b in a, `a\.b` has a dot in its name. May be
    /// given more than once.
    #[arg(long = "drop", value_name = "PATH")]
    drops: Vec<String>,
    /// Leave out documents that cannot be taken, instead of refusing to begin.
    #[arg(long)]
    skip_refused: bool,
}

impl IntakeArguments {
    fn into_options(self) -> anyhow::Result<IntakeOptions> {
        let mut renames = Renames::default();
        for text in &self.renames {
            renames
                .add(text)
                .map_err(|reason| anyhow!("--rename {reason}"))?;
        }
        for path in &self.drops {
            renames
                .leave_out(path)
                .map_err(|reason| anyhow!("--drop {reason}"))?;
        }
        Ok(IntakeOptions {
            renames: Arc::new(renames),
            skips: self.skip_refused,
            is_dry_run: self.dry_run,
        })
    }

    fn is_given(&self) -> bool {
        let are_given = !self.renames.is_empty() || !self.drops.is_empty();
        self.dry_run || self.skip_refused || are_given
    }
}

/// What to adopt.
#[derive(Debug, Args)]
pub struct AdoptArguments {
    /// MongoDB that holds the collection. It is only read.
    #[arg(long, value_name = "URI")]
    from: String,
    /// The collection.
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// Its database; wins over one named in the URI. [default: test]
    #[arg(long, value_name = "NAME")]
    source_database: Option<String>,
    /// Go on with what changes in the collection, until Ctrl-C; run again, go on from there. Needs a replica set there.
    #[arg(long)]
    follow: bool,
    /// Stop following once nothing has changed for so many seconds.
    #[arg(long, value_name = "SECONDS", requires = "follow")]
    until_idle: Option<u32>,
    #[command(flatten)]
    intake: IntakeArguments,
}

impl AdoptArguments {
    /// What is asked for.
    ///
    /// # Errors
    /// If a value cannot be used.
    pub fn into_options(self) -> anyhow::Result<AdoptOptions> {
        let seconds = self.until_idle.map(u64::from);
        let follow = FollowOptions {
            until_idle: seconds.map(Duration::from_secs),
        };
        Ok(AdoptOptions {
            source: SourceOptions {
                uri: self.from,
                database: self.source_database,
                collection: self.collection,
            },
            intake: self.intake.into_options()?,
            follow: self.follow.then_some(follow),
        })
    }
}

/// What to import.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The file; `-` is stdin.
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// What is in it: what `livelog export` wrote; plain JSON documents, one a line; or what `mongoexport` wrote.
    #[arg(long, value_name = "FORMAT", default_value = "livelog")]
    format: ImportFormat,
    #[command(flatten)]
    intake: IntakeArguments,
}

/// What an imported file is written in.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ImportFormat {
    Livelog,
    Ndjson,
    Mongoexport,
}

/// What is asked for: a log, or documents.
#[derive(Debug)]
pub enum ImportOptions {
    /// An exported log.
    Log(Input),
    /// Documents of another program.
    Documents(Input, DocumentFormat, IntakeOptions),
}

impl ImportArguments {
    /// What is asked for.
    ///
    /// # Errors
    /// If a value cannot be used, or does not go with the format.
    pub fn into_options(self) -> anyhow::Result<ImportOptions> {
        let input = match self.file == Path::new("-") {
            true => Input::Stdin,
            false => Input::File(self.file),
        };
        let format = match self.format {
            ImportFormat::Ndjson => DocumentFormat::Plain,
            ImportFormat::Mongoexport => DocumentFormat::Extended,
            ImportFormat::Livelog => {
                ensure!(
                    !self.intake.is_given(),
                    "--dry-run, --rename, --drop and --skip-refused are for documents of other programs: add \
                     --format ndjson or --format mongoexport"
                );
                return Ok(ImportOptions::Log(input));
            }
        };
        let intake = self.intake.into_options()?;
        Ok(ImportOptions::Documents(input, format, intake))
    }
}
