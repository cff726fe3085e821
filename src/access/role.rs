//! A role: what who has it may see and change.

use super::claims::Claims;
use super::limits::RoleLimits;
use super::rule::AccessRule;
use super::template::{Template, fill_fields};
use crate::domain::{Patch, Path};
use crate::query::{Filter, Hidden};
use crate::value::{
    Document, Invalid, Value, check_value, expect_array, expect_object, expect_text, expected,
    join, known,
};

const NAMES: [&str; 11] = [
    "read",
    "hide",
    "create",
    "update",
    "delete",
    "set",
    "broadcast",
    "past",
    "authors",
    "operator",
    "limits",
];

/// The rules of a role, in which claims are still to be filled in. What is not said is not allowed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Role {
    pub(super) read: AccessRule,
    pub(super) hidden: Hidden,
    /// Of the new event.
    pub(super) create: AccessRule,
    pub(super) update: UpdateRule,
    /// Of the event that is deleted.
    pub(super) delete: AccessRule,
    forced: Vec<(Path, Value)>,
    pub(super) may_broadcast: bool,
    /// Of the payload.
    pub(super) hear: AccessRule,
    pub(super) past: Past,
    pub(super) sees_authors: bool,
    pub(super) is_operator: bool,
    pub(super) limits: RoleLimits,
}

/// Which updates are allowed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UpdateRule {
    pub(super) before: AccessRule,
    pub(super) after: AccessRule,
    pub(super) paths: Paths,
}

/// Which fields an update may touch.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Paths {
    /// Any, if there is no list.
    pub(super) only: Option<Vec<Path>>,
    pub(super) never: Vec<Path>,
}

/// How much of the past a role sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// Nothing: no history, no `at`, no RESTORE.
    None,
    /// Of events that it sees now, the states in which it would have seen them.
    Seen,
    /// All that the log has of what its rule matches at that time.
    All,
}

impl Role {
    /// Parses a role at the path `at`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub(super) fn parse(value: &Value, at: &str) -> Result<Self, Invalid> {
        let given = known(expect_object(value, at)?.clone(), at, &NAMES)?;
        let rule = |name: &str| match given.get(name) {
            None => Ok(AccessRule::Never),
            Some(value) => AccessRule::parse(value, &join(at, name)),
        };
        let flag = |name: &str| read_flag(&given, name, at);
        let (may_broadcast, hear) = read_broadcast(given.get("broadcast"), &join(at, "broadcast"))?;
        let hidden = given
            .get("hide")
            .map(|paths| Hidden::parse(paths, &join(at, "hide")));
        Ok(Self {
            read: rule("read")?,
            hidden: hidden.transpose()?.unwrap_or_default(),
            create: read_one(given.get("create"), "after", &join(at, "create"))?,
            update: UpdateRule::parse(given.get("update"), &join(at, "update"))?,
            delete: read_one(given.get("delete"), "before", &join(at, "delete"))?,
            forced: read_forced(given.get("set"), &join(at, "set"))?,
            may_broadcast,
            hear,
            past: Past::parse(given.get("past"), &join(at, "past"))?,
            sees_authors: flag("authors")?,
            is_operator: flag("operator")?,
            limits: RoleLimits::parse(given.get("limits"), &join(at, "limits"))?,
        })
    }

    /// Whether writes set fields that their clients do not choose.
    pub(super) fn forces(&self) -> bool {
        !self.forced.is_empty()
    }

    /// What each write of who has these claims sets; `None` if a claim is missing.
    pub(super) fn forced(&self, claims: &Claims) -> Option<Patch> {
        let fields = self.forced.iter();
        let set = fields.map(|(path, value)| Some((path.clone(), fill_fields(value, claims)?)));
        Some(Patch {
            set: set.collect::<Option<_>>()?,
            unset: Vec::new(),
        })
    }
}

impl UpdateRule {
    fn parse(value: Option<&Value>, at: &str) -> Result<Self, Invalid> {
        let all = |rule: AccessRule| Self {
            before: rule.clone(),
            after: rule,
            paths: Paths::default(),
        };
        let given = match value {
            None | Some(Value::Bool(false)) => return Ok(all(AccessRule::Never)),
            Some(Value::Bool(true)) => return Ok(all(AccessRule::Always)),
            Some(Value::Object(given)) => given.clone(),
            Some(other) => return Err(expected("an object, true or false", other, at)),
        };
        let given = known(given, at, &["before", "after", "only", "never"])?;
        let rule = |name: &str| match given.get(name) {
            None => Ok(AccessRule::Always),
            Some(value) => AccessRule::parse(value, &join(at, name)),
        };
        let paths = |name: &str| {
            let list = given
                .get(name)
                .map(|list| read_paths(list, &join(at, name)));
            list.transpose()
        };
        Ok(Self {
            before: rule("before")?,
            after: rule("after")?,
            paths: Paths {
                only: paths("only")?,
                never: paths("never")?.unwrap_or_default(),
            },
        })
    }
}

