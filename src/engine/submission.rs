//! Commands on their way through the committer, and those who wait for them.

use std::collections::HashSet;

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::mailbox;
use super::{Done, Outcome, SubmitError};
use crate::domain::{Command, CommandBatch, CommandId, EventId};

/// An order, and who waits for it.
pub(super) type QueuedBatch = mailbox::Queued<CommandBatch, Done>;

/// Commands that stand or fall together. Empty once everyone has an answer.
pub(super) struct Submission {
    /// Each with the events that its commands are about, whose ids are made here for those CREATEs that left
    /// them to the server.
    letters: Vec<(Vec<EventId>, QueuedBatch)>,
}

impl Submission {
    pub(super) fn open(letters: Vec<QueuedBatch>) -> Self {
        let address = |letter: QueuedBatch| {
            let targets = letter.content.commands.iter().map(|command| {
                let target = command.target().cloned();
                target.unwrap_or_else(|| Uuid::now_v7().into())
            });
            (targets.collect(), letter)
        };
        let letters = letters.into_iter().map(address).collect();
        Self { letters }
    }

    /// Each order with the events its commands are about.
    pub(super) fn orders(&self) -> impl Iterator<Item = (&[EventId], &CommandBatch)> {
        self.letters
            .iter()
            .map(|(ids, letter)| (ids.as_slice(), &letter.content))
    }

    /// Of each order the events that must be known to decide it; not those whose id was made here.
    pub(super) fn targets(&self) -> impl Iterator<Item = impl Iterator<Item = &EventId>> {
        self.letters
            .iter()
            .map(|(_, letter)| letter.content.commands.iter().filter_map(Command::target))
    }

    fn commands(&self) -> impl Iterator<Item = &Command> {
        let letters = self.letters.iter();
        letters.flat_map(|(_, letter)| &letter.content.commands)
    }

    /// Events that a command may bring to be.
    pub(super) fn births(&self) -> impl Iterator<Item = &EventId> {
        let births = self.commands().filter(|command| match command {
            Command::Create(_) | Command::Restore(_) => true,
            Command::Update(_) | Command::Delete(_) => false,
        });
        births.filter_map(Command::target)
    }

    /// Events that a command may end.
    pub(super) fn ends(&self) -> HashSet<&EventId> {
        let ends = self.commands().filter_map(|command| match command {
            Command::Delete(delete) => Some(&delete.id),
            Command::Create(_) | Command::Update(_) | Command::Restore(_) => None,
        });
        ends.collect()
    }

    /// Versions of events whose contents are asked for, each with the place of the order that asks.
    pub(super) fn sources(&self) -> Vec<(usize, EventId, u64)> {
        let orders = self.letters.iter().enumerate();
        let commands = orders.flat_map(|(at, (_, letter))| {
            let commands = letter.content.commands.iter();
            commands.filter_map(move |command| Some((at, command.source()?)))
        });
        commands
            .map(|(at, (id, version))| (at, id.clone(), version))
            .collect()
    }

    pub(super) fn letters(&self) -> impl Iterator<Item = &QueuedBatch> {
        self.letters.iter().map(|(_, letter)| letter)
    }

    /// When the one that has waited longest arrived.
    pub(super) fn since(&self) -> Option<Instant> {
        self.letters.iter().map(|(_, letter)| letter.arrived).min()
    }

    /// Of each order its id, by which it may have been carried out before, and the number of its commands.
    pub(super) fn keyed(&self) -> impl Iterator<Item = Option<(CommandId, usize)>> {
        self.letters.iter().map(|(_, letter)| {
            let CommandBatch { commands, key, .. } = &letter.content;
            Some((key.as_ref()?.key.id.clone(), commands.len()))
        })
    }

    /// How many orders wait for their answers.
    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    pub(super) fn is_answered(&self) -> bool {
        self.letters.is_empty()
    }

    /// Takes out the letters after the first `count`.
    pub(super) fn put_off(
        &mut self,
        count: usize,
    ) -> impl DoubleEndedIterator<Item = QueuedBatch> + use<> {
        let count = count.min(self.letters.len());
        let rest = self.letters.split_off(count);
        rest.into_iter().map(|(_, letter)| letter)
    }

    /// Answers in submission order. A dropped receiver is a client that left; its change stands.
    pub(super) fn answer(&mut self, outcomes: Vec<Outcome>) {
        for ((_, letter), outcome) in self.letters.drain(..).zip(outcomes) {
            let _ = letter.reply.send(outcome);
        }
    }

    /// Answers the first letter alone.
    pub(super) fn refuse_first(&mut self, why: SubmitError) {
        if !self.letters.is_empty() {
            let (_, letter) = self.letters.remove(0);
            let _ = letter.reply.send(Err(why));
        }
    }

    pub(super) fn refuse(&mut self, why: &SubmitError) {
        for (_, letter) in self.letters.drain(..) {
            let _ = letter.reply.send(Err(why.clone()));
        }
    }

    /// Waits for work on which everything hangs; at the deadline those who wait hear `why`, and the
    /// work goes on.
    pub(super) async fn watch<F: Future>(
        &mut self,
        deadline: Instant,
        why: &SubmitError,
        work: F,
    ) -> F::Output {
        tokio::pin!(work);
        tokio::select! {
            biased;
            output = &mut work => return output,
            () = sleep_until(deadline), if !self.is_answered() => self.refuse(why),
        }
        work.await
    }
}
