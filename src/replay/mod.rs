//! Rebuild the view from the log, and prove that it equals it.
//!
//! Both read the log from the beginning, in pages, and fold it into a ledger of
//! digests; neither cares which store it is. Both are safe beside running servers.

mod ledger;
mod reader;
mod rebuild;
mod verify;

use std::process::ExitCode;

pub(crate) use self::ledger::Ledger;
pub(crate) use self::reader::{Reader, progress};
use crate::store::{self, StoreOptions};

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
