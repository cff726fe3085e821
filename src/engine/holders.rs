//! Who holds what in unique indexes, as of the command batches that were decided so far.
//!
//! A command batch is judged by what it comes to: its events may exchange their values. What one frees, a later one may
//! take.
//!
//! | a key that a batch takes | is |
//! |---|---|
//! | freed in the same batch | free |
//! | taken or freed by a batch before it in the group | as that left it |
//! | looked up | as the store has it at the head |
//! | none of these | assumed to be free, and noted, to be looked up; or [`Undone::Unknown`] |

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::domain::{Change, Event, EventId, Rejection};
use crate::indexes::{Index, IndexRules, UniqueKey};
use crate::limits;
use crate::value::Invalid;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Holders {
    rules: Arc<IndexRules>,
    /// For each unique index, by its place, who holds a key; `None` is nobody.
    known: Vec<HashMap<Arc<UniqueKey>, Option<EventId>>>,
    /// Keys that were taken without knowing that they are free.
    assumed: UniqueKeys,
    may_assume: bool,
}

/// Keys of each unique index, by its place.
pub(super) type UniqueKeys = Vec<Vec<Arc<UniqueKey>>>;

/// Why a command batch is not carried out, as far as is known.
pub(super) enum Undone {
    /// For good, and for which of its commands.
    Rejected(Rejection, Option<usize>),
    /// It is not known who holds it.
    Unknown,
}

/// An event before and after a command batch, and which of its commands changed it last.
struct NetChange<'a> {
    before: Option<&'a Arc<Event>>,
    after: Option<&'a Arc<Event>>,
    last: usize,
}

/// What a command batch does in one unique index.
#[derive(Default)]
struct KeyMoves {
    freed: HashSet<UniqueKey>,
    taken: Vec<TakenKey>,
}

struct TakenKey {
    key: UniqueKey,
    by: EventId,
    last: usize,
}

impl Holders {
    /// Nobody is known to hold anything.
    pub(super) fn new(rules: Arc<IndexRules>) -> Self {
        let known = vec![HashMap::new(); rules.unique.len()];
        let assumed = vec![Vec::new(); rules.unique.len()];
        Self {
            rules,
            known,
            assumed,
            may_assume: true,
        }
    }

    /// Whether there is a unique index.
    pub(super) fn are_asked_for(&self) -> bool {
        !self.rules.unique.is_empty()
    }

    /// The keys to be looked up.
    pub(super) fn assumed(&self) -> &UniqueKeys {
        &self.assumed
    }

    /// How many keys are to be looked up.
    pub(super) fn assumed_count(&self) -> usize {
        self.assumed.iter().map(Vec::len).sum()
    }

    /// Takes in what was looked up, and assumes nothing from now on. `held` are those of the keys that some event holds.
    pub(super) fn know(
        &mut self,
        keys: &UniqueKeys,
        held: impl IntoIterator<Item = (usize, Arc<UniqueKey>, EventId)>,
    ) {
        for (known, keys) in self.known.iter_mut().zip(keys) {
            known.extend(keys.iter().map(|key| (Arc::clone(key), None)));
        }
        for (index, key, id) in held {
            self.known[index].insert(key, Some(id));
        }
        self.may_assume = false;
    }

    /// Whether the event after a change can stand in every index.
    pub(super) fn check(&self, change: &Change) -> Result<(), Rejection> {
        let Some(after) = change.after() else {
            return Ok(());
        };
        self.rules.check(&**after).map_err(Rejection::NotIndexable)
    }

    /// Gives the changes of a command batch the keys that they take, all or none.
    pub(super) fn take(&mut self, changes: &[Arc<Change>]) -> Result<(), Undone> {
        if !self.are_asked_for() {
            return Ok(());
        }
        let net = net(changes);
        let moves = self.rules.unique.iter().map(|index| moves(index, &net));
        let moves: Vec<KeyMoves> = moves.collect::<Result<_, _>>()?;
        ensure_few(&self.rules.unique, &moves)?;
        let mut are_known = true;
        for (place, moves) in moves.iter().enumerate() {
            are_known &= self.ensure_free(place, moves)?;
        }
        // After what is known of all: so the first batch of a group, with nothing before it, is never undone for this.
        if !are_known && !self.may_assume {
            return Err(Undone::Unknown);
        }
        for (place, moves) in moves.into_iter().enumerate() {
            self.apply(place, moves);
        }
        Ok(())
    }

