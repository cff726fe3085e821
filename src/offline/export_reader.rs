//! An exported log as it is read: line by line, each held to those before it.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::fold_digest::FoldDigest;
use super::ndjson;
use super::ndjson::{EndLine, ExportLine, HeaderLine};
use crate::domain::{Change, Seq};
use crate::limits;

/// Why an input is not a whole and faithful export, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct ExportError {
    line: u64,
    reason: String,
}

/// An exported log, read as far as its last batch.
pub(super) struct ExportReader<R> {
    pub(super) header: HeaderLine,
    pub(super) ledger: FoldDigest,
    lines: LineReader<R>,
    /// The last change read.
    seq: Seq,
    ended: bool,
}

impl<R: BufRead> ExportReader<R> {
    pub(super) fn open(input: R) -> Result<Self, ExportError> {
        let mut lines = LineReader::new(input);
        let header = lines
            .next()
            .and_then(|line| ndjson::header(line.ok_or("there is nothing to import")?))
            .map_err(|reason| lines.refused(reason))?;
        lines.add_to_sum();
        Ok(Self {
            header,
            ledger: FoldDigest::default(),
            lines,
            seq: Seq::ZERO,
            ended: false,
        })
    }

    /// The next changes, as many as one append may hold; empty after the last. Of an input that ends
    /// wrongly the last batch is not given out.
    pub(super) fn batch(&mut self) -> Result<Vec<Arc<Change>>, ExportError> {
        self.try_batch()
            .map_err(|reason| self.lines.refused(reason))
    }

    fn try_batch(&mut self) -> Result<Vec<Arc<Change>>, String> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while !self.ended
            && batch.len() < limits::BATCH_COUNT_MAX
            && bytes < limits::BATCH_BYTES_MAX
        {
            let line = self
                .lines
                .next()?
                .ok_or("the input ends here: it was cut off")?;
            match ndjson::line(line)? {
                ExportLine::Change(change) => {
                    self.take(&change)?;
                    bytes += change.weight();
                    batch.push(Arc::new(change));
                }
                ExportLine::End(end) => self.end(&end)?,
            }
        }
        Ok(batch)
    }

    fn take(&mut self, change: &Change) -> Result<(), String> {
        let next = self.seq.next();
        if change.seq != next {
            return Err(format!(
                "it is change {}, where change {next} should be",
                change.seq
            ));
        }
        if next > self.header.head {
            return Err(format!(
                "a change more than the {} that the first line names",
                self.header.head
            ));
        }
        let followed = self.ledger.apply(change);
        followed.map_err(|contradiction| contradiction.to_string())?;
        self.lines.add_to_sum();
        self.seq = next;
        Ok(())
    }

    fn end(&mut self, said: &EndLine) -> Result<(), String> {
        if self.seq != self.header.head {
            return Err(format!(
                "the end comes after {} changes, and the first line names {}",
                self.seq, self.header.head
            ));
        }
        let found = EndLine::new(self.seq.get(), &self.ledger.digest(), &self.lines.sum());
        if *said != found {
            return Err(format!(
                "the changes are not those that were exported: they come to {} in lines of {}, not {} in lines of {}",
                found.digest, found.lines, said.digest, said.lines
            ));
        }
        if self.lines.next()?.is_some() {
            return Err("something follows after the end".to_owned());
        }
        self.ended = true;
        Ok(())
    }
}

/// Lines of an input, numbered, and the digest over those that were found good.
struct LineReader<R> {
    input: R,
    number: u64,
    buffer: Vec<u8>,
    sum: Sha256,
}

impl<R: BufRead> LineReader<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            number: 0,
            buffer: Vec::new(),
            sum: Sha256::new(),
        }
    }

    /// The next line; `None` at the end of the input.
    fn next(&mut self) -> Result<Option<&str>, String> {
        self.number += 1;
        self.buffer.clear();
        let longest = limits::IMPORT_LINE_BYTES_MAX as u64;
        let mut bounded = self.input.by_ref().take(longest);
        bounded
            .read_until(b'\n', &mut self.buffer)
            .map_err(|error: io::Error| format!("cannot read it: {error}"))?;
        match self.buffer.last() {
            None => Ok(None),
            Some(b'\n') => match str::from_utf8(&self.buffer) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err("it is not UTF-8".to_owned()),
            },
            Some(_) if self.buffer.len() == limits::IMPORT_LINE_BYTES_MAX => {
                Err(format!("it is longer than {longest} bytes"))
            }
            Some(_) => Err("the input ends in the middle of it: it was cut off".to_owned()),
        }
    }

    fn add_to_sum(&mut self) {
        self.sum.update(&self.buffer);
    }

    fn sum(&self) -> String {
        hex(&self.sum.clone().finalize())
    }

    fn refused(&self, reason: String) -> ExportError {
        ExportError {
            line: self.number,
            reason,
        }
    }
}

pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
