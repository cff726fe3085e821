//! Importing documents of another program from a file: plain JSON, or the Extended JSON of `mongoexport`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::adopt::intake::Intake;
use super::adopt::{IntakeOptions, verify_written};
use super::bulk_loader::BulkLoader;
use super::json_documents::{JsonDocuments, JsonText};
use crate::adoption::{GivenFields, Refusal, extended, plain};
use crate::limits;
use crate::store;
use crate::store::{SourceDocument, Store, StoreOptions};
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
    /// Opens it.
    ///
    /// # Errors
    /// If there is no such file.
    pub(super) fn open(&self) -> anyhow::Result<Box<dyn BufRead>> {
        match self {
            Self::Stdin => Ok(Box::new(io::stdin().lock())),
            Self::File(path) => {
                let file = File::open(path);
                let file = file.with_context(|| format!("cannot open {}", path.display()))?;
                Ok(Box::new(BufReader::with_capacity(
                    super::WRITE_BUFFER_BYTES,
                    file,
                )))
            }
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
    let converter = options.converter();
    if input.is_lasting() || options.is_dry_run {
        let mut looking = Intake::looking(&converter);
        take_all(input.open()?, format, &mut looking)
            .await
            .context("nothing was written")?;
        print!("{}", looking.report);
        if options.is_dry_run {
            println!("would become {}", looking.fold);
        }
        options.ensure_taken(looking.report.refused)?;
    }
    if options.is_dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let documents = input.open()?;
    let store = store::open(into).await?;
    let imported = fill(&store, documents, format, options).await;
    store.close().await;
    let report = imported?;
    if !input.is_lasting() {
        print!("{}", report.report);
    }
    println!("imported {}; log and view hold what was read", report.meant);
    Ok(ExitCode::SUCCESS)
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
) -> anyhow::Result<Imported> {
    let loader = BulkLoader::begin(&**store).await?;
    let converter = options.converter();
    let mut intake = Intake::filling(&converter, options.on_refusal(), loader);
    let taken = match take_all(documents, format, &mut intake).await {
        Ok(()) => intake.finish().await,
        failed => failed,
    };
    taken.with_context(|| intake.progress())?;
    let imported = Imported {
        report: intake.report.to_string(),
        meant: intake.fold.to_string(),
    };
    drop(intake);
    verify_written(store, &imported.meant).await?;
    Ok(imported)
}

async fn take_all(
    documents: Box<dyn BufRead>,
    format: DocumentFormat,
    intake: &mut Intake<'_>,
) -> anyhow::Result<()> {
    let mut documents = JsonDocuments::new(documents);
    while let Some(JsonText { line, text }) = documents.next()? {
        let place = format!("line {line}");
        let document = match text {
            Some(text) => match parse(&text, format) {
                Ok(document) => document,
                Err(error) => bail!("{place}: {error}"),
            },
            None => Err(Refusal::whole(format!(
                "it is longer than {} bytes",
                limits::IMPORT_LINE_BYTES_MAX
            ))),
        };
        intake.take(&place, document).await?;
    }
    Ok(())
}

/// A document, or why it is refused; an error if it is no JSON.
fn parse(
    text: &str,
    format: DocumentFormat,
) -> Result<Result<SourceDocument, Refusal>, serde_json::Error> {
    let document: Document = match read(text, "") {
        Ok(document) => document,
        Err(ParseError::Offence(invalid)) => return Ok(Err(invalid.into())),
        Err(ParseError::Json { error, .. }) => return Err(error),
    };
    let fields: Result<GivenFields, Refusal> = match format {
        DocumentFormat::Plain => Ok(plain(document)),
        DocumentFormat::Extended => extended(document).map_err(Refusal::from),
    };
    let bytes = text.len();
    Ok(fields.map(|fields| SourceDocument { fields, bytes }))
}
