//! What one principal may see and change: its role's rules, with its claims filled in.

use std::sync::{Arc, LazyLock};

use sha2::{Digest, Sha256};

use super::denied::{Denied, RuleName};
use super::limits::RoleLimits;
use super::policy::{PolicyError, Principal};
use super::role::{Past, Role, UpdateFilter};
use crate::domain::{Author, Change, Command, Effect, Event, Hearing, Patch, Path};
use crate::limits;
use crate::query::{Fields, Filter, Hidden, Query};
use crate::value::{Invalid, Record, Steps, TooCostly, Value, hex, join};

/// What somebody may see and change. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Grant {
    parts: Arc<GrantParts>,
}

#[derive(Debug)]
struct GrantParts {
    role: Box<str>,
    author: Option<Arc<Author>>,
    read: Filter,
    hidden: Hidden,
    create: Filter,
    update: UpdateFilter,
    delete: Filter,
    forced: Patch,
    may_broadcast: bool,
    hears: Hearing,
    past: Past,
    sees_authors: bool,
    is_operator: bool,
    limits: RoleLimits,
}

impl Grant {
    /// Everything is allowed: nobody guards this livelog. It is one for all, since each request has it.
    pub fn open() -> Self {
        static OPEN: LazyLock<Grant> = LazyLock::new(Grant::of_everything);
        OPEN.clone()
    }

