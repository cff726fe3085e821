//! Versions of an event over all of its lives.
//!
//! A life that begins where another has ended goes on with its versions, so those of an event rise by one from
//! change to change. Logs written before that was the rule have lives that each begin at 1. A life that begins
//! beyond 1 is above everything before it, whatever that is: nobody has to look further back.

use std::cmp::Ordering;

use super::snapshot::Snapshot;
use crate::domain::{Change, EventId, Kind, Seq};
use crate::store::StoreError;
use crate::store::embedded::format::decode::ChangeHeader;
use crate::store::embedded::format::milestone::{INTERVAL, LAST};

impl Snapshot {
    /// See [`Store::last_versions`](crate::store::Store::last_versions); 0 if there never was such an event.
    pub(crate) fn last_version(&self, id: &EventId) -> Result<u64, StoreError> {
        let mut highest = 0;
        let mut next = self.newest_change(id)?;
        while let Some(seq) = next {
            highest = highest.max(self.link(seq)?.version);
            next = self.deletion_before(id, seq)?;
            if let Some(deletion) = next
                && self.goes_on_after(id, deletion)?
            {
                break;
            }
        }
        Ok(highest)
    }

    /// See [`Store::version`](crate::store::Store::version).
    pub(crate) fn change_to(
        &self,
        id: &EventId,
        version: u64,
    ) -> Result<Option<Change>, StoreError> {
        if version > self.last_version(id)? {
            return Ok(None);
        }
        let found = match self.leap(id, version)? {
            Some(seq) if self.is_newest_of_its_version(id, seq)? => Some(seq),
            _ => self.search(id, version)?,
        };
        found.map(|seq| self.change(seq)).transpose()
    }

    /// A change with this version, found by the milestones between: how many those are is known where versions
    /// rise by one.
    fn leap(&self, id: &EventId, version: u64) -> Result<Option<Seq>, StoreError> {
        let mut next = self.newest_change(id)?;
        while let Some(seq) = next {
            let link = self.link(seq)?;
            let passed = link.version.saturating_sub(1) / INTERVAL;
            next = match link.version.cmp(&version) {
                Ordering::Equal => return Ok(Some(seq)),
                Ordering::Less => return Ok(None),
                // Deletions are milestones too: then it is some more leaps.
                Ordering::Greater => match passed.checked_sub(version.div_ceil(INTERVAL)) {
                    Some(count) => self.milestone_back(id, seq, count)?,
                    None => self.prior(id, seq, link.prior)?,
                },
            };
        }
        Ok(None)
    }

    /// Whether no later change can have the version of this one, by the lives it stands between.
    fn is_newest_of_its_version(&self, id: &EventId, seq: Seq) -> Result<bool, StoreError> {
        if let Some(deletion) = self.deletion_before(id, seq)?
            && self.goes_on_after(id, deletion)?
        {
            return Ok(true);
        }
        let mut later = self.milestones(id, seq, LAST)?;
        let end = later.find_map(|seq| self.deletion(seq).transpose());
        match end.transpose()? {
            Some(deletion) => self.goes_on_after(id, deletion),
            None => Ok(true),
        }
    }

    /// The newest change with this version, from one milestone back to the one before: between two there are
    /// fewer than [`INTERVAL`] changes.
    fn search(&self, id: &EventId, version: u64) -> Result<Option<Seq>, StoreError> {
        let mut next = self.newest_change(id)?;
        while let Some(seq) = next {
            let link = self.link(seq)?;
            if (version..version.saturating_add(INTERVAL)).contains(&link.version)
                && let Some(found) = self.walk_back(seq, link, version)?
            {
                return Ok(Some(found));
            }
            next = self.milestone_back(id, seq, 0)?;
        }
        Ok(None)
    }

    /// The change of the same life that has this version.
    fn walk_back(
        &self,
        seq: Seq,
        link: ChangeHeader,
        version: u64,
    ) -> Result<Option<Seq>, StoreError> {
        let (mut seq, mut link) = (seq, link);
        while link.version > version {
            let Some(prior) = link.prior else {
                return Ok(None);
            };
            (seq, link) = (prior, self.link(prior)?);
        }
        Ok((link.version == version).then_some(seq))
    }

    /// Whether the life after this deletion goes on with the versions; also if there is none.
    fn goes_on_after(&self, id: &EventId, deletion: Seq) -> Result<bool, StoreError> {
        let changes = self.piece(id, deletion)?;
        match changes.as_deref().and_then(<[Seq]>::first) {
            Some(birth) => Ok(self.link(*birth)?.version > 1),
            None => Ok(true),
        }
    }

    fn deletion_before(&self, id: &EventId, seq: Seq) -> Result<Option<Seq>, StoreError> {
        let back = self.milestones(id, Seq::ZERO, seq.before())?.rev();
        let mut deletions = back.filter_map(|seq| self.deletion(seq).transpose());
        deletions.next().transpose()
    }

    /// The milestone, if it is a deletion.
    fn deletion(&self, milestone: Result<Seq, StoreError>) -> Result<Option<Seq>, StoreError> {
        let seq = milestone?;
        Ok((self.link(seq)?.kind == Kind::Delete).then_some(seq))
    }
}
