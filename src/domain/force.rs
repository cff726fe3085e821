//! Fields that every write of a role sets, whatever its client says.

use super::Path;
use super::change::{Change, Effect};
use super::decide::{EventState, Rejection, Stamp};
use super::patch::{Patch, PatchError};
use crate::value::Invalid;

/// The same change, which sets these fields as well, whatever it would do to them. A deletion sets none.
///
/// # Errors
/// If they do not fit the event, or make it too large.
pub fn force(
    state: &EventState,
    change: Change,
    forced: &Patch,
    stamp: Stamp,
) -> Result<Change, Rejection> {
    let misfit = |error: PatchError| {
        let path = format!("payload.{}", error.path());
        Rejection::DoesNotFit(Invalid::new(path, error.to_string()))
    };
    let effect = match change.effect {
        Effect::Create { after } => {
            let fields = forced.apply(&after.fields).map_err(misfit)?;
            state.created(&fields, stamp, None)?
        }
        Effect::Update { before, patch, .. } => {
            let patch = patch.forced(forced);
            let after = before
                .patched(&patch, stamp.seq, stamp.at)
                .map_err(misfit)?;
            state.updated(&before, patch, after)?
        }
        effect @ (Effect::Delete { .. } | Effect::Redacted { .. }) => effect,
    };
    Ok(Change { effect, ..change })
}

impl Patch {
    /// This patch, but for what another sets: that is set in any case.
    fn forced(self, forced: &Self) -> Self {
        let is_own = |path: &Path| !forced.set.iter().any(|(set, _)| set.overlaps(path));
        let own = self.set.into_iter().filter(|(path, _)| is_own(path));
        let unset = self.unset.into_iter().filter(is_own);
        Self {
            set: own.chain(forced.set.iter().cloned()).collect(),
            unset: unset.collect(),
        }
    }
}