    /// Refuses what is taken although another event holds it; returns whether it is known of all who does.
    fn ensure_free(&self, place: usize, moves: &KeyMoves) -> Result<bool, Undone> {
        let mut takers = HashSet::new();
        let mut are_known = true;
        for TakenKey { key, by, last } in &moves.taken {
            let is_free = match self.known[place].get(key) {
                _ if !takers.insert(key) => false,
                _ if moves.freed.contains(key) => true,
                Some(holder) => holder.as_ref().is_none_or(|holder| holder == by),
                None => {
                    are_known = false;
                    true
                }
            };
            if !is_free {
                let rejection = not_unique(&self.rules.unique[place]);
                return Err(Undone::Rejected(rejection, Some(*last)));
            }
        }
        Ok(are_known)
    }

    fn apply(&mut self, place: usize, KeyMoves { freed, taken }: KeyMoves) {
        let known = &mut self.known[place];
        known.extend(freed.into_iter().map(|key| (Arc::new(key), None)));
        for TakenKey { key, by, .. } in taken {
            let key = Arc::new(key);
            if known.insert(Arc::clone(&key), Some(by)).is_none() {
                self.assumed[place].push(key);
            }
        }
    }
}

fn net(changes: &[Arc<Change>]) -> BTreeMap<&EventId, NetChange<'_>> {
    let mut net: BTreeMap<&EventId, NetChange<'_>> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        let event = net.entry(change.event_id()).or_insert(NetChange {
            before: change.before(),
            after: None,
            last: index,
        });
        event.after = change.after();
        event.last = index;
    }
    net
}

/// What was held before, and is no more, and the other way round. In the order of commands.
fn moves(index: &Index, net: &BTreeMap<&EventId, NetChange<'_>>) -> Result<KeyMoves, Undone> {
    let mut moves = KeyMoves::default();
    for (id, change) in net {
        let keys = |event: &Arc<Event>| index.unique_keys_of(&**event);
        // What could not be kept held nothing.
        let before = change.before.and_then(|event| keys(event).ok());
        let after = change.after.map(keys).transpose();
        let offends =
            |invalid| Undone::Rejected(Rejection::NotIndexable(invalid), Some(change.last));
        let after: HashSet<UniqueKey> = after.map_err(offends)?.into_iter().flatten().collect();
        let before: HashSet<UniqueKey> = before.into_iter().flatten().collect();
        moves.freed.extend(before.difference(&after).cloned());
        moves
            .taken
            .extend(after.difference(&before).map(|key| TakenKey {
                key: key.clone(),
                by: (*id).clone(),
                last: change.last,
            }));
    }
    moves.taken.sort_by_key(|taken| taken.last);
    Ok(moves)
}

fn ensure_few(indexes: &[Arc<Index>], moves: &[KeyMoves]) -> Result<(), Undone> {
    let count = moves.iter().map(|moves| moves.taken.len()).sum::<usize>();
    if count <= limits::UNIQUE_KEYS_LOOKED_UP_MAX {
        return Ok(());
    }
    let most = moves
        .iter()
        .zip(indexes)
        .max_by_key(|(moves, _)| moves.taken.len());
    let (most, index) = most.expect("some index has more than none");
    let reason = format!(
        "the events of the batch would take more than {} values of unique indexes",
        limits::UNIQUE_KEYS_LOOKED_UP_MAX
    );
    let last = most.taken.last().map(|taken| taken.last);
    let invalid = Invalid::new(index.first_path(), reason);
    Err(Undone::Rejected(Rejection::NotIndexable(invalid), last))
}

/// It tells neither the value, nor which event has it.
fn not_unique(index: &Index) -> Rejection {
    let reason = format!("another event has the same: the index {index} is unique");
    Rejection::NotUnique(Invalid::new(index.first_path(), reason))
}
