//! Checking the indexes against the log: every command id and every milestone leads to its change, and back.

use redb::{ReadableTable, ReadableTableMetadata};

use super::scan::Scan;
use super::snapshot::Snapshot;
use crate::domain::{Change, EventId, Seq};
use crate::query::Direction;
use crate::store::StoreError;
use crate::store::embedded::format::decode;
use crate::store::embedded::format::index;
use crate::store::embedded::format::milestone::is_milestone;
use crate::store::embedded::format::tables::read_error;

/// More findings would tell the operator nothing more.
const FINDINGS_MAX: usize = 1_000;

impl Snapshot {
    /// See [`Store::check`](crate::store::Store::check). Skips log entries that cannot be read: reading the log reports
    /// them.
    pub(crate) fn check(&self) -> Result<Vec<String>, StoreError> {
        let mut findings = Vec::new();
        let mut commands = 0;
        for entry in self.log.iter().map_err(read_error)? {
            let (seq, value) = entry.map_err(read_error)?;
            let Ok(change) = decode::change(Seq::new(seq.value()), value.value()) else {
                continue;
            };
            commands += u64::from(change.command.is_some());
            findings.extend(self.missing_from_index(&change)?);
            if findings.len() >= FINDINGS_MAX {
                return Ok(findings);
            }
        }
        let indexed = self.commands.len().map_err(read_error)?;
        if indexed != commands && findings.is_empty() {
            findings.push(format!(
                "commands: {indexed} ids are kept, and the log has {commands}"
            ));
        }
        self.check_milestones(&mut findings)?;
        self.check_indexes(&mut findings)?;
        Ok(findings)
    }

    /// Which index lacks the change, if one does.
    fn missing_from_index(&self, change: &Change) -> Result<Option<String>, StoreError> {
        let seq = change.seq;
        if let Some(key) = &change.command {
            let row = self.commands.get(key.id.as_str()).map_err(read_error)?;
            if row.map(|seq| Seq::new(seq.value())) != Some(seq) {
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
        let milestone = (id.clone(), seq);
        if self
            .memtable
            .milestones(milestone.clone()..=milestone)
            .next()
            .is_some()
        {
            return Ok(true);
        }
        let row = self.milestones.get((id.as_str(), seq.get()));
        Ok(row.map_err(read_error)?.is_some())
    }

    /// Whether each index that is whole has the entries of the view's events, and no others.
    fn check_indexes(&self, findings: &mut Vec<String>) -> Result<(), StoreError> {
        for (kept, table) in &self.indexes {
            if !kept.state.is_whole {
                continue;
            }
            let mut count = 0;
            for event in Scan::begin(self, Direction::Ascending, None)? {
                let Ok(event) = event else {
                    continue;
                };
                for key in kept.index.keys_of(&event).keys {
                    count += 1;
                    let entry = index::entry(&key, &event.id);
                    let found = table.get(entry.as_slice()).map_err(read_error)?;
                    let is_found =
                        found.map(|length| length.value()) == Some(index::key_length(&key));
                    if !is_found && findings.len() < FINDINGS_MAX {
                        let (index, id) = (&kept.index, &event.id);
                        findings.push(format!("index {index}: event {id} is not found by it"));
                    }
                }
            }
            let entries = table.len().map_err(read_error)?;
            if entries != count && findings.is_empty() {
                let index = &kept.index;
                findings.push(format!(
                    "index {index}: it has {entries} entries, and the view {count}"
                ));
            }
        }
        Ok(())
    }

    /// Whether each milestone leads to a change of its event that is one.
    fn check_milestones(&self, findings: &mut Vec<String>) -> Result<(), StoreError> {
        for milestone in self.milestones.iter().map_err(read_error)? {
            let (key, _) = milestone.map_err(read_error)?;
            let (id, seq) = key.value();
            let is_right = match self.header(Seq::new(seq)) {
                Ok(header) => header.id.as_str() == id && is_milestone(header.kind, header.version),
                Err(StoreError::Corrupt { .. }) => false,
                Err(error) => return Err(error),
            };
            if !is_right && findings.len() < FINDINGS_MAX {
                findings.push(format!(
                    "event {id}: its history is looked for at {seq}, where the log has something else"
                ));
            }
        }
        Ok(())
    }
}