    fn of_everything() -> Self {
        let everything = Filter::all;
        let parts = GrantParts {
            role: "".into(),
            author: None,
            read: everything(),
            hidden: Hidden::nothing(),
            create: everything(),
            update: UpdateFilter::everything(),
            delete: everything(),
            forced: Patch::default(),
            may_broadcast: true,
            hears: Hearing::everything(),
            past: Past::All,
            sees_authors: true,
            is_operator: true,
            limits: RoleLimits::default(),
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    /// The rules of a role for this principal. A token may narrow what is read: its `livelog.read` is a filter beside
    /// the role's.
    pub(super) fn new(name: &str, role: &Role, principal: &Principal) -> Result<Self, PolicyError> {
        let claims = &principal.claims;
        let forced = role.forced(claims);
        let write = |filter: Filter| match forced {
            Some(_) => filter,
            None => Filter::nothing(),
        };
        let mut update = role.update.fill(claims);
        update.after = write(update.after);
        let read = role.read.fill(claims);
        let parts = GrantParts {
            role: name.into(),
            author: principal.author.clone(),
            read: match claims.narrower()? {
                None => read,
                Some(narrower) => narrowed(&read, narrower)?,
            },
            hidden: role.hidden.clone(),
            create: write(role.create.fill(claims)),
            update,
            delete: role.delete.fill(claims),
            forced: forced.clone().unwrap_or_default(),
            may_broadcast: role.may_broadcast,
            hears: Hearing::new(role.hear.fill(claims)),
            past: role.past,
            sees_authors: role.sees_authors,
            is_operator: role.is_operator,
            limits: role.limits,
        };
        Ok(Self {
            parts: Arc::new(parts),
        })
    }

    /// The role's name; empty if nobody guards this livelog.
    pub fn role(&self) -> &str {
        &self.parts.role
    }

    /// Who writes under it.
    pub fn author(&self) -> Option<&Arc<Author>> {
        self.parts.author.as_ref()
    }

    /// How much of the past is seen.
    pub fn past(&self) -> Past {
        self.parts.past
    }

    /// Whether broadcasts may be sent.
    pub fn may_broadcast(&self) -> bool {
        self.parts.may_broadcast
    }

    /// Whether it is told who caused a change.
    pub fn sees_authors(&self) -> bool {
        self.parts.sees_authors
    }

    /// Whether operators' routes are open to it.
    pub fn is_operator(&self) -> bool {
        self.parts.is_operator
    }

    /// The limits of the role.
    pub fn limits(&self) -> RoleLimits {
        self.parts.limits
    }

    /// What every write sets.
    pub fn forced(&self) -> &Patch {
        &self.parts.forced
    }

    /// Whether what is seen, and how, is the same as under another grant.
    pub fn sees_as(&self, other: &Self) -> bool {
        self.seen_by() == other.seen_by()
    }

    /// All that makes a difference to what is seen, and how.
    fn seen_by(&self) -> ([u8; 32], [u8; 32], bool, &Hidden) {
        let parts = &self.parts;
        let (read, hears) = (parts.read.digest(), parts.hears.digest());
        (read, hears, parts.sees_authors, &parts.hidden)
    }

    /// By it a client knows on another connection, perhaps to another node, whether it still [sees as](Self::sees_as) it did:
    /// what it has, it may have seen by other rules.
    pub fn sight(&self) -> String {
        let (read, hears, sees_authors, hidden) = self.seen_by();
        let mut digest = Sha256::new();
        digest.update(read);
        digest.update(hears);
        digest.update([u8::from(sees_authors)]);
        for path in hidden.paths() {
            digest.update((path.len() as u64).to_le_bytes());
            digest.update(path);
        }
        hex(&digest.finalize()[..16])
    }

    /// Whether fields are hidden.
    pub fn hides(&self) -> bool {
        !self.parts.hidden.is_nothing()
    }

    /// An event without its hidden fields.
    pub fn stripped_event(&self, event: Event) -> Event {
        match self.hides() {
            false => event,
            true => event.with_fields(self.parts.hidden.strip(&event.fields)),
        }
    }

    /// The same of one that is shared.
    pub fn stripped(&self, event: &Arc<Event>) -> Arc<Event> {
        match self.hides() {
            false => Arc::clone(event),
            true => Arc::new(event.with_fields(self.parts.hidden.strip(&event.fields))),
        }
    }

    /// A change that who has this grant made: without hidden fields, and without contents if what it left is not seen.
    pub fn shown(&self, change: &Arc<Change>) -> Arc<Change> {
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        let is_seen = |event: &Arc<Event>| self.sees(event, &steps).unwrap_or(false);
        match change.event().is_some_and(is_seen) {
            true if !self.hides() => Arc::clone(change),
            true => Arc::new(change.with_events(|event| self.stripped(event))),
            false => Arc::new(change.redact()),
        }
    }

    /// What is seen, as a filter.
    pub fn rule(&self) -> &Filter {
        &self.parts.read
    }

    /// Whether every event is seen.
    pub fn sees_everything(&self) -> bool {
        self.parts.read.is_everything()
    }

    /// Whether the event is seen.
    ///
    /// # Errors
    /// If the steps run out before.
    pub fn sees(&self, event: &Event, steps: &Steps) -> Result<bool, TooCostly> {
        self.parts.read.matches(event, steps)
    }

    /// Whether the event may be updated, as it is.
    pub(super) fn may_update(&self, event: &Event, steps: &Steps) -> bool {
        self.parts
            .update
            .before
            .matches(event, steps)
            .unwrap_or(false)
    }

    /// Whether the event may be deleted.
    pub(super) fn may_delete(&self, event: &Event, steps: &Steps) -> bool {
        self.parts.delete.matches(event, steps).unwrap_or(false)
    }

    /// Which broadcasts are heard.
    pub fn hears(&self) -> &Hearing {
        &self.parts.hears
    }

    /// The filter that a client's filter is here; `at` is its path in the message.
    ///
    /// # Errors
    /// If it touches a hidden field.
    pub fn filter(&self, asked: &Filter, at: &str) -> Result<Filter, Invalid> {
        self.parts.hidden.check_filter(asked, at)?;
        Ok(asked.within(&self.parts.read))
    }

    /// The fields that a client's selection is here; `at` is its path in the message.
    ///
    /// # Errors
    /// If it names a hidden field.
    pub fn fields(&self, asked: &Fields, at: &str) -> Result<Fields, Invalid> {
        let fields = asked.without(&self.parts.hidden, at)?;
        Ok(fields.with_authors(self.parts.sees_authors))
    }

    /// The query that a client's query is here; `at` is the path of the request.
    ///
    /// # Errors
    /// If it touches a hidden field.
    pub fn query(&self, asked: &Query, at: &str) -> Result<Query, Invalid> {
        self.parts
            .hidden
            .check_sort(&asked.sort, &join(at, "sort"))?;
        Ok(Query {
            filter: self.filter(&asked.filter, &join(at, "filter"))?,
            fields: self.fields(&asked.fields, &join(at, "fields"))?,
            ..asked.clone()
        })
    }

    /// Whether a command may be tried: what it would do decides [`judge`](Self::judge). Here it is only asked whether it
    /// names a hidden field, since an operator could tell by doing nothing what is there.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn check(&self, command: &Command) -> Result<(), Denied> {
        let parts = &self.parts;
        if parts.hidden.is_nothing() {
            return Ok(());
        }
        match command {
            Command::Create(create) => {
                let is_clean = parts.hidden.strip(create.fields()) == *create.fields();
                is_clean.then_some(()).ok_or(Denied::Forbidden(None))
            }
            Command::Update(update) => {
                let paths = update.paths();
                let touched = paths
                    .into_iter()
                    .find(|path| parts.hidden.is_touched_by(path));
                touched.map_or(Ok(()), |path| Err(Denied::Forbidden(Some(path))))
            }
            // It would set what is hidden as well.
            Command::Restore(_) => Err(Denied::Forbidden(None)),
            Command::Delete(_) | Command::Replace(_) => Ok(()),
        }
    }

    /// Whether the past contents may be given to an event again: they must have been seen, and as much of it as is there
    /// now. What is not seen is as if it had never been: of the event, that there is none; of a version of an event that is
    /// seen, that it never had contents.
    ///
    /// # Errors
    /// `Unseen`, `UnseenPast` or `Forbidden`.
    pub fn judge_restore(
        &self,
        earlier: Option<&Event>,
        current: Option<&Event>,
        steps: &Steps,
    ) -> Result<(), Denied> {
        let is_seen = |event: Option<&Event>| match event {
            None => Ok(false),
            Some(event) => self.sees(event, steps),
        };
        match self.parts.past {
            Past::None => Err(Denied::Forbidden(None)),
            Past::All if self.sees_everything() => Ok(()),
            Past::Seen if !is_seen(current)? => Err(Denied::Unseen),
            Past::All if current.is_some() && !is_seen(current)? => Err(Denied::Unseen),
            Past::Seen | Past::All if is_seen(earlier)? => Ok(()),
            Past::Seen | Past::All if current.is_some() => Err(Denied::UnseenPast),
            Past::Seen | Past::All => Err(Denied::Unseen),
        }
    }

    /// Whether a change may be made, as it was decided.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, change: &Change, steps: &Steps) -> Result<(), Denied> {
        let parts = &self.parts;
        match &change.effect {
            Effect::Create { after } => {
                allow(&parts.create, &**after, RuleName::CreateAfter, steps)
            }
            Effect::Update {
                before,
                patch,
                after,
            } => {
                self.expect_seen(before, steps)?;
                allow(
                    &parts.update.before,
                    &**before,
                    RuleName::UpdateBefore,
                    steps,
                )?;
                allow(&parts.update.after, &**after, RuleName::UpdateAfter, steps)?;
                self.check_paths(patch)
            }
            Effect::Delete { before } => {
                self.expect_seen(before, steps)?;
                allow(&parts.delete, &**before, RuleName::DeleteBefore, steps)
            }
            Effect::Redacted { .. } => Err(Denied::Forbidden(None)),
        }
    }

