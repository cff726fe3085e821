//! A token as it came: taken apart and decoded, but not believed.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::{Algorithm, ShownName, TokenError};
use crate::limits;
use crate::value::{Document, ParseError, Value, read};

/// A token in three parts, its header and claims decoded. Nothing of it is proven.
#[derive(Debug)]
pub(crate) struct UnprovenToken<'a> {
    /// Header and claims as they were signed.
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
    pub(super) algorithm: Algorithm,
    /// `kid`: which key of its issuer it says that it is signed with.
    pub(super) key_name: Option<String>,
    pub(super) claims: Document,
}

impl<'a> UnprovenToken<'a> {
    /// Takes apart a text of which nothing is known.
    ///
    /// # Errors
    /// If it is no token, or one that no issuer could make good.
    pub(crate) fn read(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > limits::TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::NotAToken)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::NotAToken)?;
        let header = decode(header, "header")?;
        let (algorithm, key_name) = read_header(&header)?;
        let claims = decode(claims, "payload")?;
        if depth(&claims) > limits::CLAIMS_DEPTH_MAX {
            return Err(malformed("payload", "is nested too deep"));
        }
        Ok(Self {
            signed,
            signature,
            algorithm,
            key_name,
            claims,
        })
    }

    /// `iss`: whom it says that it is from.
    pub(super) fn issuer(&self) -> Result<&str, TokenError> {
        self.text("iss")
    }

    /// A claim that is there, and is text.
    pub(super) fn text(&self, claim: &'static str) -> Result<&str, TokenError> {
        let value = self.claims.get(claim);
        let value = value.ok_or_else(|| TokenError::MissingClaim(claim.into()))?;
        let text = value.as_str().filter(|text| !text.is_empty());
        text.ok_or(TokenError::IllTypedClaim {
            claim,
            expected: "a text",
        })
    }

    /// The name of its key, for a message.
    pub(super) fn shown_key_name(&self) -> Option<ShownName> {
        self.key_name.as_deref().map(ShownName::of)
    }
}

/// Levels of nesting, the document itself included.
pub(super) fn depth(document: &Document) -> usize {
    let deepest = document.iter().map(|(_, value)| value.depth()).max();
    1 + deepest.unwrap_or(0)
}

fn malformed(part: &'static str, reason: &'static str) -> TokenError {
    TokenError::Malformed { part, reason }
}

/// Decodes a part. What the parsers say of a text may hold pieces of it, and is not passed on.
fn decode(part: &str, name: &'static str) -> Result<Document, TokenError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part);
    let bytes = bytes.map_err(|_| TokenError::NotAToken)?;
    let text = String::from_utf8(bytes).map_err(|_| malformed(name, "is not UTF-8"))?;
    read(&text, "").map_err(|error| match error {
        ParseError::Offence(_) => malformed(
            name,
            "has a name twice, a number that nothing holds, or too many levels",
        ),
        ParseError::Json { .. } => malformed(name, "is not a JSON object"),
    })
}

fn read_header(header: &Document) -> Result<(Algorithm, Option<String>), TokenError> {
    if header.get("crit").is_some() {
        return Err(TokenError::CriticalExtension);
    }
    let algorithm = header.get("alg").and_then(Value::as_str);
    let algorithm = algorithm.and_then(Algorithm::parse);
    let algorithm = algorithm.ok_or(TokenError::UnknownAlgorithm)?;
    let key_name = match header.get("kid") {
        None => None,
        Some(Value::String(name)) if name.len() <= limits::KEY_NAME_BYTES_MAX => Some(name.clone()),
        Some(_) => return Err(malformed("header", "has a kid that is no short text")),
    };
    Ok((algorithm, key_name))
}
