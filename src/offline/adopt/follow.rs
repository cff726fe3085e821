//! Following a source until the cut-over: when to stop, and how far it came.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::follower::Follower;
use super::{AdoptOptions, FollowOptions};
use crate::domain::Timestamp;
use crate::store::{MoveProgress, Source, SourceChange, SourceEvent, Store, StoreError};
use crate::wall_clock;

/// Changes that are applied together.
const GROUP_COUNT: usize = 512;

/// How often the position is noted while nothing changes: the source's log must still reach back to it later.
const NOTE_INTERVAL: Duration = Duration::from_secs(30);

/// Follows until it is told to stop, or nothing has changed for long enough.
pub(super) async fn follow(
    source: &dyn Source,
    store: &Arc<dyn Store>,
    options: &AdoptOptions,
    progress: MoveProgress,
    until: FollowOptions,
) -> anyhow::Result<()> {
    let mut stop = Stop::on_signal(until)?;
    let mut changes = source.changes(progress.position()?)?;
    let mut follower = Follower::start(store, &options.intake);
    let mut progress = NotedProgress::new(progress);
    println!(
        "following {}: Ctrl-C ends it once it has caught up",
        source.name()
    );
    let mut events = Vec::new();
    while !stop.is_due() {
        tokio::select! {
            count = changes.recv_many(&mut events, GROUP_COUNT) => {
                ensure!(count > 0, "the source's changes ended");
                let taken = take(&mut events, &mut follower, &mut progress, &mut stop, store).await;
                if let Err(error) = taken {
                    follower.stop().await?;
                    return Err(error.context(follower.counts.to_string()));
                }
            }
            () = stop.told() => stop.note_told(),
        }
    }
    progress.write(&**store).await?;
    follower.stop().await?;
    print!("{}", follower.report);
    println!("followed {}: {}", source.name(), follower.counts);
    match stop.has_caught_up {
        true => println!(
            "cut over now: start livelog on this store. `livelog verify` compares its view with its log"
        ),
        false => println!("stopped before it had caught up: the same command goes on from here"),
    }
    Ok(())
}

async fn take(
    events: &mut Vec<Result<SourceEvent, StoreError>>,
    follower: &mut Follower<'_>,
    progress: &mut NotedProgress,
    stop: &mut Stop,
    store: &Arc<dyn Store>,
) -> anyhow::Result<()> {
    let mut changes: Vec<SourceChange> = Vec::new();
    let (mut position, mut failure, mut caught_up, mut last) = (None, None, None, None);
    for event in events.drain(..) {
        match event {
            Ok(SourceEvent::Change(change)) => {
                caught_up = None;
                position = Some(change.position.clone());
                last = change.at.or(last);
                changes.push(change);
            }
            Ok(SourceEvent::CaughtUp {
                position: at,
                asked,
            }) => {
                caught_up = Some(asked);
                position = Some(at);
            }
            Err(error) => failure = Some(error),
        }
    }
    let has_changes = !changes.is_empty();
    follower.apply(changes).await?;
    if let Some(position) = position {
        progress.advance(position, has_changes, &**store).await?;
    }
    stop.observe(has_changes, caught_up);
    stop.report(last, follower);
    match failure {
        Some(error) => bail!("cannot follow the source: {error}"),
        None => Ok(()),
    }
}

/// The progress, and when it was last noted.
struct NotedProgress {
    progress: MoveProgress,
    noted: Instant,
}

impl NotedProgress {
    fn new(progress: MoveProgress) -> Self {
        let noted = Instant::now();
        Self { progress, noted }
    }

    async fn advance(
        &mut self,
        position: String,
        has_changes: bool,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        self.progress.position = Some(position);
        if !has_changes && self.noted.elapsed() < NOTE_INTERVAL {
            return Ok(());
        }
        match self.write(store).await {
            // It is noted later: what is applied twice has its effect once.
            Err(error @ StoreError::Unavailable(_)) => {
                tracing::warn!(%error, "how far the source was followed is not noted");
                Ok(())
            }
            written => written,
        }
    }

    async fn write(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        self.noted = Instant::now();
        self.progress.write(store).await
    }
}

/// When to stop.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    until_idle: Option<Duration>,
    last_change: Instant,
    /// When it was told to, and how often.
    told: Vec<Instant>,
    /// Since it was told.
    has_caught_up: bool,
    has_said_so: bool,
    /// Whether the source had nothing more, when it was asked last.
    is_near: bool,
    reported: Instant,
}

/// A source that is written all the time never has nothing more: so close behind it is caught up with, by the clocks of
/// both.
const NEAR: Duration = Duration::from_secs(2);

/// How often it is said how far the following is.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

impl Stop {
    fn on_signal(until: FollowOptions) -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            until_idle: until.until_idle,
            last_change: Instant::now(),
            told: Vec::new(),
            has_caught_up: false,
            has_said_so: false,
            is_near: false,
            reported: Instant::now(),
        })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    fn note_told(&mut self) {
        self.told.push(Instant::now());
        // What was written before is still to come.
        self.has_caught_up = false;
    }

    /// Notes what was taken, and when the source was asked that had nothing more.
    fn observe(&mut self, has_changes: bool, caught_up: Option<Instant>) {
        if has_changes {
            self.last_change = Instant::now();
        }
        let told = self.told.first();
        self.has_caught_up = caught_up.is_some_and(|asked| told.is_none_or(|told| asked >= *told));
        self.is_near = caught_up.is_some();
    }

    /// Says how far it is: once that it has caught up, and now and then what was done. `last` is when the last change was
    /// made.
    fn report(&mut self, last: Option<Timestamp>, follower: &Follower<'_>) {
        let is_near = self.is_near || last.is_some_and(|last| last >= wall_clock::ago(NEAR));
        let counts = &follower.counts;
        if is_near && !std::mem::replace(&mut self.has_said_so, true) {
            println!("caught up: {counts}. Stop what writes to the source, then press Ctrl-C here");
        } else if let Some(last) = last
            && self.reported.elapsed() >= REPORT_INTERVAL
        {
            println!("followed up to {}: {counts}", last.as_str());
        } else {
            return;
        }
        self.reported = Instant::now();
    }

    fn is_due(&self) -> bool {
        let is_idle = self
            .until_idle
            .is_some_and(|idle| self.last_change.elapsed() >= idle);
        let is_told = !self.told.is_empty();
        self.told.len() > 1 || (self.has_caught_up && (is_told || is_idle))
    }
}
