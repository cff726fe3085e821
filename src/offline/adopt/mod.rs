//! Moving in: a livelog of one CREATE a document, from a collection of another program; and following it from there.
//!
//! | step | reads | writes |
//! |---|---|---|
//! | survey | whether the store can be written, and is empty | nothing |
//! | position, if it is to be followed | where the source's changes are now | nothing |
//! | look | every document | nothing: what is refused ends it here |
//! | fill | every document, as of one moment unless it is followed | an empty store; and as a note that it is not full |
//! | verify | what was written | nothing: log, view and what was meant must be equal |
//! | follow | the changes after the position | events as they became; and how far, as a note |
//!
//! The log begins with the move: each CREATE is stamped with the time at which it was written, and its event has the
//! times of the source. So a read of the past never shows a document as it was not.

mod follow;
mod follower;
pub(super) mod intake;
pub(super) mod progress;
pub(super) mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::TryStreamExt;

use super::bulk_loader::BulkLoader;
use super::verify;
use crate::adoption::{Converter, Renames, counted, shown};
use crate::store;
use crate::store::{MoveProgress, Source, SourceDocument, SourceOptions, Store, StoreOptions};
use intake::{Intake, OnRefusal};

/// How documents of another program are taken in.
#[derive(Debug, Clone, Default)]
pub struct IntakeOptions {
    /// New names.
    pub renames: Arc<Renames>,
    /// Leave out what is refused.
    pub skips: bool,
    /// Look, and write nothing.
    pub is_dry_run: bool,
}

/// What to adopt, and how.
#[derive(Debug, Clone)]
pub struct AdoptOptions {
    /// The collection.
    pub source: SourceOptions,
    /// How.
    pub intake: IntakeOptions,
    /// Whether to go on with its changes.
    pub follow: Option<FollowOptions>,
}

/// When to stop following.
#[derive(Debug, Clone, Copy, Default)]
pub struct FollowOptions {
    /// Once nothing has changed for so long; else when told to.
    pub until_idle: Option<Duration>,
}

impl IntakeOptions {
    pub(super) fn converter(&self) -> Converter {
        Converter {
            renames: Arc::clone(&self.renames),
        }
    }

    pub(super) fn on_refusal(&self) -> OnRefusal {
        match self.skips {
            true => OnRefusal::GoOn,
            false => OnRefusal::Stop,
        }
    }

    /// Tells the options that did nothing, once everything was read.
    pub(super) fn warn_of_unmet(&self) {
        for option in self.renames.unmet() {
            let option = shown(option);
            eprintln!(
                "livelog: warning: {option} was met by no field: is it misspelt? A dot is a step inwards, \\. a dot in a name"
            );
        }
    }

    /// What a dry run found, once it looked at the documents and at the store: what is wrong with either is told.
    pub(super) fn rehearsed(
        looked: anyhow::Result<()>,
        store: anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match (looked, store) {
            (Err(looked), Err(store)) => bail!("{looked:#}. Besides, {store:#}"),
            (looked, store) => looked.and(store),
        }
    }
}

/// Makes a livelog of a collection, or goes on following one; prints reports.
///
/// # Errors
/// If a document is refused, the store is not empty, or either cannot be reached; says what was written.
pub async fn adopt(options: &AdoptOptions, into: &StoreOptions) -> anyhow::Result<ExitCode> {
    let source = store::open_source(&options.source).await?;
    let adopted = match options.intake.is_dry_run {
        true => rehearse(&*source, options, into).await,
        false => begin_or_go_on(&*source, options, into).await,
    };
    options.intake.warn_of_unmet();
    adopted.map(|()| ExitCode::SUCCESS)
}

async fn rehearse(
    source: &dyn Source,
    options: &AdoptOptions,
    into: &StoreOptions,
) -> anyhow::Result<()> {
    let store = progress_of(into, source, options).await;
    if let Ok(Some(_)) = store {
        println!(
            "{} was copied into this store: without --dry-run, following it goes on where it stopped",
            source.name()
        );
        return Ok(());
    }
    start(source, options).await?;
    IntakeOptions::rehearsed(look(source, options).await, store.map(drop))
}

