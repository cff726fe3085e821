//! Documents taken in, one after the other: each is converted, becomes a change, and is appended with others; or is only
//! looked at.

use std::sync::Arc;

use anyhow::bail;
use uuid::Uuid;

use super::report::{IntakeReport, told};
use crate::adoption::{Converter, Refusal};
use crate::domain::{Change, Command, EventId, EventState, Seq, Stamp, Timestamp, decide};
use crate::engine::wall_time;
use crate::limits;
use crate::offline::bulk_loader::BulkLoader;
use crate::offline::fold_digest::FoldDigest;
use crate::store::SourceDocument;
use crate::value::Steps;

/// What happens where a document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::offline) enum OnRefusal {
    /// It is listed, and left out.
    GoOn,
    /// It ends the work.
    Stop,
}

/// See the module.
pub(in crate::offline) struct Intake<'a> {
    converter: &'a Converter,
    on_refusal: OnRefusal,
    /// `None` if documents are only looked at.
    loader: Option<BulkLoader<'a>>,
    pub(in crate::offline) report: IntakeReport,
    pub(in crate::offline) fold: FoldDigest,
    /// The last change.
    seq: Seq,
    at: Timestamp,
    batch: Vec<Arc<Change>>,
    batch_bytes: usize,
}

impl<'a> Intake<'a> {
    /// Looks at documents, and lists all that are refused.
    pub(in crate::offline) fn looking(converter: &'a Converter) -> Self {
        Self::new(converter, OnRefusal::GoOn, None)
    }

    /// Fills an empty store.
    pub(in crate::offline) fn filling(
        converter: &'a Converter,
        on_refusal: OnRefusal,
        loader: BulkLoader<'a>,
    ) -> Self {
        Self::new(converter, on_refusal, Some(loader))
    }

    fn new(
        converter: &'a Converter,
        on_refusal: OnRefusal,
        loader: Option<BulkLoader<'a>>,
    ) -> Self {
        Self {
            converter,
            on_refusal,
            loader,
            report: IntakeReport::default(),
            fold: FoldDigest::default(),
            seq: Seq::ZERO,
            at: wall_time(),
            batch: Vec::new(),
            batch_bytes: 0,
        }
    }

    /// Takes the next document, which is at `place` in its source; or why that had none there.
    pub(in crate::offline) async fn take(
        &mut self,
        place: &str,
        document: Result<SourceDocument, Refusal>,
    ) -> anyhow::Result<()> {
        self.report.documents += 1;
        match document.and_then(|document| self.change(document)) {
            Ok(change) => self.append(Arc::new(change)).await,
            Err(refusal) if self.on_refusal == OnRefusal::GoOn => {
                self.report.refuse(place, &refusal);
                Ok(())
            }
            Err(refusal) => bail!("{}", told(place, &refusal)),
        }
    }

    /// Appends what is left.
    pub(in crate::offline) async fn finish(&mut self) -> anyhow::Result<()> {
        self.flush().await
    }

    /// How far it came, for who has to clean up.
    pub(in crate::offline) fn progress(&self) -> String {
        match &self.loader {
            Some(loader) if loader.seq > Seq::ZERO => format!(
                "{} events were written, so remove this store before you try again",
                loader.seq
            ),
            _ => "nothing was written".to_owned(),
        }
    }

    fn change(&mut self, document: SourceDocument) -> Result<Change, Refusal> {
        self.report.bytes += document.bytes as u64;
        let tally = &mut self.report.tally;
        let create = self.converter.convert(document.fields, self.at, tally)?;
        let id = create.id.clone();
        let id = id.unwrap_or_else(|| EventId::from(Uuid::now_v7()));
        if self.fold.has(&id) {
            let reason = format!("another document became event {id} before: ids are text here");
            return Err(Refusal::whole(reason));
        }
        let state = EventState {
            id,
            current: None,
            last_version: 0,
            earlier: None,
        };
        let (seq, at) = (self.seq.next(), self.at);
        let decided = decide(
            &state,
            &Command::Create(create),
            Stamp { seq, at },
            &Steps::new(0),
        );
        decided.map_err(|rejection| Refusal::whole(rejection.to_string()))
    }

    async fn append(&mut self, change: Arc<Change>) -> anyhow::Result<()> {
        self.fold.apply(&change)?;
        self.seq = change.seq;
        if self.loader.is_none() {
            return Ok(());
        }
        self.batch_bytes += change.approx_bytes();
        self.batch.push(change);
        let is_full = self.batch.len() >= limits::COMMIT_COUNT_MAX
            || self.batch_bytes >= limits::COMMIT_BYTES_MAX;
        match is_full {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if let Some(loader) = &mut self.loader
            && !batch.is_empty()
        {
            loader.append(batch).await?;
        }
        // Times never run backwards along the log, whatever the clock does.
        self.at = wall_time().max(self.at);
        Ok(())
    }
}
