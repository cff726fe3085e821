//! A group of command batches on its way through the committer, with the clients that wait for the answers.

use std::collections::HashSet;

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::mailbox;
use super::{Done, Order, Outcome, SubmitError};
use crate::domain::{Command, CommandBatch, CommandId, EventId};

/// The commands that a client submitted together, and where the answer goes.
pub(super) type QueuedBatch = mailbox::Queued<Order, Done>;

/// Command batches that are decided and appended together (a group commit), in the order in which they were taken up.
/// Empty once each has its answer.
pub(super) struct Submission {
    /// Each with the events that its commands are about, whose ids are made here for those CREATEs that left
    /// them to the server.
    queued: Vec<(Vec<EventId>, QueuedBatch)>,
}

impl Submission {
    pub(super) fn new(queued: Vec<QueuedBatch>) -> Self {
        let with_targets = |queued: QueuedBatch| {
            let targets = queued.content.commands.commands.iter().map(|command| {
                let target = command.target().cloned();
                target.unwrap_or_else(|| Uuid::now_v7().into())
            });
            (targets.collect(), queued)
        };
        let queued = queued.into_iter().map(with_targets).collect();
        Self { queued }
    }

    /// Each command batch with the events that its commands are about.
    pub(super) fn with_targets(&self) -> impl Iterator<Item = (&[EventId], &Order)> {
        self.queued
            .iter()
            .map(|(targets, queued)| (targets.as_slice(), &queued.content))
    }

    /// For each command batch the events that must be known to decide it; not those whose id was made here.
    pub(super) fn named_targets(&self) -> impl Iterator<Item = impl Iterator<Item = &EventId>> {
        self.queued
            .iter()
            .map(|(_, queued)| commands_of(queued).iter().filter_map(Command::target))
    }

    fn commands(&self) -> impl Iterator<Item = &Command> {
        let queued = self.queued.iter();
        queued.flat_map(|(_, queued)| commands_of(queued))
    }

    /// Events that a command may create.
    pub(super) fn created(&self) -> impl Iterator<Item = &EventId> {
        let creating = self.commands().filter(|command| match command {
            Command::Create(_) | Command::Restore(_) | Command::Replace(_) => true,
            Command::Update(_) | Command::Delete(_) => false,
        });
        creating.filter_map(Command::target)
    }

    /// Events that a command may delete.
    pub(super) fn deleted(&self) -> HashSet<&EventId> {
        let deleted = self.commands().filter_map(|command| match command {
            Command::Delete(delete) => Some(&delete.id),
            Command::Create(_) | Command::Update(_) | Command::Restore(_) | Command::Replace(_) => {
                None
            }
        });
        deleted.collect()
    }

    /// Versions of events that RESTOREs name, each with the index of its command batch.
    pub(super) fn restored_versions(&self) -> Vec<(usize, EventId, u64)> {
        let queued = self.queued.iter().enumerate();
        let versions = queued.flat_map(|(index, (_, queued))| {
            let commands = commands_of(queued).iter();
            commands.filter_map(move |command| Some((index, command.source()?)))
        });
        versions
            .map(|(index, (id, version))| (index, id.clone(), version))
            .collect()
    }

    pub(super) fn queued(&self) -> impl Iterator<Item = &QueuedBatch> {
        self.queued.iter().map(|(_, queued)| queued)
    }

    /// When the command batch that has waited longest arrived.
    pub(super) fn oldest_arrival(&self) -> Option<Instant> {
        self.queued.iter().map(|(_, queued)| queued.arrived).min()
    }

    /// For each command batch its id, by which it may have been carried out before, and the number of its commands.
    pub(super) fn command_ids(&self) -> impl Iterator<Item = Option<(CommandId, usize)>> {
        self.queued.iter().map(|(_, queued)| {
            let CommandBatch { commands, key, .. } = &queued.content.commands;
            Some((key.as_ref()?.key.id.clone(), commands.len()))
        })
    }

    /// The number of command batches that wait for their answers.
    pub(super) fn len(&self) -> usize {
        self.queued.len()
    }

    pub(super) fn is_answered(&self) -> bool {
        self.queued.is_empty()
    }

    /// Takes out the command batches after the first `count`.
    pub(super) fn split_off(
        &mut self,
        count: usize,
    ) -> impl DoubleEndedIterator<Item = QueuedBatch> + use<> {
        let count = count.min(self.queued.len());
        let rest = self.queued.split_off(count);
        rest.into_iter().map(|(_, queued)| queued)
    }

    /// Answers all, in order. If the deadline passed meanwhile, they have been answered already.
    pub(super) fn answer(&mut self, outcomes: Vec<Outcome>) {
        assert!(
            self.is_answered() || self.len() == outcomes.len(),
            "each command batch gets its own outcome"
        );
        for ((_, queued), outcome) in self.queued.drain(..).zip(outcomes) {
            queued.answer(outcome);
        }
    }

    /// Refuses the first command batch alone.
    pub(super) fn refuse_first(&mut self, why: SubmitError) {
        if !self.queued.is_empty() {
            let (_, queued) = self.queued.remove(0);
            queued.answer(Err(why));
        }
    }

    pub(super) fn refuse(&mut self, why: &SubmitError) {
        for (_, queued) in self.queued.drain(..) {
            queued.answer(Err(why.clone()));
        }
    }

    /// Waits for `work`. At the deadline all are refused with `why`, `on_refused` is called, and the work goes on.
    pub(super) async fn refuse_at<F: Future>(
        &mut self,
        deadline: Instant,
        why: &SubmitError,
        on_refused: impl FnOnce(),
        work: F,
    ) -> F::Output {
        tokio::pin!(work);
        tokio::select! {
            biased;
            output = &mut work => return output,
            () = sleep_until(deadline), if !self.is_answered() => {
                on_refused();
                self.refuse(why);
            }
        }
        work.await
    }
}

fn commands_of(queued: &QueuedBatch) -> &[Command] {
    &queued.content.commands.commands
}
