//! The subcommands that work on a store without a server.
//!
//! | subcommand | does | writes | beside servers on MongoDB |
//! |---|---|---|---|
//! | `replay` | rebuilds the view | the view | yes: writers wait while the last changes are applied and the view is swapped |
//! | `replay --until` | copies the log up to a seq or time | an empty store | yes, beside servers of the store that is read |
//! | `verify` | compares the view with the log | nothing | yes |
//! | `export` | writes the log to stdout | nothing | yes |
//! | `import` | loads an export, or documents of another program | an empty store | no: nothing else may write to it |
//! | `adopt` | makes a livelog of another program's collection | an empty store | while it follows; not while it fills the store |
//! | `redact` | deletes an event and erases its changes | the log | yes: servers drop what they have cached |
//!
//! A data folder is locked by its server, so on one none of them runs beside it.
//!
//! Knows the log through [`Store`] alone, so each works on any store. All but `redact` read the
//! log from the beginning, in pages, and fold it into digests: a page of memory, and a hundred bytes an event.

mod adopt;
mod arguments;
mod bulk_loader;
mod copy;
mod export;
mod export_reader;
mod fold_digest;
mod import;
mod import_documents;
mod json_documents;
mod log_reader;
mod ndjson;
mod rebuild;
mod redact;
mod verify;

use std::io::{self, BufWriter};
use std::process::ExitCode;

use anyhow::bail;

use crate::domain::{AsOf, Event, EventId};
use crate::limits;
use crate::store::{self, Store, StoreOptions};

pub use self::adopt::{AdoptOptions, FollowOptions, IntakeOptions, adopt};
pub use self::arguments::{AdoptArguments, ImportArguments, ImportOptions};
pub use self::import_documents::{DocumentFormat, Input, import_documents};
pub use self::redact::redact;

/// Bytes gathered before they are written to a pipe or file.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Rebuilds the view and swaps it in; prints counts and a digest.
///
/// # Errors
/// If the store cannot be reached, or the log cannot be read. Then the view is unchanged.
pub async fn replay(options: &StoreOptions) -> anyhow::Result<ExitCode> {
    let store = store::open_existing(options).await?;
    let fold = rebuild::rebuild(&store).await?;
    println!("replayed {fold}");
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// An event as it is now, if there is one.
///
/// # Errors
/// If the store cannot be reached.
pub async fn event(options: &StoreOptions, id: &EventId) -> anyhow::Result<Option<Event>> {
    let store = store::open_existing(options).await?;
    let loaded = store
        .load(std::slice::from_ref(id), limits::EVENT_BYTES_MAX)
        .await;
    store.close().await;
    Ok(loaded?.events.into_iter().next())
}

/// Compares the view with the log; prints the differences, then counts and a digest. Warns of a store that was filled in
/// part only: its view may well equal its log.
///
/// # Errors
/// If the store cannot be reached.
pub async fn verify(options: &StoreOptions) -> anyhow::Result<ExitCode> {
    let store = store::open_unwritten(options, true).await?;
    let report = verify::verify(&store).await?;
    println!("{report}");
    let is_whole = warn_if_cut_off(&*store, options).await;
    store.close().await;
    Ok(match report.is_clean() && is_whole? {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

/// Writes the log, as it is now, to stdout; prints counts and a digest to stderr. Warns of a store that was filled in part
/// only: the export is as complete as any, of that part.
///
/// # Errors
/// If the log cannot be read to its end or contradicts itself, or stdout cannot be written to. Then the last line is
/// missing, so an import refuses the rest.
pub async fn export(options: &StoreOptions) -> anyhow::Result<ExitCode> {
    let store = store::open_unwritten(options, false).await?;
    // Writing to stdout blocks: this is the main thread, not one of the runtime's workers.
    let output = BufWriter::with_capacity(WRITE_BUFFER_BYTES, io::stdout().lock());
    let exported = export::export(&store, output).await;
    let is_whole = warn_if_cut_off(&*store, options).await;
    store.close().await;
    eprintln!("exported {}", exported?);
    is_whole?;
    Ok(ExitCode::SUCCESS)
}

/// Loads a log into an empty store; prints counts and a digest.
///
/// # Errors
/// If the store is not empty, or the input is not a complete and unaltered export; says how much was loaded.
pub async fn import(input: &Input, options: &StoreOptions) -> anyhow::Result<ExitCode> {
    // Before the store is created, so that an input that is no export leaves nothing behind.
    let mut export = import::open(input.open()?)?;
    let store = store::open_to_fill(options).await?;
    let imported = import::import(&*store, &mut export, &input.name()).await;
    store.close().await;
    imported?;
    println!("imported {}", export.fold);
    Ok(ExitCode::SUCCESS)
}

/// Copies the log up to a seq or time into an empty store, and so the view as of then; prints counts and a digest.
///
/// # Errors
/// If the log ends before, or the target is not empty.
pub async fn copy(
    options: &StoreOptions,
    until: AsOf,
    into: &StoreOptions,
) -> anyhow::Result<ExitCode> {
    let store = store::open_unwritten(options, false).await?;
    // A copy of a part would pass for the whole.
    if let Some(told) = store::cut_off(&*store, options).await? {
        bail!(told);
    }
    // Before the target is created, so that a seq beyond the head leaves nothing behind.
    let until = copy::seq_of(&*store, until).await?;
    let target = store::open_to_fill(into).await?;
    let copied = copy::copy(&store, until, &*target).await;
    target.close().await;
    store.close().await;
    println!("replayed {}", copied?);
    Ok(ExitCode::SUCCESS)
}

/// Whether the store was filled to its end, if it was filled; else says that it was not.
async fn warn_if_cut_off(store: &dyn Store, options: &StoreOptions) -> anyhow::Result<bool> {
    let told = store::cut_off(store, options).await?;
    if let Some(told) = &told {
        eprintln!("livelog: warning: {told}");
    }
    Ok(told.is_none())
}
