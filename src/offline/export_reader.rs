//! Reading an exported log: line by line, each checked against those before it.
//!
//! | state | next line | then |
//! |---|---|---|
//! | at the first line | header | reading, from seq 0 |
//! | reading, at `seq` | change `seq + 1`, no further than the header's head, following from its event's last change | reading |
//! | reading, at the header's head | end, with the digests of what was read | ended, at the end of the input |
//!
//! Every other line is an error that names its number. A batch is handed on only if all of its lines are good; the last
//! one only with a good end.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::fold_digest::FoldDigest;
use super::ndjson::{self, EndLine, ExportLine, HeaderLine};
use crate::domain::{Change, Seq};
use crate::limits;
use crate::value::hex;

/// Why an input is not a complete and unaltered export, and in which line.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct ExportError {
    line: u64,
    reason: String,
}

/// Reads an exported log, batch by batch.
pub(super) struct ExportReader<R> {
    pub(super) header: HeaderLine,
    pub(super) fold: FoldDigest,
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
        lines.add_to_digest();
        Ok(Self {
            header,
            fold: FoldDigest::default(),
            lines,
            seq: Seq::ZERO,
            ended: false,
        })
    }

    /// The next changes, as many as one append may hold; empty after the last.
    pub(super) fn batch(&mut self) -> Result<Vec<Arc<Change>>, ExportError> {
        self.try_batch()
            .map_err(|reason| self.lines.refused(reason))
    }

    fn try_batch(&mut self) -> Result<Vec<Arc<Change>>, String> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while !self.ended
            && batch.len() < limits::COMMIT_COUNT_MAX
            && bytes < limits::COMMIT_BYTES_MAX
        {
            let line = self
                .lines
                .next()?
                .ok_or("the input ends here: it was cut off")?;
            match ndjson::line(line)? {
                ExportLine::Change(change) => {
                    self.accept(&change)?;
                    bytes += change.approx_bytes();
                    batch.push(Arc::new(change));
                }
                ExportLine::End(end) => self.end(&end)?,
            }
        }
        Ok(batch)
    }

    fn accept(&mut self, change: &Change) -> Result<(), String> {
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
        let applied = self.fold.apply(change);
        applied.map_err(|contradiction| contradiction.to_string())?;
        self.lines.add_to_digest();
        self.seq = next;
        Ok(())
    }

    fn end(&mut self, end: &EndLine) -> Result<(), String> {
        if self.seq != self.header.head {
            return Err(format!(
                "the end comes after {} changes, and the first line names {}",
                self.seq, self.header.head
            ));
        }
        let expected = EndLine::new(self.seq.get(), &self.fold.digest(), &self.lines.digest());
        if *end != expected {
            return Err(format!(
                "the changes are not those that were exported: they come to {} in lines of {}, not {} in lines of {}",
                expected.digest, expected.lines, end.digest, end.lines
            ));
        }
        if self.lines.next()?.is_some() {
            return Err("something follows after the end".to_owned());
        }
        self.ended = true;
        Ok(())
    }
}

/// Reads the lines of an input, numbers them, and digests those that are good.
struct LineReader<R> {
    input: R,
    number: u64,
    buffer: Vec<u8>,
    digest: Sha256,
}

impl<R: BufRead> LineReader<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            number: 0,
            buffer: Vec::new(),
            digest: Sha256::new(),
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

    fn add_to_digest(&mut self) {
        self.digest.update(&self.buffer);
    }

    fn digest(&self) -> String {
        hex(&self.digest.clone().finalize())
    }

    fn refused(&self, reason: String) -> ExportError {
        ExportError {
            line: self.number,
            reason,
        }
    }
}
