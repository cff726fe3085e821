//! What documents became, and which did not.

use std::fmt;

use crate::adoption::{KindTally, Refusal};

/// Refusals that are told one by one.
const TOLD_MAX: usize = 20;

/// The longest place or refusal that is printed whole.
const TOLD_BYTES_MAX: usize = 400;

/// Counts, and the first refusals.
#[derive(Debug, Default)]
pub(in crate::offline) struct IntakeReport {
    pub(in crate::offline) documents: u64,
    /// That they take in their source.
    pub(in crate::offline) bytes: u64,
    pub(in crate::offline) tally: KindTally,
    pub(in crate::offline) refused: u64,
    told: Vec<String>,
}

impl IntakeReport {
    pub(in crate::offline) fn refuse(&mut self, place: &str, refusal: &Refusal) {
        self.refused += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(cut(format!("{place}: {refusal}")));
        }
    }
}

/// A value may be long, and be nobody's business.
fn cut(mut text: String) -> String {
    if text.len() > TOLD_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TOLD_BYTES_MAX));
        text.push('…');
    }
    text
}

impl fmt::Display for IntakeReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            documents,
            bytes,
            tally,
            refused,
            told,
        } = self;
        writeln!(formatter, "read {documents} documents, {bytes} bytes")?;
        write!(formatter, "{tally}")?;
        if *refused == 0 {
            return Ok(());
        }
        writeln!(formatter, "refused {refused} documents:")?;
        for refusal in told {
            writeln!(formatter, "  {refusal}")?;
        }
        match *refused - told.len() as u64 {
            0 => Ok(()),
            more => writeln!(formatter, "  … and {more} more"),
        }
    }
}
