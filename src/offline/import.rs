//! Loading an exported log into an empty store.
//!
//! The store takes the log's identity last, when everything is in and proven: of a log loaded by half,
//! no position of the original is good.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

use anyhow::Context;
use indicatif::ProgressBar;

use super::bulk_append::BulkLoader;
use super::export_reader::ExportReader;
use super::log_reader::progress;
use crate::store::Store;

/// An input that begins as an exported log does.
pub(super) fn source<R: BufRead>(input: R) -> anyhow::Result<ExportReader<R>> {
    ExportReader::open(input).context("nothing was loaded")
}

pub(super) async fn import(
    store: &dyn Store,
    source: &mut ExportReader<impl BufRead>,
) -> anyhow::Result<()> {
    let mut load = BulkLoader::begin(store).await?;
    let loaded = load_all(&mut load, source).await;
    loaded.with_context(|| load.remains(source.header.head))?;
    store
        .adopt(source.header.epoch, load.seq)
        .await
        .context("the changes are there, and the log's epoch is not")
        .with_context(|| load.remains(source.header.head))
}

async fn load_all(
    load: &mut BulkLoader<'_>,
    source: &mut ExportReader<impl BufRead>,
) -> anyhow::Result<()> {
    let bar = match stdin_is_a_pipe() {
        // The program at its other end may show one of its own on the same terminal.
        true => ProgressBar::hidden(),
        false => progress(source.header.head),
    };
    loop {
        let changes = source.batch()?;
        if changes.is_empty() {
            break;
        }
        load.append(changes).await?;
        bar.set_position(load.seq.get());
    }
    bar.finish_and_clear();
    Ok(())
}

fn stdin_is_a_pipe() -> bool {
    let stdin = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let kind = stdin.and_then(|stdin| stdin.metadata());
    kind.is_ok_and(|kind| kind.file_type().is_fifo())
}
