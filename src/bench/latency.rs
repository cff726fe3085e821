//! How long a change takes, at a steady rate, until every session has it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::client::{Client, Heard};
use super::connection::{Address, Changes, Connection, open_many};
use super::message::{self, Message};
use super::report::{Refusals, Report};
use super::stats::{Durations, rate};
use super::write::Writer;
use super::{GRACE, within_delivering};

/// Timers fire up to this late; a command later than that waited for the generator or the socket,
/// and its time counts from when it was due.
const TIMER_SLACK: Duration = Duration::from_millis(3);

/// How often to look whether every session has everything, once the writer is done.
const DRAIN_POLL: Duration = Duration::from_millis(10);

#[derive(clap::Args, Debug, Clone)]
pub(super) struct Options {
    /// Sessions that receive every change
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(super) sessions: u32,

    /// CREATEs a second, evenly spaced, over one more connection
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,

    /// Seconds to send
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Bytes of a command, about
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(100..=200_000))]
    bytes: u32,
}

/// How many sessions have a change, and when the last of them got it.
#[derive(Clone, Debug, Default)]
struct Arrival {
    sessions: u32,
    last: Option<Instant>,
}

/// The arrivals of all changes after `base`.
#[derive(Debug)]
struct Arrivals {
    base: u64,
    changes: Mutex<Vec<Arrival>>,
}

/// The writer's side: what was acknowledged.
#[derive(Debug, Default)]
struct Sent {
    changes: Vec<(u64, Instant)>,
    acks: Durations,
    refusals: Refusals,
}

pub(super) async fn run(urls: &[Address], options: Options) -> Result<Report> {
    let work = run_sessions(urls, &options);
    within_delivering(options.sessions, options.seconds, work).await
}

async fn run_sessions(urls: &[Address], options: &Options) -> Result<Report> {
    let opened = open_many(urls, options.sessions, Changes::All).await?;
    let first = urls.first().context("no --url")?;
    let writer = Connection::open(first, Changes::None).await?;
    let arrivals = Arc::new(Arrivals::after(writer.welcome));
    let mut sessions = JoinSet::new();
    for connection in opened {
        sessions.spawn(listen(connection, Arc::clone(&arrivals)));
    }
    let work = async {
        let sent = write(Client::new(writer), options).await?;
        arrivals.drain(&sent, options.sessions).await;
        Ok::<_, anyhow::Error>(sent)
    };
    tokio::select! {
        sent = work => report(options, &arrivals, sent?),
        Some(ended) = sessions.join_next() => match ended?? {},
    }
}

async fn listen(mut connection: Connection, arrivals: Arc<Arrivals>) -> Result<Infallible> {
    let mut seen = Vec::new();
    loop {
        seen.clear();
        connection
            .turn(|text| {
                if let Message::Change { seq, .. } = message::read(text) {
                    seen.push(seq);
                }
                Ok(())
            })
            .await?;
        arrivals.note(&seen, Instant::now())?;
    }
}

async fn write(mut client: Client, options: &Options) -> Result<Sent> {
    let writer = Writer::new(options.bytes as usize);
    let period = Duration::from_secs(1) / options.rate;
    let count = u64::from(options.rate) * options.seconds;
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sent, mut started) = (Sent::default(), 0);
    while started < count || client.outstanding() > 0 {
        tokio::select! {
            due = ticks.tick(), if started < count => {
                started += 1;
                client.send(sending_time(due.into()), |out, id| writer.create(out, id))?;
            }
            turn = client.turn(|heard| sent.note(heard)) => turn?,
        }
    }
    Ok(sent)
}

fn sending_time(due: Instant) -> Instant {
    let now = Instant::now();
    if now.saturating_duration_since(due) > TIMER_SLACK {
        return due;
    }
    now
}

impl Sent {
    fn note(&mut self, heard: Heard<'_>) {
        match heard {
            Heard::Done { sent, seq, .. } => {
                self.acks.add(sent.elapsed());
                self.changes.extend(seq.map(|seq| (seq, sent)));
            }
            Heard::Refused { code } => self.refusals.add(code),
            _ => {}
        }
    }
}

impl Arrivals {
    fn after(base: u64) -> Self {
        Self {
            base,
            changes: Mutex::new(Vec::new()),
        }
    }

    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.base + 1)?).ok()
    }

    fn note(&self, seen: &[u64], now: Instant) -> Result<()> {
        // Far more than a run can send: a larger number was misread.
        const CHANGES_MAX: usize = 50_000_000;
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        for index in seen.iter().filter_map(|seq| self.index(*seq)) {
            ensure!(index < CHANGES_MAX, "a change is far ahead of the log");
            if changes.len() <= index {
                changes.resize(index + 1, Arrival::default());
            }
            changes[index].sessions += 1;
            changes[index].last = Some(now);
        }
        Ok(())
    }

    /// When the last of `sessions` got `seq`; none if not all did, or one got it twice.
    fn complete(&self, seq: u64, sessions: u32) -> Option<Instant> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let arrival = changes.get(self.index(seq)?)?;
        arrival.last.filter(|_| arrival.sessions == sessions)
    }

    async fn drain(&self, sent: &Sent, sessions: u32) {
        let limit = Instant::now() + GRACE;
        for (seq, _) in &sent.changes {
            while self.complete(*seq, sessions).is_none() && Instant::now() < limit {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        }
    }
}

fn report(options: &Options, arrivals: &Arrivals, mut sent: Sent) -> Result<Report> {
    ensure!(
        !sent.changes.is_empty(),
        "no command succeeded: {:?}",
        sent.refusals
    );
    let mut everywhere = Durations::default();
    for (seq, begun) in &sent.changes {
        if let Some(last) = arrivals.complete(*seq, options.sessions) {
            everywhere.add(last.saturating_duration_since(*begun));
        }
    }
    let mut report = Report::new("latency");
    let acknowledged = sent.acks.len() as u64;
    report.row("sessions", options.sessions, "");
    let time = Duration::from_secs(options.seconds);
    report.row("sent", rate(acknowledged, time), "commands/s");
    report.percentiles("ack", &mut sent.acks, &[50, 90, 99]);
    report.percentiles("all sessions", &mut everywhere, &[50, 90, 99]);
    let lost = sent.changes.len() - everywhere.len();
    if lost > 0 {
        report.fault(format!("{lost} changes did not reach every session once"));
    }
    report.refusals(&sent.refusals);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_arrived_when_all_sessions_have_it() {
        let arrivals = Arrivals::after(10);
        let now = Instant::now();
        arrivals.note(&[9, 10, 11], now).unwrap();
        assert_eq!(arrivals.complete(11, 2), None);
        let later = now + Duration::from_millis(5);
        arrivals.note(&[11, 12], later).unwrap();
        assert_eq!(arrivals.complete(11, 2), Some(later));
        assert_eq!(arrivals.complete(12, 2), None);
        arrivals.note(&[11], later).unwrap();
        assert_eq!(arrivals.complete(11, 2), None, "one session got it twice");
    }

    #[test]
    fn a_late_command_counts_from_when_it_was_due() {
        let due = Instant::now();
        assert!(sending_time(due) >= due);
        let long_ago = due.checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(sending_time(long_ago), long_ago);
    }
}
