//! Unique indexes: who holds what, and that no two events hold the same.
//!
//! What an event holds is among its keys in the index, and no other event has those keys: so its holders are the entries
//! under it.

use std::sync::Arc;

use super::EmbeddedStore;
use super::read::snapshot::Snapshot;
use super::shared::blocking;
use super::write::index_build;
use super::write::task::WriterTask;
use crate::domain::EventId;
use crate::fairness::Requester;
use crate::indexes::{Index, UniqueKey};
use crate::query::Query;
use crate::store::unique_check::{FINDINGS_MAX, check_unique, refusal};
use crate::store::{Store, StoreError};

impl EmbeddedStore {
    pub(super) async fn find_holders(
        &self,
        index: &Index,
        keys: &[Arc<UniqueKey>],
    ) -> Result<Vec<(usize, EventId)>, StoreError> {
        let (snapshot, keys) = (self.shared.snapshot(), keys.to_vec());
        let name = index.name().to_owned();
        blocking(move || snapshot.holders(&name, &keys)).await
    }

    /// Has the unique indexes that were declared built and checked, if they are not known to be unique.
    pub(super) async fn ensure_unique(&self) -> Result<(), StoreError> {
        while is_building(&self.shared.snapshot()) {
            index_build::build_next(&self.shared, &Arc::downgrade(&self.handle)).await?;
        }
        let snapshot = self.shared.snapshot();
        let kept = snapshot.indexes.iter().map(|(kept, _)| kept);
        let unchecked = kept.filter(|kept| kept.is_unchecked());
        let unchecked: Vec<Arc<Index>> = unchecked.map(|kept| Arc::clone(&kept.index)).collect();
        let seq = snapshot.seq;
        drop(snapshot);
        for index in &unchecked {
            tracing::info!(index = index.name(), "checking that it is unique");
            if let Some(finding) = self.compare(index, 1).await?.first() {
                return Err(refusal(index, finding));
            }
        }
        if unchecked.is_empty() {
            return Ok(());
        }
        let names = unchecked.iter().map(|index| index.name().to_owned());
        let names = names.collect();
        let marked = self
            .handle
            .call(|reply| WriterTask::MarkUnique(names, seq, reply));
        marked.await?
    }

    /// What events hold in unique indexes although others do.
    pub(super) async fn check_unique(&self) -> Result<Vec<String>, StoreError> {
        let mut findings = Vec::new();
        for index in &self.index_rules().unique {
            findings.extend(self.compare(index, FINDINGS_MAX).await?);
        }
        Ok(findings)
    }

    async fn compare(&self, index: &Index, most: usize) -> Result<Vec<String>, StoreError> {
        let query = Arc::new(Query::everything());
        let found = self.find(&Requester::alone(), &query).await?;
        check_unique(self, index, found.events, most).await
    }
}

/// Whether a unique index that is to be checked is not whole yet.
fn is_building(snapshot: &Snapshot) -> bool {
    let mut kept = snapshot.indexes.iter().map(|(kept, _)| kept);
    kept.any(|kept| kept.is_unchecked() && !kept.state.is_whole)
}
