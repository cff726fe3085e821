//! The access file as a whole: roles, who has which, and whose credentials are void.

use std::collections::HashMap;
use std::sync::Arc;

use super::claims::Claims;
use super::grant::Grant;
use super::role::Role;
use crate::domain::{Author, Timestamp};
use crate::value::{
    Document, Invalid, Value, expect_array, expect_object, expect_text, join, known,
};

/// All that the file may say; who it trusts is read by who verifies tokens.
const NAMES: [&str; 7] = [
    "issuers",
    "keys",
    "anonymous",
    "signedIn",
    "roleClaim",
    "revoke",
    "roles",
];

/// What is shown of a role that there is not.
const ROLE_SHOWN_CHARS: usize = 64;

/// What the file says of roles.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(super) roles: HashMap<Box<str>, Arc<Role>>,
    anonymous: Option<Box<str>>,
    /// Of tokens without the claim that names one.
    signed_in: Option<Box<str>>,
    role_claim: Box<str>,
    revoked: Vec<Revocation>,
}

/// Credentials that are void.
#[derive(Debug, Clone, PartialEq)]
enum Revocation {
    /// Tokens of a subject that were issued before this time, or do not say when; all of them if it is left out.
    Subject {
        issuer: Option<Box<str>>,
        subject: Box<str>,
        before: Option<Timestamp>,
    },
    Key(Box<str>),
}

/// Who shows credentials, which are good.
#[derive(Debug, Clone)]
pub struct Principal {
    /// `None` is nobody in particular.
    pub author: Option<Arc<Author>>,
    /// The role of its key; a token has one among its claims.
    pub role: Option<Box<str>>,
    /// All that is said of it.
    pub claims: Claims,
    /// When its token was issued, if it says so.
    pub issued_at: Option<Timestamp>,
}

/// Why a principal gets in with no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PolicyError {
    #[error("nobody gets in here without credentials")]
    Anonymous,
    #[error("these credentials were revoked")]
    Revoked,
    #[error("the claim {0:?} names no role that there is: {1}")]
    NoRole(Box<str>, String),
    #[error("the credentials do not give the role that was asked for")]
    OtherRole,
    #[error("the filter in the token is none: {0}")]
    BadFilter(String),
}

