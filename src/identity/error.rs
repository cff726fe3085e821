//! Why a token proves nothing.

use std::fmt;

use super::Algorithm;
use crate::limits;

/// A name out of a token, for a message: escaped, and cut where it is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownName(Box<str>);

const SHOWN_BYTES_MAX: usize = 80;

impl ShownName {
    pub(super) fn of(name: &str) -> Self {
        Self(name[..name.floor_char_boundary(SHOWN_BYTES_MAX)].into())
    }
}

impl fmt::Display for ShownName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

/// Why a token is refused. The message is for the operator, who may know all but the token itself, of which it holds
/// nothing but `iss` and `kid`; a client is told no more than [`TokenError::is_expired`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was not even decoded.
    #[error("the token is longer than {} bytes", limits::TOKEN_BYTES_MAX)]
    TooLong,
    /// Other text, perhaps an encrypted token.
    #[error("the token is not three parts of base64url between dots")]
    NotAToken,
    /// A part of it that is decoded is no JSON object that livelog reads.
    #[error("the {part} of the token {reason}")]
    #[expect(missing_docs, reason = "the message says it")]
    Malformed {
        part: &'static str,
        reason: &'static str,
    },
    /// `alg` is absent, `none`, or another that livelog has not.
    #[error("the token is signed by none of HS256, RS256, ES256 and EdDSA")]
    UnknownAlgorithm,
    /// `crit` names what must be understood.
    #[error("the token has extensions that must be understood (crit), and none is")]
    CriticalExtension,
    /// `iss` is no issuer of the access file.
    #[error("no issuer is called {0}")]
    UnknownIssuer(ShownName),
    /// The issuer does not sign by it.
    #[error("the token is signed by {}, which is not among the algorithms of its issuer", .0.as_str())]
    ForeignAlgorithm(Algorithm),
    /// No key of the issuer has this `kid` and this algorithm.
    #[error("the issuer has no key {0} for the algorithm of the token")]
    UnknownKey(ShownName),
    /// A token without `kid`, and not exactly one key that it may be of.
    #[error("the token names no key (kid), and its issuer has not exactly one for its algorithm")]
    UnnamedKey,
    /// They could not be fetched yet.
    #[error("the keys of the issuer are not known yet")]
    KeysUnavailable,
    /// Another key, or another text.
    #[error("the signature is not that of the issuer's key")]
    Signature,
    /// A claim that must be there is not.
    #[error("the token has no {0}")]
    MissingClaim(Box<str>),
    /// A claim has a value of another kind than it must have.
    #[error("the claim {claim} is not {expected}")]
    #[expect(missing_docs, reason = "the message says it")]
    IllTypedClaim {
        claim: &'static str,
        expected: &'static str,
    },
    /// It is for others.
    #[error("the token is for another audience (aud)")]
    Audience,
    /// `nbf` or `iat` is in the future.
    #[error("the token is not valid yet (nbf, iat)")]
    NotYetValid,
    /// `exp` is over.
    #[error("the token has expired (exp)")]
    Expired,
}

impl TokenError {
    /// Whether the token was good once: its client may come back with a new one.
    pub const fn is_expired(&self) -> bool {
        matches!(self, Self::Expired)
    }

    /// Whether the same token may be good in a moment.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::KeysUnavailable)
    }

    /// Whether newer keys of the issuer could make it good.
    pub(crate) const fn wants_newer_keys(&self) -> bool {
        matches!(
            self,
            Self::UnknownKey(_) | Self::UnnamedKey | Self::KeysUnavailable
        )
    }

    /// How far the token came. Of several issuers of one name that is told by which it came furthest.
    pub(super) const fn progress(&self) -> u8 {
        match self {
            Self::TooLong
            | Self::NotAToken
            | Self::Malformed { .. }
            | Self::UnknownAlgorithm
            | Self::CriticalExtension
            | Self::UnknownIssuer(_) => 0,
            Self::ForeignAlgorithm(_) => 1,
            Self::Signature => 2,
            Self::UnknownKey(_) | Self::UnnamedKey | Self::KeysUnavailable => 3,
            Self::MissingClaim(_) | Self::IllTypedClaim { .. } | Self::Audience => 4,
            Self::NotYetValid | Self::Expired => 5,
        }
    }
}
