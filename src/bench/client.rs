//! A client: sends commands over a connection, and matches answers to them.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::connection::BenchConnection;
use super::message;
use super::message::Message;

/// A message: the answer to a command, or one without a command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Received<'a> {
    Done {
        id: u64,
        sent: Instant,
        seq: Option<u64>,
    },
    Refused {
        code: &'a str,
    },
    Change {
        sub: Option<u64>,
        seq: u64,
    },
    Behind,
    Reset,
}

/// Sends commands, numbered from 1; answers must come in that order.
#[derive(Debug)]
pub(super) struct Client {
    connection: BenchConnection,
    waiting: VecDeque<Instant>,
    answered: u64,
    text: Vec<u8>,
}

impl Client {
    pub(super) fn new(connection: BenchConnection) -> Self {
        Self {
            connection,
            waiting: VecDeque::new(),
            answered: 0,
            text: Vec::new(),
        }
    }

    pub(super) fn outstanding(&self) -> usize {
        self.waiting.len()
    }

    /// Queues the command that `write` writes, given its `id`.
    pub(super) fn send(
        &mut self,
        sent: Instant,
        write: impl FnOnce(&mut Vec<u8>, u64) -> std::io::Result<()>,
    ) -> Result<()> {
        self.text.clear();
        let id = self.answered + self.waiting.len() as u64 + 1;
        write(&mut self.text, id)?;
        self.waiting.push_back(sent);
        self.connection.queue(&self.text)
    }

    /// Sends a command for each of `subjects`, which `write` writes, and waits until all are carried out.
    /// Every message but refusals is passed to `each`.
    pub(super) async fn carry_out<T>(
        &mut self,
        subjects: impl IntoIterator<Item = T>,
        write: impl Fn(&mut Vec<u8>, u64, T) -> std::io::Result<()>,
        mut each: impl FnMut(Received<'_>),
    ) -> Result<()> {
        let now = Instant::now();
        for subject in subjects {
            self.send(now, |out, id| write(out, id, subject))?;
        }
        let mut refused = None;
        while self.outstanding() > 0 {
            self.step(|received| match received {
                Received::Refused { code } => refused = Some(code.to_owned()),
                received => each(received),
            })
            .await?;
        }
        match refused {
            Some(code) => bail!("the server answered `{code}`"),
            None => Ok(()),
        }
    }

    /// Sends what is queued, waits for messages and passes each of them to `each`.
    pub(super) async fn step(&mut self, mut each: impl FnMut(Received<'_>)) -> Result<()> {
        let (waiting, answered) = (&mut self.waiting, &mut self.answered);
        self.connection
            .step(|text| {
                match message::read(text) {
                    Message::Response { id, seq } => {
                        let sent = take_answered(waiting, answered, id)?;
                        let id = *answered;
                        each(Received::Done { id, sent, seq });
                    }
                    Message::Error { id, code } => {
                        take_answered(waiting, answered, id)?;
                        each(Received::Refused { code });
                    }
                    Message::Change { sub, seq } => each(Received::Change { sub, seq }),
                    Message::Behind => each(Received::Behind),
                    Message::Reset => each(Received::Reset),
                    Message::Welcome { .. } | Message::Broadcast { .. } | Message::Other => {}
                }
                Ok(())
            })
            .await
    }
}

fn take_answered(
    waiting: &mut VecDeque<Instant>,
    answered: &mut u64,
    id: Option<u64>,
) -> Result<Instant> {
    *answered += 1;
    ensure!(
        id == Some(*answered),
        "answers out of order: command {answered} was next, {id:?} was answered"
    );
    match waiting.pop_front() {
        Some(sent) => Ok(sent),
        None => bail!("command {answered} was answered but never sent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_must_come_in_the_order_of_commands() {
        let mut waiting = VecDeque::from([Instant::now(), Instant::now()]);
        let mut answered = 0;
        assert!(take_answered(&mut waiting, &mut answered, Some(1)).is_ok());
        assert!(take_answered(&mut waiting, &mut answered, Some(3)).is_err());
        assert!(take_answered(&mut VecDeque::new(), &mut 0, Some(1)).is_err());
        assert!(take_answered(&mut waiting, &mut 0, None).is_err());
    }
}
