//! Documents taken in, one after the other: each is converted, becomes a change, and is appended with others; or is only
//! looked at.

use std::sync::Arc;

use anyhow::{Context, ensure};
use uuid::Uuid;

use super::report::IntakeReport;
use crate::adoption::{Converter, GivenFields, Refusal, Refusals, counted};
use crate::domain::{Change, Command, EventId, EventState, Seq, Stamp, Timestamp, decide};
use crate::limits;
use crate::offline::bulk_loader::BulkLoader;
use crate::offline::fold_digest::FoldDigest;
use crate::value::Steps;
use crate::wall_clock;

/// What happens where a document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::offline) enum OnRefusal {
    /// It is listed, and left out.
    GoOn,
    /// It ends the work: nothing more is written, and the rest is only looked at.
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
    /// Looks at documents.
    pub(in crate::offline) fn looking(converter: &'a Converter, on_refusal: OnRefusal) -> Self {
        Self::new(converter, on_refusal, None)
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
            at: wall_clock::now(),
            batch: Vec::new(),
            batch_bytes: 0,
        }
    }

    /// Takes the next document, which is at `place` in its source and takes `bytes` there; or why there is none in them.
    pub(in crate::offline) async fn take(
        &mut self,
        place: &str,
        bytes: u64,
        document: Result<GivenFields, Refusal>,
    ) -> anyhow::Result<()> {
        self.report.documents += 1;
        self.report.bytes += bytes;
        let document = document.map_err(Refusals::from);
        match document.and_then(|fields| self.change(fields)) {
            Ok(change) => self.append(Arc::new(change)).await,
            Err(refusals) => {
                self.report.refuse(place, refusals);
                Ok(())
            }
        }
    }

    /// Appends what is left, if all went well until here; else says what was refused, and how far it came.
    pub(in crate::offline) async fn finish(
        &mut self,
        taken: anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let finished = match taken {
            Ok(()) => self.flush().await.and_then(|()| self.ensure_taken()),
            failed => failed,
        };
        if finished.is_err() && self.report.refused > 0 {
            print!("{}", self.report);
        }
        finished.with_context(|| self.progress())
    }

    /// What there is to say if documents are refused, and are not to be left out.
    fn ensure_taken(&self) -> anyhow::Result<()> {
        let refused = self.report.refused;
        ensure!(
            refused == 0 || self.on_refusal == OnRefusal::GoOn,
            "{} cannot be taken as {}. Mend what is refused, give names to what lacks one (--rename PATH=NAME), leave \
             fields out (--drop PATH), or leave out the documents (--skip-refused)",
            counted(refused, "document", "documents"),
            if refused == 1 { "it is" } else { "they are" }
        );
        Ok(())
    }

    /// Whether what comes is only looked at.
    fn is_looking(&self) -> bool {
        let is_stopped = self.on_refusal == OnRefusal::Stop && self.report.refused > 0;
        self.loader.is_none() || is_stopped
    }

    /// How far it came, for who has to clean up.
    fn progress(&self) -> String {
        match &self.loader {
            Some(loader) if loader.seq > Seq::ZERO => format!(
                "{} {} written, so remove this store before you try again",
                counted(loader.seq.get(), "event", "events"),
                if loader.seq.get() == 1 { "was" } else { "were" }
            ),
            _ => "nothing was written".to_owned(),
        }
    }

    fn change(&mut self, fields: GivenFields) -> Result<Change, Refusals> {
        let tally = &mut self.report.tally;
        let create = self.converter.convert(fields, self.at, tally)?;
        let id = create.id.clone();
        let id = id.unwrap_or_else(|| EventId::from(Uuid::now_v7()));
        if self.fold.has(&id) {
            let refusal =
                Refusal::whole("another document became the same event before: ids are text here");
            return Err(refusal.about(format!("event {id}")).into());
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
        decided.map_err(|rejection| Refusal::whole(rejection.to_string()).into())
    }

    async fn append(&mut self, change: Arc<Change>) -> anyhow::Result<()> {
        self.fold.apply(&change)?;
        self.seq = change.seq;
        if self.is_looking() {
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
        if self.is_looking() {
            return Ok(());
        }
        if let Some(loader) = &mut self.loader
            && !batch.is_empty()
        {
            loader.append(batch).await?;
        }
        // Times never run backwards along the log, whatever the clock does.
        self.at = wall_clock::now().max(self.at);
        Ok(())
    }
}
