//! The log as a file: written from one store, loaded into another; or copied up to some moment.
//!
//! ```text
//! {"livelog":"log","format":2,"epoch":"…","head":3}
//! {"seq":1,"kind":"create","eventId":"a","version":1,"at":"…","data":{…}}
//! {"seq":2,"kind":"update","eventId":"a","version":2,"at":"…","before":{…},"patch":{"set":{…},"unset":[…]}}
//! {"seq":3,"kind":"delete","eventId":"a","version":3,"at":"…","before":{…}}
//! {"end":true,"changes":3,"digest":"sha256:…","lines":"sha256:…"}
//! ```
//!
//! `digest` is what `livelog verify` prints for this log. `lines` is over every byte before the last line,
//! so that `head -n -1 FILE | sha256sum` tells whether a file is whole without a livelog.
//!
//! Knows the log through [`Store`](crate::store::Store) alone, so any store's log goes into any store. Takes
//! a batch of memory, and a hundred bytes an event for the proof.

mod copy;
mod export;
mod import;
mod load;
mod ndjson;
mod source;

use std::io::{self, BufWriter};
use std::process::ExitCode;

use crate::domain::Moment;
use crate::store::{self, StoreOptions};

/// Bytes gathered before they are written to a pipe or file.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

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
    until: Moment,
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
