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
            self.told.push(told(place, refusal));
        }
    }
}

/// A refusal as people read it. What stands in a document may be long, and nobody's business; and a terminal would obey
/// its control characters.
pub(in crate::offline) fn told(place: &str, refusal: &Refusal) -> String {
    let mut text = String::new();
    for letter in format!("{place}: {refusal}").chars() {
        match letter.is_control() {
            true => text.extend(letter.escape_default()),
            false => text.push(letter),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_holds_is_told_on_one_line_that_no_terminal_obeys() {
        let refusal = Refusal::whole("a\u{1b}[31m\nb\u{9b}c\0 – ü");
        let said = told("_id x\ty", &refusal);
        assert_eq!(said, "_id x\\ty: a\\u{1b}[31m\\nb\\u{9b}c\\u{0} – ü");
        let long = Refusal::whole("ü".repeat(TOLD_BYTES_MAX));
        assert!(told("_id", &long).len() <= TOLD_BYTES_MAX + '…'.len_utf8());
    }
}
