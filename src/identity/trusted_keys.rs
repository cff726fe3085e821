//! The keys that an issuer may sign with.

use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto;

use super::jwk::{self, Jwk};
use super::token::UnprovenToken;
use super::{Algorithm, Algorithms, TokenError};
use crate::limits;
use crate::value::{Document, Value, read};

/// A key, bound to the one algorithm that it is for: what a token's header says decides nothing but whether it fits.
#[derive(Debug, Clone)]
pub(super) struct TrustedKey {
    /// `kid`; `None` fits every name.
    pub(super) name: Option<Box<str>>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl TrustedKey {
    fn verify(&self, token: &UnprovenToken<'_>) -> Result<(), TokenError> {
        let signed = token.signed.as_bytes();
        let algorithm = self.algorithm.in_library();
        match crypto::verify(token.signature, signed, &self.key, algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(TokenError::Signature),
        }
    }
}

/// The keys of one issuer: one at least, and no two for the same name and algorithm.
#[derive(Debug, Clone)]
pub struct TrustedKeys(Box<[TrustedKey]>);

impl TrustedKeys {
    pub(super) fn one(key: TrustedKey) -> Self {
        Self(Box::new([key]))
    }

    /// Reads a JWK set. Keys that are for something else than verifying by one of these algorithms are passed over, as
    /// the standard has it.
    ///
    /// # Errors
    /// In words, if it is no JWK set, or no key is left, or it cannot be told which of two keys is meant.
    pub fn parse_jwks(text: &str, algorithms: Algorithms) -> Result<Self, String> {
        let set: Document = read(text, "").map_err(|error| format!("is not a JWK set: {error}"))?;
        let Some(Value::Array(jwks)) = set.get("keys") else {
            return Err("is not a JWK set: it has no list of keys".to_owned());
        };
        if jwks.len() > limits::JWKS_KEYS_MAX {
            return Err(format!("has more than {} keys", limits::JWKS_KEYS_MAX));
        }
        let mut keys: Vec<TrustedKey> = Vec::new();
        let mut passed_over = Vec::new();
        for (index, jwk) in jwks.iter().enumerate() {
            match jwk::parse(jwk, algorithms) {
                Ok(Jwk::Verifying(key)) if keys.iter().any(|other| other.is_mistaken_for(&key)) => {
                    return Err(format!(
                        "keys.{index}: has the kid and algorithm of another key"
                    ));
                }
                Ok(Jwk::Verifying(key)) => keys.push(key),
                Ok(Jwk::Other(why)) => passed_over.push(format!("keys.{index} {why}")),
                Err(reason) => return Err(format!("keys.{index}: {reason}")),
            }
        }
        if keys.is_empty() {
            let names = algorithms.names();
            let why = passed_over.join(", ");
            return Err(format!("has no key that verifies by {names} ({why})"));
        }
        Ok(Self(keys.into()))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether one of them has signed the token.
    pub(super) fn verify(&self, token: &UnprovenToken<'_>) -> Result<(), TokenError> {
        self.find(token)?.verify(token)
    }

    /// The one key that the token can be of. One that names none is not tried with several: it would cost a signature
    /// each.
    fn find(&self, token: &UnprovenToken<'_>) -> Result<&TrustedKey, TokenError> {
        let of_algorithm = || self.0.iter().filter(|key| key.algorithm == token.algorithm);
        let named = token.key_name.as_deref().and_then(|name| {
            let mut keys = of_algorithm();
            keys.find(|key| key.name.as_deref() == Some(name))
        });
        if let Some(key) = named {
            return Ok(key);
        }
        let mut candidates =
            of_algorithm().filter(|key| key.name.is_none() || token.key_name.is_none());
        match (candidates.next(), candidates.next(), token.shown_key_name()) {
            (Some(key), None, _) => Ok(key),
            (_, _, Some(name)) => Err(TokenError::UnknownKey(name)),
            (_, _, None) => Err(TokenError::UnnamedKey),
        }
    }
}

impl TrustedKey {
    fn is_mistaken_for(&self, other: &Self) -> bool {
        self.name == other.name && self.algorithm == other.algorithm
    }
}
