//! Commands on their way through the committer, and those who wait for them.

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::mailbox::Letter;
use super::{Outcome, Refused};
use crate::domain::{Command, EventId};

/// Commands that will stand or fall together.
pub(super) struct Submission {
    /// With the id each is about; made here for a CREATE that left it to the server.
    pub(super) commands: Vec<(EventId, Command)>,
    pub(super) replies: Replies,
}

/// Where the answers of a submission go: once, at the end or at the deadline.
pub(super) struct Replies {
    senders: Vec<oneshot::Sender<Outcome>>,
    deadline: Instant,
}

impl Submission {
    pub(super) fn open(letters: Vec<Letter<Command, Outcome>>) -> Self {
        let deadline = letters
            .first()
            .map(|letter| letter.deadline)
            .expect("a batch holds at least one letter");
        let mut commands = Vec::with_capacity(letters.len());
        let mut senders = Vec::with_capacity(letters.len());
        for letter in letters {
            let id = letter
                .content
                .target()
                .cloned()
                .unwrap_or_else(|| EventId::from(Uuid::now_v7()));
            commands.push((id, letter.content));
            senders.push(letter.reply);
        }
        Self {
            commands,
            replies: Replies { senders, deadline },
        }
    }

    /// Keeps the first `count` commands and puts the others in front of `rest`.
    pub(super) fn put_off(&mut self, count: usize, rest: &mut Option<Self>) {
        if count == self.commands.len() {
            return;
        }
        let mut commands = self.commands.split_off(count);
        let mut senders = self.replies.senders.split_off(count);
        if let Some(later) = rest.take() {
            commands.extend(later.commands);
            senders.extend(later.replies.senders);
        }
        let deadline = self.replies.deadline;
        *rest = Some(Self {
            commands,
            replies: Replies { senders, deadline },
        });
    }

    /// Each command as a submission of its own.
    pub(super) fn split(self) -> impl Iterator<Item = Self> {
        let deadline = self.replies.deadline;
        self.commands
            .into_iter()
            .zip(self.replies.senders)
            .map(move |(command, sender)| Self {
                commands: vec![command],
                replies: Replies {
                    senders: vec![sender],
                    deadline,
                },
            })
    }
}

impl Replies {
    /// Answers in submission order. A dropped receiver is a client that left; its change stands.
    pub(super) fn answer(&mut self, outcomes: Vec<Outcome>) {
        for (sender, outcome) in self.senders.drain(..).zip(outcomes) {
            let _ = sender.send(outcome);
        }
    }

    pub(super) fn refuse(&mut self, why: &Refused) {
        for sender in self.senders.drain(..) {
            let _ = sender.send(Err(why.clone()));
        }
    }

    pub(super) fn refuse_if_late(&mut self, why: &Refused) -> bool {
        let late = self.deadline <= Instant::now();
        if late {
            self.refuse(why);
        }
        late
    }

    /// Waits for work on which everything hangs; at the deadline those who wait hear that the
    /// outcome is unknown, and the work goes on.
    pub(super) async fn watch<F: Future>(&mut self, work: F) -> F::Output {
        tokio::pin!(work);
        tokio::select! {
            biased;
            output = &mut work => return output,
            () = sleep_until(self.deadline), if !self.senders.is_empty() => self.refuse(&Refused::Unknown),
        }
        work.await
    }
}