impl Paths {
    /// Whether this path may be set or unset.
    pub(super) fn allow(&self, path: &Path) -> bool {
        let is_within = |allowed: &Path| allowed.depth() <= path.depth() && allowed.overlaps(path);
        let only = self.only.as_ref();
        only.is_none_or(|only| only.iter().any(is_within))
            && !self.never.iter().any(|never| never.overlaps(path))
    }
}

impl Past {
    fn parse(value: Option<&Value>, at: &str) -> Result<Self, Invalid> {
        match value.map(|value| expect_text(value, at)).transpose()? {
            None | Some("none") => Ok(Self::None),
            Some("seen") => Ok(Self::Seen),
            Some("all") => Ok(Self::All),
            Some(_) => Err(Invalid::new(at, "expected none, seen or all")),
        }
    }

    /// As the file says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Seen => "seen",
            Self::All => "all",
        }
    }
}

/// `true`, `false`, or an object with one rule.
fn read_one(value: Option<&Value>, name: &str, at: &str) -> Result<AccessRule, Invalid> {
    match value {
        None => Ok(AccessRule::Never),
        Some(Value::Object(given)) => match known(given.clone(), at, &[name])?.get(name) {
            None => Ok(AccessRule::Always),
            Some(value) => AccessRule::parse(value, &join(at, name)),
        },
        Some(Value::Bool(flag)) => AccessRule::parse(&Value::Bool(*flag), at),
        Some(other) => Err(expected("an object, true or false", other, at)),
    }
}

fn read_broadcast(value: Option<&Value>, at: &str) -> Result<(bool, AccessRule), Invalid> {
    let Some(value) = value else {
        return Ok((false, AccessRule::Never));
    };
    let given = known(expect_object(value, at)?.clone(), at, &["send", "hear"])?;
    let hear = given
        .get("hear")
        .map(|rule| AccessRule::parse(rule, &join(at, "hear")));
    Ok((
        read_flag(&given, "send", at)?,
        hear.transpose()?.unwrap_or(AccessRule::Never),
    ))
}

fn read_flag(given: &Document, name: &str, at: &str) -> Result<bool, Invalid> {
    match given.get(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(expected("true or false", other, &join(at, name))),
    }
}

fn read_paths(value: &Value, at: &str) -> Result<Vec<Path>, Invalid> {
    let items = expect_array(value, at)?.iter().enumerate();
    let paths = items.map(|(index, item)| {
        let at = join(at, &index.to_string());
        Path::parse(expect_text(item, &at)?).map_err(|reason| Invalid::new(at, reason))
    });
    paths.collect()
}

fn read_forced(value: Option<&Value>, at: &str) -> Result<Vec<(Path, Value)>, Invalid> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let mut forced: Vec<(Path, Value)> = Vec::new();
    for (name, value) in expect_object(value, at)?.iter() {
        let at = join(at, name);
        let path = Path::parse(name).map_err(|reason| Invalid::new(at.as_str(), reason))?;
        if forced.iter().any(|(known, _)| known.overlaps(&path)) {
            return Err(Invalid::new(at, "overlaps with another path"));
        }
        let sample = Template::sample(value, &at)?;
        check_value(&sample, &at, path.depth() + 1)?;
        forced.push((path, value.clone()));
    }
    Ok(forced)
}

/// What a rule and the claims of its principal come to.
#[derive(Debug, Clone)]
pub(super) struct UpdateFilter {
    pub(super) before: Filter,
    pub(super) after: Filter,
    pub(super) paths: Paths,
}

impl UpdateFilter {
    pub(super) fn everything() -> Self {
        Self {
            before: Filter::all(),
            after: Filter::all(),
            paths: Paths::default(),
        }
    }
}

impl UpdateRule {
    pub(super) fn fill(&self, claims: &Claims) -> UpdateFilter {
        UpdateFilter {
            before: self.before.fill(claims),
            after: self.after.fill(claims),
            paths: self.paths.clone(),
        }
    }
}
