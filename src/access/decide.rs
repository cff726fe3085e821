//! What a command of somebody comes to: what [`domain`](crate::domain) decides, within the rules.

use super::grant::{Denied, Grant};
use crate::domain::{Change, Command, EventState, Precondition, Rejection, Stamp, decide, force};
use crate::value::{Invalid, Steps};

impl Grant {
    /// Decides a command against the state of its event, as it is and as it would become. An event that is not seen is as
    /// if there were none; only that its id is taken can be told, by a CREATE that is refused.
    ///
    /// # Errors
    /// Why the command has no effect.
    pub fn decide(
        &self,
        state: EventState,
        precondition: &Precondition,
        command: &Command,
        stamp: Stamp,
        steps: &Steps,
    ) -> Result<Change, Rejection> {
        let deny = |denied: Denied| rejection(denied, &state, command);
        self.check(command).map_err(deny)?;
        self.check_target(command, &state, steps).map_err(deny)?;
        precondition.check(&state)?;
        let change = decide(&state, command, stamp, steps)?;
        let change = match self.forced().is_empty() {
            true => change,
            false => force(&state, change, self.forced(), stamp)?,
        };
        self.judge(&change, steps).map_err(deny)?;
        Ok(Change {
            author: self.author().cloned(),
            ..change
        })
    }

    /// Whether the command may be about this event at all.
    fn check_target(
        &self,
        command: &Command,
        state: &EventState,
        steps: &Steps,
    ) -> Result<(), Denied> {
        let current = state.current.as_deref();
        if let Command::Restore(_) = command {
            let earlier = state.earlier.as_ref().and_then(|change| change.after());
            return self.judge_restore(earlier.map(AsRef::as_ref), current, steps);
        }
        let is_seen = match current {
            None => true,
            Some(event) => self.sees(event, steps)?,
        };
        match (is_seen, command) {
            (true, _) => Ok(()),
            (false, Command::Create(_)) => Err(Denied::Forbidden(None)),
            (false, _) => Err(Denied::Unseen),
        }
    }
}

fn rejection(denied: Denied, state: &EventState, command: &Command) -> Rejection {
    let reason = denied.reason();
    match denied {
        Denied::UnseenPast => Rejection::NoSuchVersion {
            id: state.id.clone(),
            version: command.source().map_or(0, |(_, version)| version),
        },
        Denied::Unseen => Rejection::NotFound {
            id: state.id.clone(),
        },
        Denied::Forbidden(path) => Rejection::Forbidden { path, reason },
        Denied::TooCostly => Rejection::TooCostly(Invalid::new("payload", reason)),
    }
}
