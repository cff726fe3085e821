//! Applies the source's changes to a livelog, each once and in order.
//!
//! Changes are applied in rounds of different events: within a round their order does not matter, and the next one waits
//! until all of it is done. A change has a command id made of its place in the source, so one that is seen again, after a
//! crash or an answer that was lost, has no second effect.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};

use super::IntakeOptions;
use super::intake::OnRefusal;
use super::report::{IntakeReport, told};
use crate::adoption::{Converter, Refusal, Refusals};
use crate::domain::{
    ChangeKind, Command, CommandBatch, CommandId, Create, Delete, Event, EventId, Rejection,
    Replace,
};
use crate::engine::{Engine, Order, Outcome, SubmitError, Tasks};
use crate::fairness::Requester;
use crate::store::{SourceChange, SourceEffect, Store, StoreError};
use crate::value::{Document, Value};
use crate::wall_clock;

/// Bytes of events that are compared with what they are to become.
const COMPARED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Attempts to do what the store cannot take at the moment: with what each waits for, some minutes.
const ATTEMPTS_MAX: usize = 60;

/// Before what the store could not take is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Counts {
    created: u64,
    updated: u64,
    deleted: u64,
    /// What was here already.
    known: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            created,
            updated,
            deleted,
            known,
        } = self;
        write!(
            formatter,
            "{created} created, {updated} updated, {deleted} deleted, {known} already here"
        )
    }
}

/// See the module.
pub(super) struct Follower<'a> {
    store: &'a Arc<dyn Store>,
    converter: Converter,
    on_refusal: OnRefusal,
    engine: Option<(Engine, Tasks)>,
    requester: Requester,
    pub(super) counts: Counts,
    pub(super) report: IntakeReport,
}

/// What is to become of an event.
struct Wish {
    token: String,
    id: EventId,
    /// `None` if it is to go.
    new: Option<Create>,
}

impl<'a> Follower<'a> {
    pub(super) fn start(store: &'a Arc<dyn Store>, options: &IntakeOptions) -> Self {
        Self {
            store,
            converter: options.converter(),
            on_refusal: options.on_refusal(),
            engine: Some(Engine::start(store, &Arc::default())),
            requester: Requester::alone(),
            counts: Counts::default(),
            report: IntakeReport::default(),
        }
    }

