//! What a role comes to, for people who write one.

use super::claims::Claims;
use super::grant::Grant;
use super::policy::{Policy, Principal};
use super::role::Role;
use crate::domain::Event;
use crate::limits;
use crate::value::{Steps, Value};

/// What one of a role's rules comes to for who has some claims.
#[derive(Debug, Clone, PartialEq)]
pub enum Explained {
    /// It allows everything.
    Everything,
    /// It allows nothing: the file says so, or says nothing.
    Nothing,
    /// It allows nothing, as a claim is missing or of another kind than belongs there.
    ClaimMissing,
    /// It allows what this filter matches.
    Where(Value),
}

/// What a role may do with one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct EventRights {
    pub is_seen: bool,
    /// As the event is; what becomes of it is judged as well.
    pub may_be_updated: bool,
    pub may_be_deleted: bool,
}

impl Policy {
    /// The names of its roles, in order.
    pub fn role_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.roles.keys().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names
    }

    /// What the rules of a role come to, with the place of each in the role; `None` if there is no such role.
    pub fn explain(&self, role: &str, claims: &Claims) -> Option<Vec<(&'static str, Explained)>> {
        let role: &Role = self.roles.get(role)?;
        let rules = [
            ("read", &role.read),
            ("create.after", &role.create),
            ("update.before", &role.update.before),
            ("update.after", &role.update.after),
            ("delete.before", &role.delete),
            ("broadcast.hear", &role.hear),
        ];
        let explained = rules.map(|(name, rule)| (name, rule.explain(claims)));
        Some(explained.into())
    }

    /// What a role may do with an event; `None` if there is no such role.
    pub fn explain_event(&self, role: &str, claims: &Claims, event: &Event) -> Option<EventRights> {
        let principal = Principal {
            author: None,
            role: None,
            claims: claims.clone(),
            issued_at: None,
        };
        let grant = Grant::new(role, self.roles.get(role)?, &principal).ok()?;
        let steps = Steps::new(limits::MATCH_STEPS_MAX);
        let is_seen = grant.sees(event, &steps).unwrap_or(false);
        Some(EventRights {
            is_seen,
            may_be_updated: is_seen && grant.may_update(event, &steps),
            may_be_deleted: is_seen && grant.may_delete(event, &steps),
        })
    }
}
