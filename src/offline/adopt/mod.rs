//! Moving in: a livelog of one CREATE a document, from a collection of another program; and following it from there.
//!
//! | step | reads | writes |
//! |---|---|---|
//! | position, if it is to be followed | where the source's changes are now | nothing |
//! | look | every document | nothing: what is refused ends it here |
//! | fill | every document, as of one moment unless it is followed | an empty store |
//! | verify | what was written | nothing: log, view and what was meant must be equal |
//! | follow | the changes after the position | events as they became; and how far, as a note |
//!
//! The log begins with the move: each CREATE is stamped with the time at which it was written, and its event has the
//! times of the source. So a read of the past never shows a document as it was not.

mod follow;
mod follower;
pub(super) mod intake;
pub(super) mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::TryStreamExt;

use super::bulk_loader::BulkLoader;
use super::verify;
use crate::adoption::{Converter, Renames};
use crate::domain::Seq;
use crate::store;
use crate::store::{Source, SourceDocument, SourceOptions, Store, StoreOptions};
use follow::FollowProgress;
use intake::{Intake, OnRefusal};

/// How documents of another program are taken in.
#[derive(Debug, Clone, Default)]
pub struct IntakeOptions {
    /// New names.
    pub renames: Renames,
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
            renames: self.renames.clone(),
        }
    }

    pub(super) fn on_refusal(&self) -> OnRefusal {
        match self.skips {
            true => OnRefusal::GoOn,
            false => OnRefusal::Stop,
        }
    }

    /// What there is to say if documents are refused, and are not to be left out.
    pub(super) fn ensure_taken(&self, refused: u64) -> anyhow::Result<()> {
        ensure!(
            refused == 0 || self.skips,
            "{refused} documents cannot be taken as they are, so nothing was written. Mend them, give names to what \
             lacks one (--rename PATH=NAME), leave fields out (--drop PATH), or leave out the documents \
             (--skip-refused)"
        );
        Ok(())
    }
}

/// Makes a livelog of a collection, or goes on following one; prints reports.
///
/// # Errors
/// If a document is refused, the store is not empty, or either cannot be reached; says what was written.
pub async fn adopt(options: &AdoptOptions, into: &StoreOptions) -> anyhow::Result<ExitCode> {
    let source = store::open_source(&options.source).await?;
    let known = progress_of(into, options).await?;
    if let (Some(known), Some(until)) = (known, options.follow) {
        known.ensure_of(&*source)?;
        let store = store::open(into).await?;
        let followed = follow::follow(&*source, &store, options, known, until).await;
        store.close().await;
        return followed.map(|()| ExitCode::SUCCESS);
    }
    let start = match options.follow {
        Some(_) => Some(
            source
                .position()
                .await
                .context("cannot follow the source")?,
        ),
        None => None,
    };
    look(&*source, options).await?;
    if options.intake.is_dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let store = store::open(into).await?;
    let adopted = move_in(&*source, &store, options, start).await;
    store.close().await;
    adopted.map(|()| ExitCode::SUCCESS)
}

/// How far the source was followed into this store before, if it was. Refuses a store that holds anything else.
async fn progress_of(
    into: &StoreOptions,
    options: &AdoptOptions,
) -> anyhow::Result<Option<FollowProgress>> {
    if options.intake.is_dry_run {
        return Ok(None);
    }
    // One that cannot be read, or is not there yet, is told of when it is opened to be written.
    let Ok(store) = store::open_unwritten(into, false).await else {
        return Ok(None);
    };
    let (head, progress) = (store.head().await, FollowProgress::read(&*store).await);
    store.close().await;
    match (progress?, head?) {
        (Some(progress), _) if options.follow.is_some() => Ok(Some(progress)),
        (_, Seq::ZERO) => Ok(None),
        (Some(_), head) => bail!(
            "the store is not empty: its log ends at {head}. What was adopted there goes on with --follow"
        ),
        (None, head) => {
            bail!("the store is not empty: its log ends at {head}. Name another folder or database")
        }
    }
}

/// Reads everything once, and says what it would become.
async fn look(source: &dyn Source, options: &AdoptOptions) -> anyhow::Result<()> {
    let count = source.count().await?;
    println!("adopting {}: about {count} documents", source.name());
    let converter = options.intake.converter();
    let mut intake = Intake::looking(&converter);
    take_all(source, true, &mut intake).await?;
    print!("{}", intake.report);
    if options.intake.is_dry_run {
        println!("would become {}", intake.fold);
    }
    options.intake.ensure_taken(intake.report.refused)
}

async fn move_in(
    source: &dyn Source,
    store: &Arc<dyn Store>,
    options: &AdoptOptions,
    start: Option<String>,
) -> anyhow::Result<()> {
    let loader = BulkLoader::begin(&**store).await?;
    let progress = start.map(|position| FollowProgress::begun(source, position));
    if let Some(progress) = &progress {
        progress.write(&**store).await?;
    }
    let meant = fill(source, options, loader).await?;
    verify_written(store, &meant).await?;
    println!("adopted {meant}; log and view hold what was read");
    if let (Some(progress), Some(until)) = (progress, options.follow) {
        let progress = progress.copied();
        progress.write(&**store).await?;
        follow::follow(source, store, options, progress, until).await?;
    }
    Ok(())
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
    let taken = match take_all(source, is_one_moment, &mut intake).await {
        Ok(()) => intake.finish().await,
        failed => failed,
    };
    taken.with_context(|| intake.progress())?;
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
            intake.take(&place, Ok(document)).await?;
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
