//! What a role comes to, for people who write one.

use super::claims::Claims;
use super::grant::Grant;
use super::policy::{Policy, Principal};
use super::role::{Paths, Role};
use super::rule::AccessRule;
use crate::domain::{Event, Path};
use crate::limits;
use crate::value::{Document, Steps, Value};

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
    /// It is about these fields.
    Fields(Vec<String>),
    /// Each write sets these fields to these values.
    Sets(Document),
    /// No write is allowed, as a claim is missing that each is to set.
    NoWrites,
    /// It is not about events; as the file says it.
    Is(String),
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
        let rule = |name, rule: &AccessRule| Some((name, rule.explain(claims)));
        let is = |name, text: &str| Some((name, Explained::Is(text.to_owned())));
        let flag = |name, is_set: bool| is(name, if is_set { "yes" } else { "no" });
        let Paths { only, never } = &role.update.paths;
        let fields = |name, paths: &[Path]| Some((name, fields(paths)));
        let explained = [
            rule("read", &role.read),
            (!role.hidden.is_nothing()).then(|| ("hide", Explained::Fields(role.hidden.paths()))),
            rule("create.after", &role.create),
            rule("update.before", &role.update.before),
            rule("update.after", &role.update.after),
            only.as_ref().and_then(|only| fields("update.only", only)),
            (!never.is_empty())
                .then(|| fields("update.never", never))
                .flatten(),
            rule("delete.before", &role.delete),
            role.forces().then(|| ("set", role.explain_forced(claims))),
            flag("broadcast.send", role.may_broadcast),
            rule("broadcast.hear", &role.hear),
            is("past", role.past.as_str()),
            flag("authors", role.sees_authors),
            flag("operator", role.is_operator),
            is("limits", &role.limits.to_string()),
        ];
        Some(explained.into_iter().flatten().collect())
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

impl Role {
    fn explain_forced(&self, claims: &Claims) -> Explained {
        let Some(forced) = self.forced(claims) else {
            return Explained::NoWrites;
        };
        let set = forced.set.into_iter();
        Explained::Sets(set.map(|(path, value)| (path.to_string(), value)).collect())
    }
}

fn fields(paths: &[Path]) -> Explained {
    Explained::Fields(paths.iter().map(Path::to_string).collect())
}