    fn expect_seen(&self, event: &Event, steps: &Steps) -> Result<(), Denied> {
        match self.sees(event, steps)? {
            true => Ok(()),
            false => Err(Denied::Unseen),
        }
    }

    /// What every write sets is set by the role, not by who writes.
    fn check_paths(&self, patch: &Patch) -> Result<(), Denied> {
        let parts = &self.parts;
        let is_forced = |path: &Path| {
            let mut forced = parts.forced.set.iter();
            forced.any(|(known, _)| known.overlaps(path))
        };
        let set = patch.set.iter().map(|(path, _)| path);
        let paths = set.chain(&patch.unset).filter(|path| !is_forced(path));
        let offends = |path: &&Path| {
            !parts.update.paths.allow(path) || parts.hidden.is_touched_by(path.as_str())
        };
        match paths.into_iter().find(offends) {
            None => Ok(()),
            Some(path) => Err(Denied::Forbidden(Some(path.to_string()))),
        }
    }
}

fn allow(rule: &Filter, record: &impl Record, name: RuleName, steps: &Steps) -> Result<(), Denied> {
    match rule.matches(record, steps)? {
        true => Ok(()),
        false => Err(Denied::Rule(name)),
    }
}

fn narrowed(read: &Filter, narrower: &Value) -> Result<Filter, PolicyError> {
    let narrower = Filter::parse(narrower, "livelog.read");
    let narrower = narrower.map_err(|invalid| PolicyError::BadFilter(invalid.to_string()))?;
    Ok(narrower.within(read))
}
