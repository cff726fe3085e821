//! Work on a log beside the server, each a subcommand: rebuild the view, verify it, export the log, import it, copy it
//! up to some moment, redact an event.
//!
//! Knows the log through [`Store`](crate::store::Store) alone, so each works on any store. All but `redact` read the
//! log from the beginning, in pages, and fold it into a ledger of digests. Takes a batch of memory, and a hundred bytes
//! an event for the proof.

mod bulk_append;
mod copy;
mod export;
mod export_reader;
mod fold_digest;
mod import;
mod log_reader;
mod ndjson;
mod rebuild;
mod redact;
mod verify;

use std::io::{self, BufWriter};
use std::process::ExitCode;

use crate::domain::AsOf;
use crate::store::{self, StoreOptions};

pub use self::redact::redact;

/// Bytes gathered before they are written to a pipe or file.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Rebuilds the view and swaps it in; prints counts and a digest.
///
/// # Errors
/// If the store cannot be reached, or the log cannot be read. The live view is as it was.
pub async fn replay(options: &StoreOptions) -> anyhow::Result<ExitCode> {
    let store = store::open_existing(options).await?;
    let ledger = rebuild::rebuild(&store).await?;
    println!("replayed {ledger}");
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Compares the view with the log; prints the differences, then counts and a digest.
///
/// # Errors
/// If the store cannot be reached.
pub async fn verify(options: &StoreOptions) -> anyhow::Result<ExitCode> {
    let store = store::open_unwritten(options, true).await?;
    let report = verify::verify(&store).await?;
    println!("{report}");
    store.close().await;
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// Writes the log, as it is now, to stdout; prints counts and a digest to stderr.
///
/// # Errors
/// If the log cannot be read to its end or contradicts itself, or stdout takes no more. What was written
/// lacks its last line then, by which an import notices.
pub async fn export(options: &StoreOptions) -> anyhow::Result<ExitCode> {
    let store = store::open_unwritten(options, false).await?;
    // Waiting for stdout blocks this thread, which is the main one: no worker of the runtime.
    let output = BufWriter::with_capacity(WRITE_BUFFER_BYTES, io::stdout().lock());
    let exported = export::export(&store, output).await;
    store.close().await;
    eprintln!("exported {}", exported?);
    Ok(ExitCode::SUCCESS)
}

/// Loads a log from stdin into an empty store; prints counts and a digest.
///
/// # Errors
/// If the store is not empty, or the input is not a whole and faithful export; says what was loaded.
pub async fn import(options: &StoreOptions) -> anyhow::Result<ExitCode> {
    // Before the store is made: an input that is none leaves nothing.
    let mut source = import::source(io::stdin().lock())?;
    let store = store::open(options).await?;
    let imported = import::import(&*store, &mut source).await;
    store.close().await;
    imported?;
    println!("imported {}", source.ledger);
    Ok(ExitCode::SUCCESS)
}

/// Copies the log up to a moment into an empty store, and with it the view as it was; prints counts and a
/// digest.
///
/// # Errors
/// If the log does not reach so far, or the target is not empty.
pub async fn copy(
    options: &StoreOptions,
    until: AsOf,
    into: &StoreOptions,
) -> anyhow::Result<ExitCode> {
    let store = store::open_unwritten(options, false).await?;
    // Before the target is made: what cannot be copied leaves nothing.
    let until = copy::place_of(&*store, until).await?;
    let target = store::open(into).await?;
    let copied = copy::copy(&store, until, &*target).await;
    target.close().await;
    store.close().await;
    println!("replayed {}", copied?);
    Ok(ExitCode::SUCCESS)
}
