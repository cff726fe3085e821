//! All issuers of an access file.

use std::sync::Arc;

use super::issuer::{Issuer, IssuerKeys, KeyAddress, ReadFile};
use super::token::UnprovenToken;
use super::trusted_keys::TrustedKeys;
use super::{Identity, ShownName, TokenError};
use crate::domain::Timestamp;
use crate::limits;
use crate::value::{Invalid, Value, expect_array, join};

/// Who may sign tokens. Several of the same name are several ways to sign of one issuer, such as an old key and a new.
#[derive(Debug, Default)]
pub struct Issuers(Vec<Issuer>);

impl Issuers {
    /// Reads the list at the path `at`; `files` reads what the list names.
    ///
    /// # Errors
    /// The first fault, with its path.
    pub fn parse(value: &Value, at: &str, files: &ReadFile<'_>) -> Result<Self, Invalid> {
        let items = expect_array(value, at)?;
        if items.len() > limits::ISSUERS_MAX {
            let reason = format!("more than {} issuers", limits::ISSUERS_MAX);
            return Err(Invalid::new(at, reason));
        }
        let items = items.iter().enumerate();
        let issuers =
            items.map(|(index, item)| Issuer::parse(item, &join(at, &index.to_string()), files));
        issuers.collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where keys must be fetched.
    pub fn key_addresses(&self) -> impl Iterator<Item = &KeyAddress> {
        self.0.iter().filter_map(Issuer::address)
    }

    /// Who a token says that its bearer is, if it is good at this time, by keys that are at hand.
    ///
    /// # Errors
    /// Why it is not.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Identity, TokenError> {
        let token = UnprovenToken::read(token)?;
        self.check(&token, now, |_| None)
    }

    /// The same with keys that were fetched.
    pub(crate) fn check(
        &self,
        token: &UnprovenToken<'_>,
        now: Timestamp,
        fetched: impl Fn(&KeyAddress) -> Option<Arc<TrustedKeys>>,
    ) -> Result<Identity, TokenError> {
        let mut refused = TokenError::UnknownIssuer(ShownName::of(token.issuer()?));
        for issuer in self.called(token.issuer()?) {
            let checked = match &issuer.keys {
                IssuerKeys::Held(keys) => issuer.check(token, keys, now),
                IssuerKeys::Remote(address) => match fetched(address) {
                    Some(keys) => issuer.check(token, &keys, now),
                    None => Err(TokenError::KeysUnavailable),
                },
            };
            match checked {
                Ok(identity) => return Ok(identity),
                Err(error) if error.progress() > refused.progress() => refused = error,
                Err(_) => {}
            }
        }
        Err(refused)
    }

    /// Where the keys of those are fetched who may have signed the token.
    pub(crate) fn addresses_for<'a>(
        &'a self,
        token: &'a UnprovenToken<'_>,
    ) -> impl Iterator<Item = &'a KeyAddress> {
        let issuers = token.issuer().ok().map(|name| self.called(name));
        issuers.into_iter().flatten().filter_map(Issuer::address)
    }

    fn called<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Issuer> {
        self.0.iter().filter(move |issuer| *issuer.name == *name)
    }
}

impl Issuer {
    fn address(&self) -> Option<&KeyAddress> {
        match &self.keys {
            IssuerKeys::Held(_) => None,
            IssuerKeys::Remote(address) => Some(address),
        }
    }
}
