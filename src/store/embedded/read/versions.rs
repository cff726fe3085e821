//! The versions of an event over all of its lives: from its creation to its deletion, and from the next creation on.
//!
//! | a life begins at version | its versions | versions of the lives before |
//! |---|---|---|
//! | above 1 | continue those of the life before: each change adds one | all lower: the search ends here |
//! | 1, and it is not the first (older logs) | begin anew | may be higher, or the same: the search goes on |
//!
//! Within a life versions rise by one with each change, so fewer than [`INTERVAL`] changes lie between two milestones.

use std::cmp::Ordering;

use super::snapshot::Snapshot;
use crate::domain::{Change, ChangeKind, EventId, Seq};
use crate::store::StoreError;
use crate::store::embedded::format::decode::ChangeHeader;
use crate::store::embedded::format::milestone::{INTERVAL, LAST};

impl Snapshot {
    /// See [`Store::last_versions`](crate::store::Store::last_versions); 0 if there never was such an event.
    pub(crate) fn last_version(&self, id: &EventId) -> Result<u64, StoreError> {
        let mut highest = 0;
        let mut next = self.newest_change(id)?;
        while let Some(seq) = next {
            highest = highest.max(self.header(seq)?.version);
            next = self.deletion_before(id, seq)?;
            if let Some(deletion) = next
                && self.versions_continue_after(id, deletion)?
            {
                break;
            }
        }
        Ok(highest)
    }

    /// See [`Store::version`](crate::store::Store::version).
    pub(crate) fn change_with_version(
        &self,
        id: &EventId,
        version: u64,
    ) -> Result<Option<Change>, StoreError> {
        if version > self.last_version(id)? {
            return Ok(None);
        }
        let seq = match self.find_by_milestones(id, version)? {
            Some(seq) if self.is_newest_of_its_version(id, seq)? => Some(seq),
            _ => self.find_by_scan(id, version)?,
        };
        seq.map(|seq| self.change(seq)).transpose()
    }

    /// A change with this version, found by skipping milestones: where versions rise by one, their difference says how
    /// many. Every step goes back, so it ends.
    fn find_by_milestones(&self, id: &EventId, version: u64) -> Result<Option<Seq>, StoreError> {
        let mut next = self.newest_change(id)?;
        while let Some(seq) = next {
            let header = self.header(seq)?;
            let before = header.version.saturating_sub(1) / INTERVAL;
            next = match header.version.cmp(&version) {
                Ordering::Equal => return Ok(Some(seq)),
                Ordering::Less => return Ok(None),
                // Deletions are milestones too, so the skip may end too late; then the next one goes on from there.
                Ordering::Greater => match before.checked_sub(version.div_ceil(INTERVAL)) {
                    Some(skipped) => self.milestone_before(id, seq, skipped)?,
                    None => self.prior(id, seq, header.prior)?,
                },
            };
        }
        Ok(None)
    }

    /// Whether no later change can have the version of this one: this life continues the versions of the one before, or
    /// the next life continues those of this one.
    fn is_newest_of_its_version(&self, id: &EventId, seq: Seq) -> Result<bool, StoreError> {
        if let Some(deletion) = self.deletion_before(id, seq)?
            && self.versions_continue_after(id, deletion)?
        {
            return Ok(true);
        }
        let mut later = self.milestones(id, seq, LAST)?;
        let deletion = later.find_map(|seq| self.deletion(seq).transpose());
        match deletion.transpose()? {
            Some(deletion) => self.versions_continue_after(id, deletion),
            None => Ok(true),
        }
    }

    /// The newest change with this version, found by going back from milestone to milestone and following the chain
    /// from the one that is fewer than [`INTERVAL`] versions above.
    fn find_by_scan(&self, id: &EventId, version: u64) -> Result<Option<Seq>, StoreError> {
        let mut next = self.newest_change(id)?;
        while let Some(seq) = next {
            let header = self.header(seq)?;
            if (version..version.saturating_add(INTERVAL)).contains(&header.version)
                && let Some(seq) = self.chain_back(seq, header, version)?
            {
                return Ok(Some(seq));
            }
            next = self.milestone_before(id, seq, 0)?;
        }
        Ok(None)
    }

    /// The change of the same life that has this version, from one with this version or a higher one back.
    fn chain_back(
        &self,
        seq: Seq,
        header: ChangeHeader,
        version: u64,
    ) -> Result<Option<Seq>, StoreError> {
        let (mut seq, mut header) = (seq, header);
        while header.version > version {
            let Some(prior) = header.prior else {
                return Ok(None);
            };
            (seq, header) = (prior, self.header(prior)?);
        }
        Ok((header.version == version).then_some(seq))
    }

    /// Whether the life after this deletion continues the versions of the one that ended; also if there is no such
    /// life.
    fn versions_continue_after(&self, id: &EventId, deletion: Seq) -> Result<bool, StoreError> {
        let changes = self.segment(id, deletion)?;
        match changes.as_deref().and_then(<[Seq]>::first) {
            Some(creation) => Ok(self.header(*creation)?.version > 1),
            None => Ok(true),
        }
    }

    /// The event's last deletion before `seq`.
    fn deletion_before(&self, id: &EventId, seq: Seq) -> Result<Option<Seq>, StoreError> {
        let milestones = self.milestones(id, Seq::ZERO, seq.before())?.rev();
        let mut deletions = milestones.filter_map(|seq| self.deletion(seq).transpose());
        deletions.next().transpose()
    }

    /// The milestone, if it is a deletion.
    fn deletion(&self, milestone: Result<Seq, StoreError>) -> Result<Option<Seq>, StoreError> {
        let seq = milestone?;
        Ok((self.header(seq)?.kind == ChangeKind::Delete).then_some(seq))
    }
}
