//! What a client shows to prove who it is: in the payload of an AUTH, in a header, or where Socket.IO has it.

use std::fmt;

use crate::value::{Document, Invalid, expect_text, join, known};

/// A token or an API key, and the role that is asked for, if it could give several.
#[derive(Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the type says it")]
pub struct Credentials {
    pub token: Option<Box<str>>,
    pub role: Option<Box<str>>,
}

/// Without the token: what shows this may be a log.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_token = self.token.is_some();
        let mut parts = formatter.debug_struct("Credentials");
        parts.field("has_token", &has_token);
        parts.field("role", &self.role).finish()
    }
}

impl Credentials {
    /// Nothing is shown.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same, with what is shown elsewhere if nothing is shown here.
    pub fn or(self, other: &Self) -> Self {
        Self {
            token: self.token.or_else(|| other.token.clone()),
            role: self.role.or_else(|| other.role.clone()),
        }
    }

    /// Reads the payload of an AUTH. The value of `token` is shown to nobody, whatever is wrong with it.
    ///
    /// # Errors
    /// What is wrong, with its path.
    pub(super) fn parse(payload: Document, at: &str) -> Result<Self, Invalid> {
        let payload = known(payload, at, &["token", "role"])?;
        let text = |name: &str| {
            let value = payload.get(name);
            value
                .map(|value| expect_text(value, &join(at, name)).map(Into::into))
                .transpose()
        };
        let token: Option<Box<str>> = text("token")?;
        match token {
            None => Err(Invalid::new(
                join(at, "token"),
                "missing: a token or an API key",
            )),
            Some(_) => Ok(Self {
                token,
                role: text("role")?,
            }),
        }
    }
}
