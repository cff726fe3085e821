//! Commands on their way through the committer, and those who wait for them.

use std::collections::{HashMap, HashSet};

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::mailbox::Letter;
use super::{Outcome, Refused};
use crate::domain::{Command, CommandId, EventId, Order};

/// Commands that stand or fall together. Empty once everyone has an answer.
pub(super) struct Submission {
    /// Each with the events that its commands are about, whose ids are made here for those CREATEs that left
    /// them to the server.
    letters: Vec<(Vec<EventId>, Letter<Order, Outcome>)>,
    /// Of the letter that has waited longest.
    deadline: Instant,
}

impl Submission {
    pub(super) fn open(letters: Vec<Letter<Order, Outcome>>) -> Self {
        let deadline = letters
            .first()
            .map(|letter| letter.deadline)
            .expect("a batch holds at least one letter");
        let address = |letter: Letter<Order, Outcome>| {
            let targets = letter.content.commands.iter().map(|command| {
                let target = command.target().cloned();
                target.unwrap_or_else(|| Uuid::now_v7().into())
            });
            (targets.collect(), letter)
        };
        let letters = letters.into_iter().map(address).collect();
        Self { letters, deadline }
    }

    /// Each order with the events its commands are about.
    pub(super) fn orders(&self) -> impl Iterator<Item = (&[EventId], &Order)> {
        self.letters
            .iter()
            .map(|(ids, letter)| (ids.as_slice(), &letter.content))
    }

    /// Events that must be known to decide; not those whose id was made here.
    pub(super) fn targets(&self) -> impl Iterator<Item = &EventId> {
        self.commands().filter_map(Command::target)
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

    /// Ids of orders that may have been carried out before, with the number of their commands.
    pub(super) fn command_ids(&self) -> HashMap<CommandId, usize> {
        let orders = self.letters.iter().map(|(_, letter)| &letter.content);
        let keyed = orders.filter_map(|order| Some((order.key.as_ref()?, order.commands.len())));
        keyed.map(|(key, count)| (key.id.clone(), count)).collect()
    }

    /// Versions of events whose contents are asked for.
    pub(super) fn sources(&self) -> HashSet<(EventId, u64)> {
        let sources = self.commands().filter_map(Command::source);
        sources.map(|(id, version)| (id.clone(), version)).collect()
    }

    pub(super) fn is_answered(&self) -> bool {
        self.letters.is_empty()
    }

    /// Takes out the letters after the first `count`.
    pub(super) fn put_off(
        &mut self,
        count: usize,
    ) -> impl DoubleEndedIterator<Item = Letter<Order, Outcome>> {
        self.letters
            .split_off(count)
            .into_iter()
            .map(|(_, letter)| letter)
    }

    /// Each command as a submission of its own.
    pub(super) fn split(self) -> impl Iterator<Item = Self> {
        let deadline = self.deadline;
        self.letters.into_iter().map(move |letter| Self {
            letters: vec![letter],
            deadline,
        })
    }

    /// Answers in submission order. A dropped receiver is a client that left; its change stands.
    pub(super) fn answer(&mut self, outcomes: Vec<Outcome>) {
        for ((_, letter), outcome) in self.letters.drain(..).zip(outcomes) {
            let _ = letter.reply.send(outcome);
        }
    }

    pub(super) fn refuse(&mut self, why: &Refused) {
        for (_, letter) in self.letters.drain(..) {
            let _ = letter.reply.send(Err(why.clone()));
        }
    }

    /// Waits for work on which everything hangs; at the deadline those who wait hear `why`, and the
    /// work goes on.
    pub(super) async fn watch<F: Future>(&mut self, why: &Refused, work: F) -> F::Output {
        tokio::pin!(work);
        tokio::select! {
            biased;
            output = &mut work => return output,
            () = sleep_until(self.deadline), if !self.is_answered() => self.refuse(why),
        }
        work.await
    }
}
