//! An issuer: who signs tokens, for whom, by what, with which keys.

use jsonwebtoken::DecodingKey;

use super::claims::{self, Lifetime};
use super::jwks_url::JwksUrl;
use super::key_material;
use super::token::UnprovenToken;
use super::trusted_keys::{TrustedKey, TrustedKeys};
use super::{Algorithm, Algorithms, Identity, IdentityKind, TokenError};
use crate::domain::Timestamp;
use crate::limits;
use crate::value::{
    Document, Invalid, Value, expect_array, expect_object, expect_text, expected, join, known,
};

/// Reads a file that the access file names, or says why not.
pub type ReadFile<'a> = dyn Fn(&str) -> Result<String, String> + 'a;

/// Where the keys of an issuer are fetched, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyAddress {
    /// The JWK set.
    pub url: JwksUrl,
    /// Keys for others are passed over.
    pub algorithms: Algorithms,
}

/// The keys of an issuer: there is no issuer without.
#[derive(Debug)]
pub(super) enum IssuerKeys {
    Held(TrustedKeys),
    Remote(KeyAddress),
}

/// Who signs tokens.
#[derive(Debug)]
pub(super) struct Issuer {
    /// `iss`.
    pub(super) name: Box<str>,
    audiences: Box<[Box<str>]>,
    algorithms: Algorithms,
    /// Claims that must be there beside those that always must.
    demanded: Box<[Box<str>]>,
    pub(super) keys: IssuerKeys,
}

const FIELDS: [&str; 9] = [
    "iss",
    "aud",
    "algorithms",
    "require",
    "kid",
    "secretFile",
    "pemFile",
    "jwksFile",
    "jwks",
];

/// The fields of which an issuer has one.
const KEY_FIELDS: [&str; 4] = ["secretFile", "pemFile", "jwksFile", "jwks"];

impl Issuer {
    pub(super) fn parse(value: &Value, at: &str, files: &ReadFile<'_>) -> Result<Self, Invalid> {
        let fields = known(expect_object(value, at)?.clone(), at, &FIELDS)?;
        let algorithms =
            Algorithms::parse(demand(&fields, "algorithms", at)?, &join(at, "algorithms"))?;
        Ok(Self {
            name: nonempty(demand(&fields, "iss", at)?, &join(at, "iss"))?,
            audiences: texts(demand(&fields, "aud", at)?, &join(at, "aud"))?,
            algorithms,
            demanded: match fields.get("require") {
                Some(names) => texts(names, &join(at, "require"))?,
                None => Box::default(),
            },
            keys: KeyField::parse(&fields, algorithms, at)?.keys(files)?,
        })
    }

    /// Who a token says that its bearer is, if one of the keys has signed it and all of it holds.
    pub(super) fn check(
        &self,
        token: &UnprovenToken<'_>,
        keys: &TrustedKeys,
        now: Timestamp,
    ) -> Result<Identity, TokenError> {
        if !self.algorithms.contains(token.algorithm) {
            return Err(TokenError::ForeignAlgorithm(token.algorithm));
        }
        keys.verify(token)?;
        claims::check_audience(&token.claims, &self.audiences)?;
        let mut demanded = self.demanded.iter();
        if let Some(name) = demanded.find(|name| token.claims.get(name).is_none()) {
            return Err(TokenError::MissingClaim(name.clone()));
        }
        let subject = token.text("sub")?;
        let lifetime = Lifetime::of(&token.claims)?;
        lifetime.check(now)?;
        Ok(Identity {
            kind: IdentityKind::Token,
            issuer: self.name.clone(),
            subject: subject.into(),
            role: None,
            claims: token.claims.clone(),
            issued_at: lifetime.issued_at(),
            expires_at: Some(lifetime.expires_at()),
        })
    }
}

/// The field of an issuer that says where its keys are.
struct KeyField<'a> {
    name: &'static str,
    /// A file, or an address.
    text: &'a str,
    at: String,
    algorithms: Algorithms,
    /// Of the one key in the file, if it has one.
    key_name: Option<Box<str>>,
}

