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
    /// Roughly the bytes this takes in memory.
    pub fn approx_bytes(&self) -> usize {
        let text = match self {
            Self::Token { issuer, subject } => issuer.len() + subject.len(),
            Self::Key { id } => id.len(),
        };
        size_of::<Self>() + text
    }
}
