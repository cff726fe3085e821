//! What documents became, and which did not.

use std::fmt;

use crate::adoption::{KindTally, REFUSALS_MAX, Refusal, Refusals, counted, shown};

/// The longest place and reason, and the longest remedy, that are printed whole.
const TOLD_BYTES_MAX: usize = 400;

/// Counts, and the refusals: of those that are alike the first.
#[derive(Debug, Default)]
pub(in crate::offline) struct IntakeReport {
    pub(in crate::offline) documents: u64,
    /// That they take in their source.
    pub(in crate::offline) bytes: u64,
    pub(in crate::offline) tally: KindTally,
    /// Documents.
    pub(in crate::offline) refused: u64,
    kinds: Vec<RefusedKind>,
    /// Refusals that are like none of those.
    more: u64,
}

/// A refusal, the first place that it was met at, and how many documents have it.
#[derive(Debug)]
struct RefusedKind {
    refusal: Refusal,
    place: String,
    documents: u64,
}

impl IntakeReport {
    pub(in crate::offline) fn refuse(&mut self, place: &str, refusals: Refusals) {
        self.refused += 1;
        self.more += refusals.more;
        for refusal in refusals.kept {
            let mut known = self.kinds.iter();
            match known.position(|known| known.refusal.is_like(&refusal)) {
                Some(index) => self.kinds[index].documents += 1,
                None if self.kinds.len() < REFUSALS_MAX => self.kinds.push(RefusedKind {
                    refusal,
                    place: place.to_owned(),
                    documents: 1,
                }),
                None => self.more += 1,
            }
        }
    }
}

impl fmt::Display for RefusedKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&told_one(&self.place, &self.refusal))?;
        match self.documents - 1 {
            0 => Ok(()),
            more => write!(
                formatter,
                ", and so in {}",
                counted(more, "other", "others")
            ),
        }
    }
}

/// The reasons against a document as people read them.
pub(in crate::offline) fn told(place: &str, refusals: &Refusals) -> String {
    let told = refusals.kept.iter().map(|refusal| told_one(place, refusal));
    told.collect::<Vec<_>>().join("; ")
}

/// What stands in a document may be long, and nobody's business; and a terminal would obey some of its characters, and hide others. A
/// remedy has none of those, and is of no use if it is not whole.
fn told_one(place: &str, refusal: &Refusal) -> String {
    let mut text = shown(&format!("{place}: {refusal}"));
    if text.len() > TOLD_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TOLD_BYTES_MAX));
        text.push('…');
    }
    match refusal.remedy() {
        Some(remedy) if remedy.len() <= TOLD_BYTES_MAX => text + " (" + &remedy + ")",
        _ => text,
    }
}

impl fmt::Display for IntakeReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            documents,
            bytes,
            tally,
            refused,
            kinds,
            more,
        } = self;
        let documents = counted(*documents, "document", "documents");
        let bytes = counted(*bytes, "byte", "bytes");
        writeln!(formatter, "read {documents}, {bytes}")?;
        write!(formatter, "{tally}")?;
        if *refused == 0 {
            return Ok(());
        }
        let refused = counted(*refused, "document", "documents");
        writeln!(formatter, "refused {refused}:")?;
        for kind in kinds {
            writeln!(formatter, "  {kind}")?;
        }
        match more {
            0 => Ok(()),
            more => writeln!(formatter, "  … and {more} more, for other reasons"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_holds_is_told_on_one_line_that_no_terminal_obeys() {
        let refusal = Refusal::whole("a\u{1b}[31m\nb\u{9b}c\0 – ü");
        let said = told("_id x\ty", &refusal.into());
        assert_eq!(said, "_id x\\ty: a\\u{1b}[31m\\nb\\u{9b}c\\u{0} – ü");
        let turned = Refusal::whole("a\u{202e}b\u{2066}c\u{200b}d\u{feff}e");
        let said = told("_id \u{200f}", &turned.into());
        assert_eq!(
            said,
            "_id \\u{200f}: a\\u{202e}b\\u{2066}c\\u{200b}d\\u{feff}e"
        );
        let long = Refusal::whole("ü".repeat(TOLD_BYTES_MAX));
        assert!(told("_id", &long.into()).len() <= TOLD_BYTES_MAX + '…'.len_utf8());
    }

    #[test]
    fn what_is_refused_alike_is_told_once_with_its_count_and_only_so_many_kinds() {
        let mut report = IntakeReport::default();
        for n in 0..3 {
            report.refuse(&format!("_id {n}"), Refusal::whole("too big").into());
        }
        for n in 0..REFUSALS_MAX {
            let other = Refusal::whole(format!("other {n}"));
            report.refuse("_id x", other.into());
        }
        let said = report.to_string();
        assert!(
            said.contains("refused 23 documents:\n  _id 0: too big, and so in 2 others\n"),
            "{said}"
        );
        assert!(
            said.ends_with("  _id x: other 18\n  … and 1 more, for other reasons\n"),
            "{said}"
        );
    }
}
