//! Who caused a change.

use serde::Serialize;

/// Who a command came from, by the credentials that were shown with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Author {
    /// Who a token is about.
    Token {
        /// Who says so.
        #[serde(rename = "iss")]
        issuer: Box<str>,
        /// Who it is to that issuer.
        #[serde(rename = "sub")]
        subject: Box<str>,
    },
    /// Who has a key.
    Key {
        /// Of the key.
        #[serde(rename = "key")]
        id: Box<str>,
    },
}

impl Author {
    /// The most that each part of it takes in a log, in bytes.
    pub const PART_BYTES_MAX: usize = 512;

    /// The author of these parts as they are stored: issuer and subject, or a key's id; `None` if none can have been.
    pub fn stored(issuer: Option<&str>, subject: Option<&str>, key: Option<&str>) -> Option<Self> {
        let parts = [issuer, subject, key].into_iter().flatten();
        if parts
            .map(str::len)
            .any(|bytes| bytes > Self::PART_BYTES_MAX)
        {
            return None;
        }
        match (issuer, subject, key) {
            (Some(issuer), Some(subject), None) => Some(Self::Token {
                issuer: issuer.into(),
                subject: subject.into(),
            }),
            (None, None, Some(id)) => Some(Self::Key { id: id.into() }),
            _ => None,
        }
    }

    /// Roughly the bytes this takes in memory.
    pub fn approx_bytes(&self) -> usize {
        let text = match self {
            Self::Token { issuer, subject } => issuer.len() + subject.len(),
            Self::Key { id } => id.len(),
        };
        size_of::<Self>() + text
    }
}
