//! A closed-loop load: commands sent as fast as they are answered, over many connections, for a measured time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::client::{Client, Received};
use super::report::RefusalCounts;
use super::stats::Durations;

/// How much load, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoadPlan {
    /// Commands each connection keeps unanswered.
    pub(super) outstanding: usize,
    /// The same load before anything counts.
    pub(super) warm_up: Duration,
    pub(super) measured: Duration,
}

/// The commands of one connection.
pub(super) trait Commands: Send + 'static {
    /// Writes the next one.
    fn write(&mut self, out: &mut Vec<u8>, id: u64) -> std::io::Result<()>;

    /// Command `id` was carried out, measured or not.
    fn done(&mut self, _id: u64, _seq: Option<u64>) {}
}

/// What the commands did.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) changes: u64,
    pub(super) latencies: Durations,
    pub(super) refusals: RefusalCounts,
}

impl LoadPlan {
    pub(super) async fn run<C: Commands>(self, senders: Vec<(Client, C)>) -> Result<Tally> {
        let start = Arc::new(Barrier::new(senders.len()));
        let mut tasks = JoinSet::new();
        for (client, commands) in senders {
            tasks.spawn(self.send(client, commands, Arc::clone(&start)));
        }
        let mut total = Tally::default();
        while let Some(tally) = tasks.join_next().await {
            total.add(tally??);
        }
        Ok(total)
    }

    async fn send<C: Commands>(
        self,
        mut client: Client,
        mut commands: C,
        start: Arc<Barrier>,
    ) -> Result<Tally> {
        start.wait().await;
        let from = Instant::now() + self.warm_up;
        let to = from + self.measured;
        let mut tally = Tally::default();
        while Instant::now() < to {
            self.fill(&mut client, &mut commands)?;
            tally.step(&mut client, &mut commands, from, to).await?;
        }
        // What is outstanding must be answered too, though it counts no more.
        while client.outstanding() > 0 {
            tally.step(&mut client, &mut commands, from, to).await?;
        }
        Ok(tally)
    }

    fn fill(self, client: &mut Client, commands: &mut impl Commands) -> Result<()> {
        let now = Instant::now();
        while client.outstanding() < self.outstanding {
            client.send(now, |out, id| commands.write(out, id))?;
        }
        Ok(())
    }
}

impl Tally {
    async fn step(
        &mut self,
        client: &mut Client,
        commands: &mut impl Commands,
        from: Instant,
        to: Instant,
    ) -> Result<()> {
        let mut now = None;
        client
            .step(|received| {
                let now = *now.get_or_insert_with(Instant::now);
                if let Received::Done { id, seq, .. } = received {
                    commands.done(id, seq);
                }
                self.count(received, now, now >= from && now < to);
            })
            .await
    }

    fn count(&mut self, received: Received<'_>, now: Instant, measured: bool) {
        match received {
            // Refusals count whenever they come: a run with any is a failure.
            Received::Refused { code } => self.refusals.add(code),
            Received::Done { sent, .. } if measured => {
                self.done += 1;
                self.latencies.add(now - sent);
            }
            Received::Change { .. } if measured => self.changes += 1,
            _ => {}
        }
    }

    pub(super) fn add(&mut self, mut other: Self) {
        self.done += other.done;
        self.changes += other.changes;
        self.latencies.append(&mut other.latencies);
        self.refusals.merge(other.refusals);
    }
}
