//! Why credentials are not taken: all of it for the operator, and little for who shows them.

use std::mem::{Discriminant, discriminant};

use crate::access::PolicyError;
use crate::identity::TokenError;
use crate::protocol::{Code, Failure};

/// There are as many as there are variants.
pub(super) type AdmissionErrorKind = (
    Discriminant<AdmissionError>,
    Option<Discriminant<TokenError>>,
    Option<Discriminant<PolicyError>>,
);

/// Why somebody does not get in.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AdmissionError {
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("there is no such API key")]
    UnknownKey,
    /// It could not be read again from the log that it stands in.
    #[error("the issuer's or the subject's name is too long")]
    LongName,
    #[error("the credentials have expired")]
    Expired,
    #[error("{0}")]
    Policy(#[from] PolicyError),
}

impl AdmissionError {
    /// Its kind: of each, the log tells for itself.
    pub(super) fn kind(&self) -> AdmissionErrorKind {
        match self {
            Self::Token(error) => (discriminant(self), Some(discriminant(error)), None),
            Self::Policy(error) => (discriminant(self), None, Some(discriminant(error))),
            _ => (discriminant(self), None, None),
        }
    }

    /// Whether the same credentials may be good in a moment.
    pub(super) const fn is_temporary(&self) -> bool {
        matches!(self, Self::Token(error) if error.is_temporary())
    }

    const fn code(&self) -> Code {
        match self {
            Self::Expired => Code::TokenExpired,
            Self::Token(error) if error.is_expired() => Code::TokenExpired,
            Self::Token(error) if error.is_temporary() => Code::Unavailable,
            Self::Policy(
                PolicyError::NoRole(..) | PolicyError::OtherRole | PolicyError::BadFilter(_),
            ) => Code::Forbidden,
            Self::Token(_) | Self::UnknownKey | Self::LongName | Self::Policy(_) => {
                Code::Unauthenticated
            }
        }
    }
}

impl From<AdmissionError> for Failure {
    fn from(refusal: AdmissionError) -> Self {
        let code = refusal.code();
        let message = match &refusal {
            AdmissionError::Expired => "the credentials have expired: show others".to_owned(),
            AdmissionError::Token(error) if error.is_expired() || error.is_temporary() => {
                error.to_string()
            }
            AdmissionError::Policy(PolicyError::NoRole(..)) => {
                "the credentials name no role that there is; the server's log says which".to_owned()
            }
            AdmissionError::Policy(PolicyError::BadFilter(_)) => {
                "the filter in the token is none; the server's log says why".to_owned()
            }
            AdmissionError::Policy(refused) => refused.to_string(),
            AdmissionError::Token(_) | AdmissionError::UnknownKey | AdmissionError::LongName => {
                "these credentials are not taken here; the server's log says why".to_owned()
            }
        };
        Self::new(code, message)
    }
}