impl<'a> KeyField<'a> {
    fn parse(fields: &'a Document, algorithms: Algorithms, at: &str) -> Result<Self, Invalid> {
        let given = |name: &&'static str| Some((*name, fields.get(name)?));
        let mut given = KEY_FIELDS.iter().filter_map(given);
        let (Some((name, value)), None) = (given.next(), given.next()) else {
            let names = KEY_FIELDS.join(", ");
            return Err(Invalid::new(at, format!("expected exactly one of {names}")));
        };
        let is_secret = algorithms == Algorithms::only(Algorithm::Hs256);
        if is_secret != (name == "secretFile") {
            let reason = "HS256 needs a secretFile, and only it";
            return Err(Invalid::new(join(at, name), reason));
        }
        Ok(Self {
            name,
            text: expect_text(value, &join(at, name))?,
            at: join(at, name),
            algorithms,
            key_name: key_name(fields, name, at)?,
        })
    }

    fn keys(self, files: &ReadFile<'_>) -> Result<IssuerKeys, Invalid> {
        if self.name == "jwks" {
            let url = JwksUrl::parse(self.text);
            return Ok(IssuerKeys::Remote(KeyAddress {
                url: url.map_err(|reason| Invalid::new(&self.at, reason))?,
                algorithms: self.algorithms,
            }));
        }
        let (file, at) = (self.text, self.at.clone());
        let refused = |reason: String| Invalid::new(at, format!("{file} {reason}"));
        let read = files(file).map_err(|error| format!("cannot be read: {error}"));
        let keys = read.and_then(|text| self.keys_in(&text));
        keys.map(IssuerKeys::Held).map_err(refused)
    }

    /// The keys in the text of its file.
    fn keys_in(self, text: &str) -> Result<TrustedKeys, String> {
        let (algorithm, key) = match self.name {
            "secretFile" => {
                let secret = key_material::secret(text)?;
                (Algorithm::Hs256, DecodingKey::from_secret(secret))
            }
            "pemFile" => key_material::public_key(text, self.algorithms)?,
            _ => return TrustedKeys::parse_jwks(text, self.algorithms),
        };
        Ok(TrustedKeys::one(TrustedKey {
            name: self.key_name,
            algorithm,
            key,
        }))
    }
}

/// The `kid` of the one key in a file; a set has one for each of its keys.
fn key_name(fields: &Document, field: &str, at: &str) -> Result<Option<Box<str>>, Invalid> {
    let Some(value) = fields.get("kid") else {
        return Ok(None);
    };
    let at = join(at, "kid");
    let name = nonempty(value, &at)?;
    if name.len() > limits::KEY_NAME_BYTES_MAX {
        let reason = format!("longer than {} bytes", limits::KEY_NAME_BYTES_MAX);
        return Err(Invalid::new(at, reason));
    }
    match field {
        "secretFile" | "pemFile" => Ok(Some(name)),
        _ => Err(Invalid::new(
            at,
            "the keys of a set have a kid each, in the set",
        )),
    }
}

fn demand<'a>(fields: &'a Document, name: &str, at: &str) -> Result<&'a Value, Invalid> {
    let value = fields.get(name);
    value.ok_or_else(|| Invalid::new(join(at, name), "missing"))
}

fn nonempty(value: &Value, at: &str) -> Result<Box<str>, Invalid> {
    match expect_text(value, at)? {
        "" => Err(Invalid::new(at, "expected a text that is not empty")),
        text => Ok(text.into()),
    }
}

/// A text, or several: one at least.
fn texts(value: &Value, at: &str) -> Result<Box<[Box<str>]>, Invalid> {
    match value {
        Value::String(_) => Ok(Box::new([nonempty(value, at)?])),
        Value::Array(items) if !items.is_empty() => {
            let items = expect_array(value, at)?.iter().enumerate();
            let texts = items.map(|(index, item)| nonempty(item, &join(at, &index.to_string())));
            texts.collect()
        }
        _ => Err(expected("a text, or a list of them", value, at)),
    }
}
