//! Who somebody is: tokens and API keys are verified here, and nothing is said of what their bearers may do.
//!
//! Pure: the text of keys and the time are given. What is fetched (JWK sets by https) comes from [`guard`](crate::guard).
//!
//! What a token says of itself decides nothing but which key may have signed it. The key knows its one algorithm, and its
//! issuer knows for whom it signs; a token is bounded before it is decoded, and believed after its signature.

mod algorithm;
mod api_keys;
mod claims;
mod error;
mod issuer;
mod issuers;
mod jwk;
mod jwks_url;
mod key_material;
mod signing_key;
mod token;
mod trusted_keys;

pub use algorithm::{Algorithm, Algorithms};
pub use api_keys::{ApiKeys, NewApiKey};
pub use error::{ShownName, TokenError};
pub use issuer::{KeyAddress, ReadFile};
pub use issuers::Issuers;
pub use jwks_url::JwksUrl;
pub use signing_key::SigningKey;
pub(crate) use token::UnprovenToken;
pub use trusted_keys::TrustedKeys;

use crate::domain::Timestamp;
use crate::value::Document;

/// How somebody has shown who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentityKind {
    /// By a token that an issuer signed.
    Token,
    /// By an API key.
    Key,
    /// Not at all.
    Anonymous,
}

/// Somebody, and what is known about them.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// How that was shown. Subjects of different kinds are different people, whatever their names.
    pub kind: IdentityKind,
    /// `iss`; empty unless a token was shown.
    pub issuer: Box<str>,
    /// `sub`, or the id of the key; empty for who is anonymous.
    pub subject: Box<str>,
    /// The role of an API key. A token has it among its claims.
    pub role: Option<Box<str>>,
    /// All claims, `sub` among them unless somebody is anonymous. Names may have dots, and be operators.
    pub claims: Document,
    /// `iat`, which a token may lack.
    pub issued_at: Option<Timestamp>,
    /// `exp` as the token has it; an API key ends when the access file says so.
    pub expires_at: Option<Timestamp>,
}

impl Identity {
    /// Who has shown nothing.
    pub fn anonymous() -> Self {
        Self {
            kind: IdentityKind::Anonymous,
            issuer: Box::default(),
            subject: Box::default(),
            role: None,
            claims: Document::new(),
            issued_at: None,
            expires_at: None,
        }
    }
}