async fn begin_or_go_on(
    source: &dyn Source,
    options: &AdoptOptions,
    into: &StoreOptions,
) -> anyhow::Result<()> {
    if let (Some(known), Some(until)) = (progress_of(into, source, options).await?, options.follow)
    {
        let store = store::open(into).await?;
        let followed = follow::follow(source, &store, options, known, until).await;
        store.close().await;
        return followed;
    }
    let start = start(source, options).await?;
    look(source, options).await?;
    if options.follow.is_some() {
        // It may be days until it ends.
        options.intake.warn_of_unmet();
    }
    let store = store::open_to_fill(into).await?;
    let adopted = move_in(source, &store, options, start).await;
    store.close().await;
    adopted
}

/// The position to follow from, if that is asked for.
async fn start(source: &dyn Source, options: &AdoptOptions) -> anyhow::Result<Option<String>> {
    if options.follow.is_none() {
        return Ok(None);
    }
    let position = source.position().await;
    position.map(Some).context("cannot follow the source")
}

/// How far the source was copied into this store before, if following it goes on from there. Refuses a store that can
/// neither be filled nor followed into.
async fn progress_of(
    into: &StoreOptions,
    source: &dyn Source,
    options: &AdoptOptions,
) -> anyhow::Result<Option<MoveProgress>> {
    let progress = progress::survey_progress(into, options.follow.is_some()).await?;
    if let Some(progress) = &progress {
        progress.ensure_of(source)?;
    }
    Ok(progress)
}

/// Reads everything once, and says what it would become.
async fn look(source: &dyn Source, options: &AdoptOptions) -> anyhow::Result<()> {
    let count = counted(source.count().await?, "document", "documents");
    println!("adopting {}: about {count}", source.name());
    let converter = options.intake.converter();
    let mut intake = Intake::looking(&converter, options.intake.on_refusal());
    let taken = take_all(source, true, &mut intake).await;
    intake.finish(taken).await?;
    print!("{}", intake.report);
    if options.intake.is_dry_run {
        println!("would become {}", intake.fold);
    }
    Ok(())
}

async fn move_in(
    source: &dyn Source,
    store: &Arc<dyn Store>,
    options: &AdoptOptions,
    start: Option<String>,
) -> anyhow::Result<()> {
    let loader = BulkLoader::begin(&**store).await?;
    let progress = MoveProgress::begun(source.name(), start);
    progress.write(&**store).await?;
    let meant = fill(source, options, loader).await?;
    verify_written(store, &meant).await?;
    let progress = progress.copied();
    progress.write(&**store).await?;
    println!("adopted {meant}; log and view hold what was read");
    match options.follow {
        Some(until) => follow::follow(source, store, options, progress, until).await,
        None => Ok(()),
    }
}

/// Fills the store; returns counts and digest of what it should hold.
async fn fill(
    source: &dyn Source,
    options: &AdoptOptions,
    loader: BulkLoader<'_>,
) -> anyhow::Result<String> {
    let converter = options.intake.converter();
    let mut intake = Intake::filling(&converter, options.intake.on_refusal(), loader);
    let is_one_moment = options.follow.is_none();
    let taken = take_all(source, is_one_moment, &mut intake).await;
    intake.finish(taken).await?;
    Ok(intake.fold.to_string())
}

/// Reads what was written again, and compares it with what was meant.
pub(super) async fn verify_written(store: &Arc<dyn Store>, meant: &str) -> anyhow::Result<()> {
    let found = verify::verify(store).await?;
    ensure!(
        found.is_clean() && found.summary() == Some(meant),
        "what was written is not what was read, {meant}: {found}"
    );
    Ok(())
}

async fn take_all(
    source: &dyn Source,
    is_one_moment: bool,
    intake: &mut Intake<'_>,
) -> anyhow::Result<()> {
    let mut pages = source.documents(is_one_moment).await?;
    let mut was_later = false;
    while let Some(page) = pages.try_next().await? {
        if page.is_later && is_one_moment && !was_later {
            was_later = true;
            eprintln!(
                "the source keeps no snapshot, or none for so long: documents from here on may be as of later. Let nothing \
                 write to it meanwhile, or use --follow"
            );
        }
        for document in page.documents {
            let place = place(&document, intake.report.documents);
            let bytes = document.bytes as u64;
            intake.take(&place, bytes, Ok(document.fields)).await?;
        }
    }
    Ok(())
}

/// By what a document is found in its source.
fn place(document: &SourceDocument, before: u64) -> String {
    let id = document.fields.iter().find(|(name, _)| name == "_id");
    let id = id.and_then(|(_, id)| Converter::id(id).ok());
    match id {
        Some(id) => format!("_id {id}"),
        None => format!("document {}", before + 1),
    }
}
