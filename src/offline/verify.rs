//! Verifying the view: comparing it with the fold of the log.

use std::fmt;
use std::sync::Arc;

use futures::StreamExt;

use super::fold_digest::{EventDigest, FoldDigest};
use super::log_reader::{LogReader, ahead};
use crate::adoption::shown;
use crate::domain::{Event, Seq};
use crate::fairness::Requester;
use crate::query::Query;
use crate::store::QueryEvents;
use crate::store::{QueryResult, Store, StoreError};
use crate::value::Record;

/// Differences printed at most: the others are counted.
const PRINTED_MAX: usize = 100;

/// Events that are sent to the comparison together.
const CHUNK_COUNT: usize = 256;

/// The log's digest, and the differences.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Counts and digest of the log; `None` if it could not be read to its end.
    summary: Option<String>,
    differences: Vec<String>,
    count: usize,
}

impl Report {
    /// Whether view and log agree.
    pub(super) fn is_clean(&self) -> bool {
        self.count == 0
    }

    /// Counts and digest of the log, if it could be read.
    pub(super) fn summary(&self) -> Option<&str> {
        self.summary.as_deref()
    }

    fn add(&mut self, difference: String) {
        self.count += 1;
        if self.differences.len() < PRINTED_MAX {
            self.differences.push(difference);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.differences {
            writeln!(formatter, "{}", shown(difference))?;
        }
        if self.count > self.differences.len() {
            writeln!(
                formatter,
                "… and {} more",
                self.count - self.differences.len()
            )?;
        }
        let verdict = match self.count {
            0 => "view equals log".to_owned(),
            1 => "1 difference".to_owned(),
            count => format!("{count} differences"),
        };
        match &self.summary {
            Some(summary) if self.count == 0 => write!(formatter, "{verdict}: {summary}"),
            Some(summary) => write!(formatter, "{verdict}: the log says {summary}"),
            None => write!(
                formatter,
                "{verdict}: the log cannot be read to its end, so the view was not compared with it"
            ),
        }
    }
}

/// Compares the view with the log, and checks the store's indexes.
pub(super) async fn verify(store: &Arc<dyn Store>) -> Result<Report, StoreError> {
    let (report, faults) = tokio::join!(compare_view(store), store.check());
    let mut report = report?;
    faults?.into_iter().for_each(|text| report.add(text));
    Ok(report)
}

/// Folds the log up to the seq that a read of the view is as of, and compares the two.
async fn compare_view(store: &Arc<dyn Store>) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let mut reader = LogReader::open(store).await?;
    let mut digest = FoldDigest::default();
    let head = store.head().await?;
    if !fold(&mut reader, head, &mut digest, &mut report).await? {
        return Ok(report);
    }
    let QueryResult { seq, events, .. } = store
        .find(&Requester::alone(), &Arc::new(Query::everything()))
        .await?;
    if !fold(&mut reader, seq, &mut digest, &mut report).await? {
        return Ok(report);
    }
    reader.bar.finish_and_clear();
    report.summary = Some(digest.to_string());
    compare_all(store, events, &mut digest, &mut report).await?;
    for document in store.foreign_documents(&|_| true).await? {
        report.add(format!("{document}: none of livelog's"));
    }
    for (id, event) in digest.remaining() {
        report.add(format!(
            "event {id}: missing from the view; the log has it at version {}",
            event.version
        ));
    }
    Ok(report)
}

/// Takes the events of the view out of the digest, and reports those that differ.
async fn compare_all(
    store: &Arc<dyn Store>,
    events: QueryEvents,
    digest: &mut FoldDigest,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut buffer = Vec::new();
    let mut chunks = ahead(events.ready_chunks(CHUNK_COUNT));
    while let Some(chunk) = chunks.recv().await {
        for event in chunk {
            match event {
                Ok(event) => {
                    let logged = digest.take(&event.id);
                    let difference = compare(store, &event, logged, &mut buffer).await?;
                    difference.into_iter().for_each(|text| report.add(text));
                }
                Err(StoreError::Corrupt { at, reason }) => report.add(format!("{at}: {reason}")),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// `false` if the log ends early or cannot be read: then there is nothing to compare with.
async fn fold(
    reader: &mut LogReader,
    until: Seq,
    digest: &mut FoldDigest,
    report: &mut Report,
) -> Result<bool, StoreError> {
    while reader.seq < until {
        match reader.page(Some(until)).await {
            Ok(page) if page.is_empty() => {
                report.add(format!(
                    "log {}: missing; the head is {until}",
                    reader.seq.next()
                ));
                return Ok(false);
            }
            Ok(page) => page
                .iter()
                .filter_map(|change| digest.apply(change).err())
                .for_each(|contradiction| report.add(contradiction.to_string())),
            Err(StoreError::Corrupt { at, reason }) => {
                report.add(format!("{at}: {reason}"));
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

async fn compare(
    store: &Arc<dyn Store>,
    event: &Event,
    logged: Option<EventDigest>,
    buffer: &mut Vec<u8>,
) -> Result<Option<String>, StoreError> {
    let id = &event.id;
    let Some(logged) = logged else {
        return Ok(Some(format!(
            "event {id}: in the view at version {}, not in the log",
            event.version
        )));
    };
    if logged == EventDigest::of(event, buffer) {
        return Ok(None);
    }
    let change = store.read(logged.seq.before(), 1).await?;
    let expected = change.first().and_then(|change| change.after());
    let names = expected.map_or_else(String::new, |expected| {
        differing(expected, event).join(", ")
    });
    Ok(Some(format!(
        "event {id}: differs from the log at seq {} in {names}",
        logged.seq
    )))
}

/// The top-level fields that differ.
fn differing<'a>(expected: &'a Event, viewed: &'a Event) -> Vec<&'a str> {
    let added = viewed
        .fields()
        .filter(|(name, _)| expected.field(name).is_none());
    let mut names: Vec<&str> = expected
        .fields()
        .filter(|(name, value)| viewed.field(name) != Some(*value))
        .chain(added)
        .map(|(name, _)| name)
        .collect();
    if names.is_empty() {
        names.push("the order of its fields");
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_tells_a_terminal_nothing_to_obey() {
        let mut report = Report::default();
        report.add("event \u{1b}[2Ja\u{202e}b: missing from the view".to_owned());
        let told = report.to_string();
        assert!(
            told.starts_with(r"event \u{1b}[2Ja\u{202e}b: missing"),
            "{told}"
        );
    }
}
