//! Importing documents of another program from a file: plain JSON, or the Extended JSON of `mongoexport`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::adopt::intake::Intake;
use super::adopt::progress::ensure_fillable;
use super::adopt::{IntakeOptions, verify_written};
use super::bulk_loader::BulkLoader;
use super::json_documents::{JsonDocuments, JsonText, TextFault, TextPlace};
use crate::adoption::{GivenFields, Refusal, extended, plain};
use crate::limits;
use crate::store;
use crate::store::{MoveProgress, Store, StoreOptions};
use crate::value::{Document, ParseError, read};

/// What documents are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentFormat {
    /// Plain JSON: a `$` in a name is a `$`.
    Plain,
    /// MongoDB's Extended JSON.
    Extended,
}

/// Where to read from.
#[derive(Debug, Clone)]
pub enum Input {
    /// The process's stdin.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// Opens it, and reads its beginning.
    ///
    /// # Errors
    /// If there is no such file, or it cannot be read: a folder is found out by that.
    pub(super) fn open(&self) -> anyhow::Result<Box<dyn BufRead>> {
        let mut input: Box<dyn BufRead> = match self {
            Self::Stdin => Box::new(io::stdin().lock()),
            Self::File(path) => {
                let file = File::open(path);
                let file = file.with_context(|| format!("cannot open {}", path.display()))?;
                Box::new(BufReader::with_capacity(super::WRITE_BUFFER_BYTES, file))
            }
        };
        let begun = input.fill_buf().map(drop);
        begun.with_context(|| format!("cannot read {}", self.name()))?;
        Ok(input)
    }

    /// What people call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Whether it can be read more than once.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Stdin => false,
            Self::File(path) => path.is_file(),
        }
    }
}

/// Makes a livelog of documents, one CREATE each; prints reports. What can be read twice is looked at first.
///
/// # Errors
/// If a document is refused or cannot be read, with its line; or if the store is not empty. Says what was written.
pub async fn import_documents(
    input: &Input,
    format: DocumentFormat,
    options: &IntakeOptions,
    into: &StoreOptions,
) -> anyhow::Result<ExitCode> {
    let store = ensure_fillable(into).await;
    let imported = match options.is_dry_run {
        true => {
            let looked = look(input, format, options).await;
            IntakeOptions::rehearsed(looked, store)
        }
        false => {
            store?;
            move_in(input, format, options, into).await
        }
    };
    options.warn_of_unmet();
    imported.map(|()| ExitCode::SUCCESS)
}

/// Reads everything once, and says what it would become.
async fn look(
    input: &Input,
    format: DocumentFormat,
    options: &IntakeOptions,
) -> anyhow::Result<()> {
    let converter = options.converter();
    let mut looking = Intake::looking(&converter, options.on_refusal());
    let taken = take_all(input.open()?, format, &mut looking).await;
    looking.finish(taken).await?;
    print!("{}", looking.report);
    if options.is_dry_run {
        println!("would become {}", looking.fold);
    }
    Ok(())
}

async fn move_in(
    input: &Input,
    format: DocumentFormat,
    options: &IntakeOptions,
    into: &StoreOptions,
) -> anyhow::Result<()> {
    if input.is_lasting() {
        look(input, format, options).await?;
    }
    let documents = input.open()?;
    let store = store::open_to_fill(into).await?;
    let progress = MoveProgress::begun(&input.name(), None);
    let imported = fill(&store, documents, format, options, progress).await;
    store.close().await;
    let report = imported?;
    if !input.is_lasting() {
        print!("{}", report.report);
    }
    println!("imported {}; log and view hold what was read", report.meant);
    Ok(())
}

/// What was imported.
struct Imported {
    report: String,
    meant: String,
}

async fn fill(
    store: &Arc<dyn Store>,
    documents: Box<dyn BufRead>,
    format: DocumentFormat,
    options: &IntakeOptions,
    progress: MoveProgress,
) -> anyhow::Result<Imported> {
    let loader = BulkLoader::begin(&**store).await?;
    progress.write(&**store).await?;
    let converter = options.converter();
    let mut intake = Intake::filling(&converter, options.on_refusal(), loader);
    let taken = take_all(documents, format, &mut intake).await;
    intake.finish(taken).await?;
    let imported = Imported {
        report: intake.report.to_string(),
        meant: intake.fold.to_string(),
    };
    drop(intake);
    verify_written(store, &imported.meant).await?;
    progress.copied().write(&**store).await?;
    Ok(imported)
}

async fn take_all(
    documents: Box<dyn BufRead>,
    format: DocumentFormat,
    intake: &mut Intake<'_>,
) -> anyhow::Result<()> {
    let mut documents = JsonDocuments::new(documents);
    while let Some(found) = documents.next()? {
        match document(&found, format) {
            Err(Malformed { place, reason }) if !found.is_line => bail!(
                "{place}: {reason}. Where a malformed document ends is known if it has a line of its own: this one cannot be \
                 left out"
            ),
            Err(Malformed { place, reason }) => {
                let refused = Err(Refusal::whole(reason));
                intake
                    .take(&place.to_string(), found.bytes, refused)
                    .await?;
            }
            Ok(document) => {
                let place = found.place.to_string();
                intake.take(&place, found.bytes, document).await?;
            }
        }
    }
    Ok(())
}

/// What is no JSON, and where it ceases to be.
struct Malformed {
    place: TextPlace,
    reason: String,
}

/// The reason of an error alone: its place is counted from where the text that was read begins, and that is a part of a
/// larger one.
pub(super) fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// A document, or why it is refused; an error if it is no JSON.
fn document(
    found: &JsonText,
    format: DocumentFormat,
) -> Result<Result<GivenFields, Refusal>, Malformed> {
    let malformed = |place, reason| Err(Malformed { place, reason });
    match &found.text {
        Ok(text) => parse(text, format).or_else(|error| {
            let reason = without_place(&error);
            malformed(found.place.of(&error), reason)
        }),
        Err(TextFault::NotUtf8) => malformed(found.place, "it is not UTF-8".to_owned()),
        Err(TextFault::TooLong) => Ok(Err(Refusal::whole(format!(
            "it is longer than {} bytes",
            limits::IMPORT_LINE_BYTES_MAX
        )))),
    }
}

/// A document, or why it is refused; an error if it is no JSON.
fn parse(
    text: &str,
    format: DocumentFormat,
) -> Result<Result<GivenFields, Refusal>, serde_json::Error> {
    let document: Document = match read(text, "") {
        Ok(document) => document,
        Err(ParseError::Offence(invalid)) => return Ok(Err(invalid.into())),
        Err(ParseError::Json { error, .. }) => return Err(error),
    };
    Ok(Ok(match format {
        DocumentFormat::Plain => plain(document),
        DocumentFormat::Extended => extended(document),
    }))
}
