//! Importing an exported log into an empty store.
//!
//! The store adopts the log's epoch last, once everything is loaded and its digests are checked: positions of the
//! original are valid only in a complete log.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

use anyhow::Context;
use indicatif::ProgressBar;

use super::bulk_loader::BulkLoader;
use super::export_reader::ExportReader;
use super::log_reader::progress;
use crate::store::{MoveProgress, Store};

/// Opens an input, which must begin as an exported log does.
pub(super) fn open<R: BufRead>(input: R) -> anyhow::Result<ExportReader<R>> {
    ExportReader::open(input).context("nothing was loaded")
}

pub(super) async fn import(
    store: &dyn Store,
    export: &mut ExportReader<impl BufRead>,
    source: &str,
) -> anyhow::Result<()> {
    let mut loader = BulkLoader::begin(store).await?;
    let progress = MoveProgress::begun(source, None);
    progress.write(store).await?;
    let loaded = load_all(&mut loader, export).await;
    loaded.with_context(|| loader.progress(export.header.head))?;
    store
        .adopt(export.header.epoch, loader.seq)
        .await
        .context("the changes are there, and the log's epoch is not")
        .with_context(|| loader.progress(export.header.head))?;
    Ok(progress.copied().write(store).await?)
}

async fn load_all(
    loader: &mut BulkLoader<'_>,
    export: &mut ExportReader<impl BufRead>,
) -> anyhow::Result<()> {
    let bar = match stdin_is_a_pipe() {
        // The program at the other end may show a bar of its own on the same terminal.
        true => ProgressBar::hidden(),
        false => progress(export.header.head),
    };
    loop {
        let changes = export.batch()?;
        if changes.is_empty() {
            break;
        }
        loader.append(changes).await?;
        bar.set_position(loader.seq.get());
    }
    bar.finish_and_clear();
    Ok(())
}

fn stdin_is_a_pipe() -> bool {
    let stdin = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let kind = stdin.and_then(|stdin| stdin.metadata());
    kind.is_ok_and(|kind| kind.file_type().is_fifo())
}
