//! An open-loop load: changes written at a steady rate, and when each reached each session.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::time::MissedTickBehavior;

use super::GRACE;
use super::client::{Client, Received};
use super::connection::BenchConnection;
use super::message;
use super::message::Message;
use super::report::{BenchReport, RefusalCounts};
use super::sequence::Sequence;
use super::stats::Durations;
use super::write::BenchWriter;

/// Timers fire up to this late. A command that is sent later waited for the generator or the socket, and its latency
/// counts from when it was due (no coordinated omission).
const TIMER_SLACK: Duration = Duration::from_millis(3);

/// How often to check whether every session has everything, once the writer is done.
const DRAIN_POLL: Duration = Duration::from_millis(10);

/// How fast to write, and what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// CREATEs a second, evenly spaced.
    pub(super) rate: u32,
    pub(super) seconds: u64,
    /// Bytes of a command.
    pub(super) bytes: usize,
}

/// The writer's side: what was acknowledged.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Each change's `seq`, and when it was sent.
    pub(super) changes: Vec<(u64, Instant)>,
    pub(super) acks: Durations,
    pub(super) refusals: RefusalCounts,
}

/// The arrivals of all changes after `base`.
#[derive(Debug)]
pub(super) struct Arrivals {
    base: u64,
    begun: Instant,
    /// By change: when it reached each session, as microseconds after `begun`, the last one last.
    changes: Mutex<Vec<Vec<u32>>>,
}

impl Pace {
    /// Writes until all is acknowledged.
    pub(super) async fn write(self, client: &mut Client) -> Result<Sent> {
        let writer = BenchWriter::new(self.bytes);
        let count = u64::from(self.rate) * self.seconds;
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / self.rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut sent, mut started) = (Sent::default(), 0);
        while started < count || client.outstanding() > 0 {
            tokio::select! {
                due = ticks.tick(), if started < count => {
                    started += 1;
                    client.send(sending_time(due.into()), |out, id| writer.create(out, id))?;
                }
                step = client.step(|received| sent.note(received)) => step?,
            }
        }
        ensure!(
            !sent.changes.is_empty(),
            "no command succeeded: {:?}",
            sent.refusals
        );
        Ok(sent)
    }
}

fn sending_time(due: Instant) -> Instant {
    let now = Instant::now();
    if now.saturating_duration_since(due) > TIMER_SLACK {
        return due;
    }
    now
}

impl Sent {
    /// The last change; 0 if there is none.
    pub(super) fn last(&self) -> u64 {
        self.changes.last().map_or(0, |(seq, _)| *seq)
    }

    pub(super) fn add(&mut self, mut other: Self) {
        self.changes.append(&mut other.changes);
        self.acks.append(&mut other.acks);
        self.refusals.merge(other.refusals);
    }

    fn note(&mut self, received: Received<'_>) {
        match received {
            Received::Done { sent, seq, .. } => {
                self.acks.add(sent.elapsed());
                self.changes.extend(seq.map(|seq| (seq, sent)));
            }
            Received::Refused { code } => self.refusals.add(code),
            _ => {}
        }
    }
}

/// Notes when changes reach one session, which must be every change, once, in order.
pub(super) async fn listen(
    mut connection: BenchConnection,
    arrivals: Arc<Arrivals>,
) -> Result<Infallible> {
    let mut sequence = Sequence::after(connection.welcome);
    let mut seqs = Vec::new();
    loop {
        seqs.clear();
        connection
            .step(|text| {
                if let Message::Change { seq, .. } = message::read(text) {
                    seqs.push(seq);
                }
                Ok(())
            })
            .await?;
        seqs.iter().for_each(|seq| sequence.see(*seq));
        let (missing, repeated) = sequence.take_faults();
        ensure!(
            (missing, repeated) == (0, 0),
            "a session missed {missing} changes, {repeated} came twice or out of order"
        );
        arrivals.note(&seqs, Instant::now());
    }
}