    /// Waits for the writer's end.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some((engine, tasks)) = self.engine.take() {
            drop(engine);
            tasks.committer.await?;
        }
        Ok(())
    }

    /// Applies these changes, and returns when they are durable.
    pub(super) async fn apply(&mut self, changes: Vec<SourceChange>) -> anyhow::Result<()> {
        let (mut round, mut ids) = (Vec::new(), HashSet::new());
        for change in changes {
            let wish = match self.wish(change) {
                Ok(Some(wish)) => wish,
                Ok(None) => continue,
                Err(error) => {
                    self.carry_out(round).await?;
                    return Err(error);
                }
            };
            if !ids.insert(wish.id.clone()) {
                self.carry_out(std::mem::take(&mut round)).await?;
                ids = HashSet::from([wish.id.clone()]);
            }
            round.push(wish);
        }
        self.carry_out(round).await
    }

    /// What a change asks for; `None` if it is of a document that cannot be here.
    fn wish(&mut self, change: SourceChange) -> anyhow::Result<Option<Wish>> {
        let id = Converter::id(&change.id).and_then(|text| {
            EventId::parse(&text).map_err(|reason| Refusal::whole(format!("_id: {reason}")))
        });
        let (id, document) = match (id, change.effect) {
            (Ok(id), SourceEffect::Put(document)) => (id, document),
            (Ok(id), SourceEffect::Gone) => {
                let (token, new) = (change.token, None);
                return Ok(Some(Wish { token, id, new }));
            }
            (Err(_), SourceEffect::Gone) => return Ok(None),
            (Err(refusal), SourceEffect::Put(_)) => {
                self.refuse(&format!("{:?}", change.id), refusal.into())?;
                return Ok(None);
            }
        };
        self.report.documents += 1;
        self.report.bytes += document.bytes as u64;
        let tally = &mut self.report.tally;
        let converted = self
            .converter
            .convert(document.fields, wall_clock::now(), tally);
        let new = match converted.and_then(sized) {
            Ok(new) => Some(new),
            // As it was it is no more, and as it is it cannot be here.
            Err(refusals) => {
                self.refuse(&format!("_id {id}"), refusals)?;
                None
            }
        };
        let token = change.token;
        Ok(Some(Wish { token, id, new }))
    }

    fn refuse(&mut self, place: &str, refusals: Refusals) -> anyhow::Result<()> {
        if self.on_refusal == OnRefusal::Stop {
            bail!(
                "cannot follow: {}. Start again with a --rename or --drop for it, or with \
                 --skip-refused: it goes on where it stopped",
                told(place, &refusals)
            );
        }
        self.report.refuse(place, refusals);
        Ok(())
    }

    /// Carries out wishes for different events, until all are.
    async fn carry_out(&mut self, round: Vec<Wish>) -> anyhow::Result<()> {
        let mut left = round;
        if left.is_empty() {
            return Ok(());
        }
        for _ in 0..ATTEMPTS_MAX {
            let batches = match self.needed(&left).await {
                Err(error @ StoreError::Unavailable(_)) => {
                    tracing::warn!(%error, "changes of the source wait");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                needed => needed?,
            };
            let mut refused = HashSet::new();
            let mut outcomes = Vec::with_capacity(batches.len());
            for (id, batch) in batches {
                let (engine, _) = self.engine.as_ref().expect("it is not stopped");
                outcomes.push((id, engine.submit(&self.requester, Order::unguarded(batch))));
            }
            for (id, submitted) in outcomes {
                let outcome = match submitted {
                    Ok(outcome) => outcome.await.unwrap_or(Err(SubmitError::ShuttingDown)),
                    Err(error) => Err(error),
                };
                if !self.note(&id, outcome)? {
                    refused.insert(id);
                }
            }
            left.retain(|wish| refused.contains(&wish.id));
            if left.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("the store has been unavailable for too long: the same command goes on from here")
    }

    /// The commands that make these wishes true, of those that are not.
    async fn needed(&mut self, round: &[Wish]) -> Result<Vec<(EventId, CommandBatch)>, StoreError> {
        let ids: Vec<EventId> = round.iter().map(|wish| wish.id.clone()).collect();
        let loaded = self.store.load(&ids, COMPARED_BYTES_MAX).await?;
        let events = loaded.events.into_iter();
        let events: HashMap<EventId, Event> =
            events.map(|event| (event.id.clone(), event)).collect();
        let mut needed = Vec::new();
        for (index, wish) in round.iter().enumerate() {
            let is_compared = index < loaded.looked_at;
            let current = events.get(&wish.id);
            match commands(wish, current) {
                Some(_) if is_compared && is_true(wish, current) => self.counts.known += 1,
                Some(commands) => needed.push((wish.id.clone(), batch(wish, commands))),
                None => self.counts.known += 1,
            }
        }
        Ok(needed)
    }

    /// Counts an outcome; `false` if it may be another if it is tried again.
    fn note(&mut self, id: &EventId, outcome: Outcome) -> anyhow::Result<bool> {
        match outcome {
            Ok(done) if done.is_repeated => self.counts.known += 1,
            Ok(done) => match (done.changes.len(), done.change().kind()) {
                (1, ChangeKind::Create) => self.counts.created += 1,
                (_, ChangeKind::Delete) => self.counts.deleted += 1,
                _ => self.counts.updated += 1,
            },
            Err(SubmitError::Rejected(Rejection::NotFound { .. }, _)) => self.counts.known += 1,
            Err(SubmitError::Rejected(rejection, _)) => {
                return Err(anyhow!("cannot follow: event {id}: {rejection}"));
            }
            Err(error @ (SubmitError::Internal | SubmitError::ShuttingDown)) => {
                return Err(anyhow!("cannot follow: event {id}: {error}"));
            }
            Err(error) => {
                tracing::warn!(%error, "a change of the source is tried again");
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether the event is what it is to become.
fn is_true(wish: &Wish, current: Option<&Event>) -> bool {
    match (&wish.new, current) {
        (Some(new), Some(event)) => event.fields == *new.fields(),
        (None, None) => true,
        _ => false,
    }
}

/// Refuses what an event cannot hold, before the engine does.
fn sized(new: Create) -> Result<Create, Refusals> {
    match new.excess() {
        None => Ok(new),
        Some(excess) => Err(Refusal::whole(format!("its fields would {excess}")).into()),
    }
}

/// The commands of a wish. Where too many fields differ for one update, the event is made anew.
fn commands(wish: &Wish, current: Option<&Event>) -> Option<Vec<Command>> {
    let Some(new) = &wish.new else {
        return Some(vec![delete(&wish.id)]);
    };
    let replace = Replace::by(new.clone())?;
    let is_update = current.is_none_or(|event| replace.fits(event));
    let replace = Command::Replace(replace);
    Some(match is_update {
        true => vec![replace],
        false => vec![delete(&wish.id), replace],
    })
}

fn delete(id: &EventId) -> Command {
    let payload = Document::from_iter([("id", Value::from(id.as_str()))]);
    let delete = Delete::parse(payload);
    Command::Delete(delete.expect("an id is all that a DELETE needs"))
}

fn batch(wish: &Wish, commands: Vec<Command>) -> CommandBatch {
    let command_id = CommandId::parse(&format!("adopt-{}", wish.token), "commandId");
    let command_id = command_id.expect("a digest is short");
    let fields = wish
        .new
        .as_ref()
        .map_or(0, |new| new.fields().approx_bytes());
    CommandBatch::adopted(commands, &wish.id, fields, command_id)
}
