//! Whether events hold the same in a unique index: all of them are compared with who is found under what they hold.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{Stream, StreamExt};

use super::{Store, StoreError};
use crate::domain::{Event, EventId};
use crate::indexes::{Index, UniqueKey};

/// Events that are compared at once, if each holds one key.
const KEYS_COUNT: usize = 1_000;

/// What cannot be in a unique index as it is, in words without a value: at most `most` findings of these events, which are all
/// that there are.
pub(super) async fn check_unique(
    store: &dyn Store,
    index: &Index,
    events: impl Stream<Item = Result<Event, StoreError>>,
    most: usize,
) -> Result<Vec<String>, StoreError> {
    let mut findings = Vec::new();
    let mut held = ComparedKeys::default();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await.transpose()? {
        match index.unique_keys_of(&event) {
            Ok(keys) => held.add(&event.id, keys),
            Err(offence) => findings.push(format!("event {}: {offence}", event.id)),
        }
        if held.by.len() >= KEYS_COUNT {
            findings.extend(std::mem::take(&mut held).clashes(store, index).await?);
        }
        if findings.len() >= most {
            break;
        }
    }
    findings.extend(held.clashes(store, index).await?);
    findings.truncate(most);
    let of_index = |finding| format!("unique index {index}: {finding}");
    Ok(findings.into_iter().map(of_index).collect())
}

/// Keys, and the first event, by its id, that holds each.
#[derive(Default)]
struct ComparedKeys {
    by: HashMap<Arc<UniqueKey>, EventId>,
}

impl ComparedKeys {
    fn add(&mut self, id: &EventId, keys: Vec<UniqueKey>) {
        for key in keys {
            let first = self.by.entry(Arc::new(key)).or_insert_with(|| id.clone());
            if id < first {
                *first = id.clone();
            }
        }
    }

    /// Of two events that hold the same, the first finds the other.
    async fn clashes(self, store: &dyn Store, index: &Index) -> Result<Vec<String>, StoreError> {
        let (keys, by): (Vec<_>, Vec<_>) = self.by.into_iter().unzip();
        let holders = store.holders(index, &keys).await?.into_iter();
        let others = holders.filter(|(key, id)| by[*key] < *id);
        let told =
            others.map(|(key, other)| format!("events {} and {other} hold the same", by[key]));
        Ok(told.collect())
    }
}

/// As many findings as a report has at most.
pub(super) const FINDINGS_MAX: usize = 1_000;

/// Why a unique index cannot be declared.
pub(super) fn refusal(index: &Index, finding: &str) -> StoreError {
    StoreError::Refused(format!(
        "{finding}. Change what is stored, and start again; or declare it with --index {index}, which promises nothing"
    ))
}
