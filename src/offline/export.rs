//! Exporting the log as lines of JSON (`ndjson`).

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::fold_digest::FoldDigest;
use super::log_reader::LogReader;
use super::ndjson::{ChangeLine, EndLine, HeaderLine};
use crate::domain::Seq;
use crate::store::Store;
use crate::value::hex;

/// Writes the log up to the current head; changes appended meanwhile are left out.
pub(super) async fn export(
    store: &Arc<dyn Store>,
    output: impl Write,
) -> anyhow::Result<FoldDigest> {
    let mut reader = LogReader::open(store).await?;
    let head = store.head().await?;
    let mut lines = LineWriter::new(output);
    let mut fold = FoldDigest::default();
    write(store, head, &mut reader, &mut lines, &mut fold)
        .await
        .with_context(|| format!("stopped after change {} of {head}", reader.seq))?;
    reader.bar.finish_and_clear();
    Ok(fold)
}

async fn write(
    store: &Arc<dyn Store>,
    head: Seq,
    reader: &mut LogReader,
    lines: &mut LineWriter<impl Write>,
    fold: &mut FoldDigest,
) -> anyhow::Result<()> {
    lines.write(&HeaderLine::new(store.epoch(), head))?;
    while reader.seq < head {
        let page = reader.page(Some(head)).await?;
        ensure!(!page.is_empty(), "change {} is missing", reader.seq.next());
        for change in page {
            // A contradiction would make every import fail, so the export fails first.
            fold.apply(&change)?;
            lines.write(&ChangeLine::of(&change))?;
        }
    }
    lines.end(head, fold)
}

/// Writes lines, and digests them.
struct LineWriter<W> {
    output: W,
    digest: Sha256,
    buffer: Vec<u8>,
}

impl<W: Write> LineWriter<W> {
    fn new(output: W) -> Self {
        Self {
            output,
            digest: Sha256::new(),
            buffer: Vec::new(),
        }
    }

    fn write(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, line)?;
        self.buffer.push(b'\n');
        self.digest.update(&self.buffer);
        self.output
            .write_all(&self.buffer)
            .map_err(|error| write_error(&error))
    }

    fn end(&mut self, head: Seq, fold: &FoldDigest) -> anyhow::Result<()> {
        let lines = hex(&self.digest.finalize_reset());
        self.write(&EndLine::new(head.get(), &fold.digest(), &lines))?;
        self.output.flush().map_err(|error| write_error(&error))
    }
}

fn write_error(error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => anyhow!("whoever read the export stopped reading"),
        _ => anyhow!("cannot write the export: {error}"),
    }
}
