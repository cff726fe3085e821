//! Decides a submission, and looks up who holds what it takes of unique indexes.
//!
//! What is taken is known only once it is decided. So first it is decided as if all were free, and what that takes is looked
//! up, all at once. Most often it is free indeed, and that is it. Otherwise all is decided again on what is known now, up to
//! the first command batch that then takes something else: those from there on are deferred.

use std::sync::Arc;

use futures::future::try_join_all;

use super::committer::{AttemptError, Committer};
use super::context::{Decided, DecisionContext, decide_all};
use super::holders::UniqueKeys;
use super::submission::Submission;
use crate::domain::EventId;
use crate::indexes::UniqueKey;

/// Keys that some event holds, each with the place of its index.
type HeldKeys = Vec<(usize, Arc<UniqueKey>, EventId)>;

impl Committer {
    /// Decides as many command batches as are appended together, and defers the others. The context is then as they leave
    /// it.
    pub(super) async fn decide(
        &mut self,
        submission: &mut Submission,
        mut context: DecisionContext,
    ) -> Result<(Decided, DecisionContext), AttemptError> {
        let at = self.clock.now();
        let before = context.holders.are_asked_for().then(|| context.clone());
        let decided = decide_all(submission.with_targets(), &mut context, at);
        self.defer(submission, decided.outcomes.len());
        let (Some(mut before), 1..) = (before, context.holders.assumed_count()) else {
            return Ok((decided, context));
        };
        let keys = context.holders.assumed();
        let held = self.look_up(submission, keys).await?;
        context.is_mixed = true;
        if held.is_empty() {
            return Ok((decided, context));
        }
        before.holders.know(keys, held);
        before.is_mixed = true;
        let decided = decide_all(submission.with_targets(), &mut before, at);
        debug_assert!(
            submission.is_answered() || !decided.outcomes.is_empty(),
            "all that the first command batch takes was looked up"
        );
        self.defer(submission, decided.outcomes.len());
        Ok((decided, before))
    }

    /// Those of the keys that some event holds at the head, or later.
    async fn look_up(
        &mut self,
        submission: &mut Submission,
        keys: &UniqueKeys,
    ) -> Result<HeldKeys, AttemptError> {
        let (store, rules) = (Arc::clone(&self.store), Arc::clone(&self.index_rules));
        let taken = rules.unique.iter().zip(keys);
        let taken = taken.filter(|(_, keys)| !keys.is_empty());
        let reads = try_join_all(taken.map(|(index, keys)| store.holders(index, keys)));
        let found = self.read_store(submission, reads).await?;
        let places = keys.iter().enumerate().filter(|(_, keys)| !keys.is_empty());
        let held = places.zip(found).flat_map(|((place, keys), holders)| {
            let held = holders.into_iter();
            held.map(move |(key, id)| (place, Arc::clone(&keys[key]), id))
        });
        Ok(held.collect())
    }
}
