//! Whether everything in the log is found as readers look for it: by its command, and in its event's history.

use redb::{ReadableTable, ReadableTableMetadata};

use super::snapshot::Snapshot;
use crate::domain::{Change, EventId, Seq};
use crate::store::StoreError;
use crate::store::embedded::format::decode;
use crate::store::embedded::format::milestone::is_milestone;
use crate::store::embedded::format::tables::fault;

/// More that is wrong says nothing more.
const FINDINGS_MAX: usize = 1_000;

impl Snapshot {
    /// See [`Store::check`](crate::store::Store::check). Entries that cannot be read are who reads the log's to tell.
    pub(crate) fn check(&self) -> Result<Vec<String>, StoreError> {
        let mut findings = Vec::new();
        let mut commands = 0;
        for entry in self.log.iter().map_err(fault)? {
            let (seq, value) = entry.map_err(fault)?;
            let Ok(change) = decode::change(Seq::new(seq.value()), value.value()) else {
                continue;
            };
            commands += u64::from(change.command.is_some());
            findings.extend(self.unfound(&change)?);
            if findings.len() >= FINDINGS_MAX {
                return Ok(findings);
            }
        }
        let found = self.commands.len().map_err(fault)?;
        if found != commands && findings.is_empty() {
            findings.push(format!(
                "commands: {found} ids are kept, and the log has {commands}"
            ));
        }
        self.check_milestones(&mut findings)?;
        Ok(findings)
    }

    /// How a change is not found that is there.
    fn unfound(&self, change: &Change) -> Result<Option<String>, StoreError> {
        let seq = change.seq;
        if let Some(key) = &change.command {
            let found = self.commands.get(key.id.as_str()).map_err(fault)?;
            if found.map(|seq| Seq::new(seq.value())) != Some(seq) {
                return Ok(Some(format!(
                    "log {seq}: its command is not found by its id"
                )));
            }
        }
        let id = change.event_id();
        if is_milestone(change.kind(), change.version()) && !self.has_milestone(id, seq)? {
            return Ok(Some(format!(
                "log {seq}: it is missing where the history of event {id} is looked for"
            )));
        }
        Ok(None)
    }

    fn has_milestone(&self, id: &EventId, seq: Seq) -> Result<bool, StoreError> {
        let here = (id.clone(), seq);
        if self
            .overlay
            .milestones(here.clone()..=here)
            .next()
            .is_some()
        {
            return Ok(true);
        }
        let found = self.milestones.get((id.as_str(), seq.get()));
        Ok(found.map_err(fault)?.is_some())
    }

    /// Whether each leads to a change of its event.
    fn check_milestones(&self, findings: &mut Vec<String>) -> Result<(), StoreError> {
        for milestone in self.milestones.iter().map_err(fault)? {
            let (key, _) = milestone.map_err(fault)?;
            let (id, seq) = key.value();
            let leads_there = match self.entry(Seq::new(seq), decode::link) {
                Ok(link) => link.id.as_str() == id && is_milestone(link.kind, link.version),
                Err(StoreError::Corrupt { .. }) => false,
                Err(error) => return Err(error),
            };
            if !leads_there && findings.len() < FINDINGS_MAX {
                findings.push(format!(
                    "event {id}: its history is looked for at {seq}, where the log has something else"
                ));
            }
        }
        Ok(())
    }
}
