//! The algorithms by which tokens are signed.

use crate::value::{Invalid, Value, expect_array, expect_text, join, unknown};

/// How a token is signed. Others are refused by name, `none` among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256: who verifies can sign as well.
    Hs256,
    /// RSA (PKCS #1 1.5) with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// What tokens and the access file call them.
    const NAMES: [&'static str; 4] = ["HS256", "RS256", "ES256", "EdDSA"];

    /// Its name in a token.
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The algorithm of that very name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    pub(super) const fn in_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// The algorithms that an issuer may sign by; one at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Algorithms(u8);

impl Algorithms {
    /// Reads a list of names at the path `at`. A shared secret excludes public keys: else a public key, which anybody has,
    /// might be taken for a secret.
    pub(super) fn parse(value: &Value, at: &str) -> Result<Self, Invalid> {
        let mut algorithms = Self(0);
        for (index, name) in expect_array(value, at)?.iter().enumerate() {
            let at = join(at, &index.to_string());
            let name = expect_text(name, &at)?;
            let algorithm = Algorithm::parse(name)
                .ok_or_else(|| Invalid::new(&at, unknown("algorithm", name, &Algorithm::NAMES)))?;
            algorithms.0 |= Self::bit(algorithm);
        }
        if algorithms.0 == 0 {
            let names = Algorithm::NAMES.join(", ");
            return Err(Invalid::new(
                at,
                format!("expected one of {names} at least"),
            ));
        }
        if algorithms.contains(Algorithm::Hs256) && algorithms != Self::only(Algorithm::Hs256) {
            let reason = "HS256 stands alone: make another issuer of the same name for the others";
            return Err(Invalid::new(at, reason));
        }
        Ok(algorithms)
    }

    pub(super) const fn only(algorithm: Algorithm) -> Self {
        Self(Self::bit(algorithm))
    }

    /// Whether the issuer may sign by it.
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & Self::bit(algorithm) != 0
    }

    /// Their names, for a message.
    pub(super) fn names(self) -> String {
        let algorithms = Algorithm::ALL.into_iter();
        let names = algorithms.filter(|algorithm| self.contains(*algorithm));
        names.map(Algorithm::as_str).collect::<Vec<_>>().join(", ")
    }

    const fn bit(algorithm: Algorithm) -> u8 {
        1 << algorithm as u8
    }
}
