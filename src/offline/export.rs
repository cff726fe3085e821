//! Writing the log down.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::export_reader::hex;
use super::fold_digest::FoldDigest;
use super::log_reader::LogReader;
use super::ndjson::{ChangeLine, EndLine, HeaderLine};
use crate::domain::Seq;
use crate::store::Store;

/// Writes the log up to the head that stands now; changes that come meanwhile are left for another time.
pub(super) async fn export(
    store: &Arc<dyn Store>,
    output: impl Write,
) -> anyhow::Result<FoldDigest> {
    let mut reader = LogReader::open(store).await?;
    let head = store.head().await?;
    let mut lines = LineWriter::new(output);
    let mut ledger = FoldDigest::default();
    write(store, head, &mut reader, &mut lines, &mut ledger)
        .await
        .with_context(|| format!("stopped after change {} of {head}", reader.seq))?;
    reader.bar.finish_and_clear();
    Ok(ledger)
}

async fn write(
    store: &Arc<dyn Store>,
    head: Seq,
    reader: &mut LogReader,
    lines: &mut LineWriter<impl Write>,
    ledger: &mut FoldDigest,
) -> anyhow::Result<()> {
    lines.write(&HeaderLine::new(store.epoch(), head))?;
    while reader.seq < head {
        let page = reader.page(Some(head)).await?;
        ensure!(!page.is_empty(), "change {} is missing", reader.seq.next());
        for change in page {
            // What contradicts itself here could not be loaded anywhere.
            ledger.apply(&change)?;
            lines.write(&ChangeLine::of(&change))?;
        }
    }
    lines.end(head, ledger)
}

/// Lines on their way out, and the digest over them.
struct LineWriter<W> {
    output: W,
    sum: Sha256,
    buffer: Vec<u8>,
}

impl<W: Write> LineWriter<W> {
    fn new(output: W) -> Self {
        Self {
            output,
            sum: Sha256::new(),
            buffer: Vec::new(),
        }
    }

    fn write(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, line)?;
        self.buffer.push(b'\n');
        self.sum.update(&self.buffer);
        self.output
            .write_all(&self.buffer)
            .map_err(|error| unwritten(&error))
    }

    fn end(&mut self, head: Seq, ledger: &FoldDigest) -> anyhow::Result<()> {
        let lines = hex(&self.sum.finalize_reset());
        self.write(&EndLine::new(head.get(), &ledger.digest(), &lines))?;
        self.output.flush().map_err(|error| unwritten(&error))
    }
}

fn unwritten(error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => anyhow!("whoever read the export stopped reading"),
        _ => anyhow!("cannot write the export: {error}"),
    }
}