impl Policy {
    /// Parses the whole file, but for `issuers` and `keys`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn parse(file: &Document) -> Result<Self, Invalid> {
        let file = known(file.clone(), "", &NAMES)?;
        let roles = file
            .get("roles")
            .ok_or_else(|| Invalid::new("roles", "missing"))?;
        let roles = expect_object(roles, "roles")?.iter().map(|(name, role)| {
            let role = Role::parse(role, &join("roles", name))?;
            Ok((name.into(), Arc::new(role)))
        });
        let roles: HashMap<Box<str>, Arc<Role>> = roles.collect::<Result<_, Invalid>>()?;
        let text = |name: &str| {
            let text = file.get(name).map(|value| expect_text(value, name));
            text.transpose()
        };
        let role = |name: &str| match text(name)? {
            Some(role) if !roles.contains_key(role) => {
                Err(Invalid::new(name, "there is no such role"))
            }
            role => Ok(role.map(Into::into)),
        };
        Ok(Self {
            anonymous: role("anonymous")?,
            signed_in: role("signedIn")?,
            role_claim: text("roleClaim")?.unwrap_or("role").into(),
            revoked: read_revoked(file.get("revoke"))?,
            roles,
        })
    }

    /// Whether there is a role of this name.
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.contains_key(name)
    }

    /// The role of who shows nothing, if they get in.
    pub fn anonymous_role(&self) -> Option<&str> {
        self.anonymous.as_deref()
    }

    /// The role of who shows a token that names none, if they get in.
    pub fn signed_in_role(&self) -> Option<&str> {
        self.signed_in.as_deref()
    }

    /// The keys that are revoked.
    pub fn revoked_keys(&self) -> impl Iterator<Item = &str> {
        self.revoked
            .iter()
            .filter_map(|revocation| match revocation {
                Revocation::Key(id) => Some(&**id),
                Revocation::Subject { .. } => None,
            })
    }

    /// What this principal may see and change; with the role it asks for, if it asks for one.
    ///
    /// # Errors
    /// Why it gets in with no role.
    pub fn admit(&self, principal: &Principal, wanted: Option<&str>) -> Result<Grant, PolicyError> {
        if self
            .revoked
            .iter()
            .any(|revocation| revocation.covers(principal))
        {
            return Err(PolicyError::Revoked);
        }
        let (name, role) = self.role_of(principal, wanted)?;
        Grant::new(name, role, principal)
    }

    /// Exactly one: what several roles allow together nobody has written down.
    fn role_of(
        &self,
        principal: &Principal,
        wanted: Option<&str>,
    ) -> Result<(&str, &Arc<Role>), PolicyError> {
        let given: Vec<&str> = match (&principal.author, &self.anonymous) {
            (None, None) => return Err(PolicyError::Anonymous),
            (None, Some(role)) => vec![role],
            (Some(_), _) if principal.role.is_some() => {
                principal.role.as_deref().into_iter().collect()
            }
            (Some(_), _) => match principal.claims.get(&self.role_claim) {
                Some(Value::String(name)) => vec![name],
                Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
                // A claim that is there and names no role gets nobody in: it was meant to say something.
                Some(_) => Vec::new(),
                None => self.signed_in.as_deref().into_iter().collect(),
            },
        };
        let mut roles = given
            .iter()
            .filter_map(|name| self.roles.get_key_value(*name));
        let found = match wanted {
            None => roles.next().ok_or_else(|| self.no_role(&given)),
            Some(wanted) => roles
                .find(|(name, _)| ***name == *wanted)
                .ok_or(PolicyError::OtherRole),
        };
        found.map(|(name, role)| (&**name, role))
    }

    /// For the operator: what is shown of the claim is cut and escaped.
    fn no_role(&self, given: &[&str]) -> PolicyError {
        let shown = match given.first() {
            None => "it is missing, or no text".to_owned(),
            Some(name) => format!(
                "{:?}",
                name.chars().take(ROLE_SHOWN_CHARS).collect::<String>()
            ),
        };
        PolicyError::NoRole(self.role_claim.clone(), shown)
    }
}

impl Revocation {
    fn covers(&self, principal: &Principal) -> bool {
        match (self, principal.author.as_deref()) {
            (Self::Key(id), Some(Author::Key { id: key })) => id == key,
            (
                Self::Subject {
                    issuer,
                    subject,
                    before,
                },
                Some(Author::Token {
                    issuer: by,
                    subject: of,
                }),
            ) => {
                let is_old = |before: &Timestamp| principal.issued_at.is_none_or(|at| at < *before);
                subject == of
                    && issuer.as_ref().is_none_or(|issuer| issuer == by)
                    && before.as_ref().is_none_or(is_old)
            }
            _ => false,
        }
    }
}

fn read_revoked(value: Option<&Value>) -> Result<Vec<Revocation>, Invalid> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let items = expect_array(value, "revoke")?.iter().enumerate();
    let revoked = items.map(|(index, item)| {
        let at = join("revoke", &index.to_string());
        let given = known(
            expect_object(item, &at)?.clone(),
            &at,
            &["iss", "sub", "before", "key"],
        )?;
        let text = |name: &str| {
            let text = given
                .get(name)
                .map(|value| expect_text(value, &join(&at, name)));
            text.transpose()
        };
        match (text("sub")?, text("key")?) {
            (Some(subject), None) => Ok(Revocation::Subject {
                issuer: text("iss")?.map(Into::into),
                subject: subject.into(),
                before: text("before")?
                    .map(|text| read_time(text, &join(&at, "before")))
                    .transpose()?,
            }),
            (None, Some(id)) if given.len() == 1 => Ok(Revocation::Key(id.into())),
            _ => Err(Invalid::new(
                at,
                "expected a sub, perhaps with iss and before, or a key",
            )),
        }
    });
    revoked.collect()
}

fn read_time(text: &str, at: &str) -> Result<Timestamp, Invalid> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| Invalid::new(at, "expected a time such as 2026-01-31T12:00:00Z"))
}