impl Arrivals {
    pub(super) fn after(base: u64) -> Self {
        Self {
            base,
            begun: Instant::now(),
            changes: Mutex::new(Vec::new()),
        }
    }

    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.base + 1)?).ok()
    }

    fn note(&self, seqs: &[u64], now: Instant) {
        let micros = u32::try_from((now - self.begun).as_micros()).unwrap_or(u32::MAX);
        let mut changes = self.changes();
        for index in seqs.iter().filter_map(|seq| self.index(*seq)) {
            // A session's changes have no gaps, so this grows by one at a time.
            if changes.len() <= index {
                changes.resize(index + 1, Vec::new());
            }
            changes[index].push(micros);
        }
    }

    /// How long each delivery of `seq`, sent at `sent`, took.
    pub(super) fn each(&self, seq: u64, sent: Instant, durations: &mut Durations) {
        let changes = self.changes();
        let arrived = self.index(seq).and_then(|index| changes.get(index));
        for micros in arrived.into_iter().flatten() {
            durations.add(self.time(*micros).saturating_duration_since(sent));
        }
    }

    /// When the last of `sessions` received `seq`; none if not all did, or one received it twice.
    pub(super) fn complete(&self, seq: u64, sessions: u32) -> Option<Instant> {
        let changes = self.changes();
        let arrived = changes.get(self.index(seq)?)?;
        let last = arrived
            .last()
            .filter(|_| arrived.len() == sessions as usize);
        last.map(|micros| self.time(*micros))
    }

    /// Waits until every session has everything, or [`GRACE`] at most; [`Self::report_losses`] tells which.
    pub(super) async fn drain(&self, sent: &Sent, sessions: u32) {
        let limit = Instant::now() + GRACE;
        for (seq, _) in &sent.changes {
            while self.complete(*seq, sessions).is_none() && Instant::now() < limit {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        }
    }

    pub(super) fn report_losses(&self, report: &mut BenchReport, sent: &Sent, sessions: u32) {
        let lost = |(seq, _): &&(u64, Instant)| self.complete(*seq, sessions).is_none();
        let lost = sent.changes.iter().filter(lost).count();
        if lost > 0 {
            report.fault(format!("{lost} changes did not reach every session once"));
        }
        report.refusals(&sent.refusals);
    }

    fn time(&self, micros: u32) -> Instant {
        self.begun + Duration::from_micros(micros.into())
    }

    fn changes(&self) -> MutexGuard<'_, Vec<Vec<u32>>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_arrived_when_all_sessions_have_it() {
        let arrivals = Arrivals::after(10);
        let at = |millis| arrivals.begun + Duration::from_millis(millis);
        arrivals.note(&[9, 10, 11], at(1));
        assert_eq!(arrivals.complete(11, 2), None);
        arrivals.note(&[11, 12], at(6));
        assert_eq!(arrivals.complete(11, 2), Some(at(6)));
        assert_eq!(arrivals.complete(12, 2), None);
        arrivals.note(&[11], at(7));
        assert_eq!(arrivals.complete(11, 2), None, "one session got it twice");
    }

    #[test]
    fn each_delivery_counts_from_when_its_command_was_sent() {
        let arrivals = Arrivals::after(10);
        let at = |millis| arrivals.begun + Duration::from_millis(millis);
        arrivals.note(&[11], at(5));
        arrivals.note(&[11], at(9));
        let mut durations = Durations::default();
        arrivals.each(11, at(2), &mut durations);
        arrivals.each(12, at(2), &mut durations);
        durations.sort();
        assert_eq!(durations.len(), 2);
        assert!((durations.percentile(100) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn a_late_command_counts_from_when_it_was_due() {
        let due = Instant::now();
        assert!(sending_time(due) >= due);
        let long_ago = due.checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(sending_time(long_ago), long_ago);
    }
}
