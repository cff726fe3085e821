//! Unique indexes: declared in the head, so that every node that appends keeps them.
//!
//! | step | others may |
//! |---|---|
//! | build the index | append |
//! | compare all events, as of a head | append, and then it is done again |
//! | write into the head that it is unique, if that is still the head | append from then on only if they keep it |

use std::sync::Arc;

use super::MongoStore;
use super::head;
use super::open::declared;
use super::read::holders;
use super::wire::call::{CALL_DEADLINE, CallError, code};
use crate::domain::EventId;
use crate::indexes::{Index, UniqueKey};
use crate::store::unique_check::{FINDINGS_MAX, check_unique, refusal};
use crate::store::{Store, StoreError};

/// Comparisons, while others append.
const ATTEMPTS_MAX: usize = 3;

impl MongoStore {
    /// See [`Store::holders`]. Without the index the database refuses to look, and is given it again: somebody dropped it.
    pub(super) async fn find_holders(
        &self,
        index: &Index,
        keys: &[Arc<UniqueKey>],
    ) -> Result<Vec<(usize, EventId)>, StoreError> {
        match holders::find(&self.database, index, keys).await {
            Err(StoreError::Refused(reason)) => {
                tracing::warn!(
                    index = index.name(),
                    reason,
                    "it is looked for, and made again if it is gone"
                );
                declared::create(&self.database, index).await?;
                holders::find(&self.database, index, keys).await
            }
            found => found,
        }
    }

    /// Has these indexes, of those that are unique, built and checked, and declares them in the head, and no others.
    pub(super) async fn ensure_unique(&self, indexes: &[Index]) -> Result<(), StoreError> {
        let unique: Vec<&Index> = indexes.iter().filter(|index| index.is_unique()).collect();
        let mut names: Vec<String> = unique.iter().map(|index| index.name().to_owned()).collect();
        names.sort_unstable();
        for index in &unique {
            self.build_unique(index).await?;
        }
        for _ in 0..ATTEMPTS_MAX {
            let head = self.log.head(CALL_DEADLINE).await?;
            if head.unique == names {
                return Ok(());
            }
            let is_new = |index: &&&Index| !head.unique.iter().any(|name| name == index.name());
            for index in unique.iter().filter(is_new) {
                tracing::info!(index = index.name(), "checking that it is unique");
                if let Some(finding) = self.compare(index, 1).await?.first() {
                    return Err(refusal(index, finding));
                }
            }
            if head::declare_unique(&self.database, &head, &names).await? {
                *self.log.unique() = names;
                self.appender.writes_to(head.view + 1);
                return Ok(());
            }
        }
        Err(StoreError::Refused(
            "other nodes wrote while it was checked that an index is unique: stop them first"
                .to_owned(),
        ))
    }

    async fn build_unique(&self, index: &Index) -> Result<(), StoreError> {
        match declared::create(&self.database, index).await {
            Ok(()) => Ok(()),
            Err(failure) if failure.code() == Some(code::PARALLEL_ARRAYS) => {
                Err(self.parallel(index, failure).await)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Why the index cannot be built, with the event that is in the way.
    async fn parallel(&self, index: &Index, failure: CallError) -> StoreError {
        match holders::parallel_event(&self.database, index).await {
            Ok(Some(id)) => {
                let finding =
                    format!("unique index {index}: event {id} has arrays in two of its fields");
                refusal(index, &finding)
            }
            Ok(None) => failure.into(),
            Err(error) => error,
        }
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
        let events = holders::events(&self.database, index).await?;
        check_unique(self, index, events, most).await
    }
}
