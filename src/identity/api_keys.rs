//! API keys: what services prove themselves with. The access file holds their digests, and no key.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::token::depth;
use super::{Identity, IdentityKind};
use crate::limits;
use crate::value::{
    Document, Invalid, Value, expect_array, expect_object, expect_text, from_hex, hex, join, known,
};

/// What each key begins with, and no token does: whoever finds one knows what it is.
const PREFIX: &str = "lk_";

/// Random bytes of a key: as many as a digest has.
const RANDOM_BYTES: usize = 32;

type KeyDigest = [u8; 32];

/// The keys that are taken, by their ids.
#[derive(Debug, Default)]
pub struct ApiKeys(HashMap<Box<str>, ApiKey>);

#[derive(Debug)]
struct ApiKey {
    digest: KeyDigest,
    role: Box<str>,
    claims: Document,
}

impl ApiKeys {
    /// Reads the list at the path `at`.
    ///
    /// # Errors
    /// The first fault, with its path.
    pub fn parse(value: &Value, at: &str) -> Result<Self, Invalid> {
        let items = expect_array(value, at)?;
        if items.len() > limits::API_KEYS_MAX {
            let reason = format!("more than {} keys", limits::API_KEYS_MAX);
            return Err(Invalid::new(at, reason));
        }
        let mut keys = HashMap::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let at = join(at, &index.to_string());
            let (id, key) = ApiKey::parse(item, &at)?;
            if keys.insert(id, key).is_some() {
                return Err(Invalid::new(join(&at, "id"), "another key has the same id"));
            }
        }
        Ok(Self(keys))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is one of this id.
    pub fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Whether a text is an API key, good or bad, and no token.
    pub fn is_key(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Whom a key belongs to, if it is one of these. Digests are compared in a time that does not tell how much of them is
    /// right.
    pub fn verify(&self, text: &str) -> Option<Identity> {
        let (id, random) = text.strip_prefix(PREFIX)?.split_once('_')?;
        if random.len() != 2 * RANDOM_BYTES {
            return None;
        }
        let key = self.0.get(id)?;
        let is_right: bool = key.digest.ct_eq(&digest(text)).into();
        is_right.then(|| key.identity(id))
    }
}

impl ApiKey {
    fn parse(value: &Value, at: &str) -> Result<(Box<str>, Self), Invalid> {
        let names = ["id", "sha256", "role", "claims"];
        let fields = known(expect_object(value, at)?.clone(), at, &names)?;
        let text = |name: &str| {
            let (at, value) = (join(at, name), fields.get(name));
            let value = value.ok_or_else(|| Invalid::new(&at, "missing"))?;
            expect_text(value, &at).map(str::to_owned)
        };
        let (id, role) = (text("id")?, text("role")?);
        check_key_id(&id).map_err(|reason| Invalid::new(join(at, "id"), reason))?;
        let digest = from_hex(&text("sha256")?).ok_or_else(|| {
            let reason = "expected 64 hexadecimal digits, as `livelog key new` prints them";
            Invalid::new(join(at, "sha256"), reason)
        })?;
        let claims = match fields.get("claims") {
            Some(claims) => parse_claims(claims, &join(at, "claims"))?,
            None => Document::new(),
        };
        let key = Self {
            digest,
            role: role.into(),
            claims,
        };
        Ok((id.into(), key))
    }

    fn identity(&self, id: &str) -> Identity {
        let mut claims = self.claims.clone();
        claims.push("sub", id);
        Identity {
            kind: IdentityKind::Key,
            issuer: Box::default(),
            subject: id.into(),
            role: Some(self.role.clone()),
            claims,
            issued_at: None,
            expires_at: None,
        }
    }
}

fn parse_claims(value: &Value, at: &str) -> Result<Document, Invalid> {
    let claims = expect_object(value, at)?;
    if depth(claims) > limits::CLAIMS_DEPTH_MAX {
        let reason = format!("nested deeper than {} levels", limits::CLAIMS_DEPTH_MAX);
        return Err(Invalid::new(at, reason));
    }
    match claims.get("sub") {
        Some(_) => Err(Invalid::new(join(at, "sub"), "the sub of a key is its id")),
        None => Ok(claims.clone()),
    }
}

/// Checks the id of a key, which is a part of the key.
///
/// # Errors
/// In words.
fn check_key_id(id: &str) -> Result<(), &'static str> {
    const { assert!(limits::API_KEY_ID_BYTES_MAX == 64) };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let fits = (1..=limits::API_KEY_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_plain);
    fits.then_some(())
        .ok_or("expected 1 to 64 letters, digits and hyphens")
}

fn digest(key: &str) -> KeyDigest {
    Sha256::digest(key).into()
}

/// A key that was just made: the only time that it is there in full.
pub struct NewApiKey {
    /// What its owner sends.
    pub key: String,
    /// What the access file holds of it.
    pub entry: Document,
}

impl NewApiKey {
    /// Makes a key of random bytes.
    ///
    /// # Errors
    /// In words, if the id cannot be one.
    pub fn make(id: &str, role: &str, random: &[u8; RANDOM_BYTES]) -> Result<Self, &'static str> {
        check_key_id(id)?;
        let key = format!("{PREFIX}{id}_{}", hex(random));
        let entry = Document::from_iter([
            ("id", Value::from(id)),
            ("sha256", Value::from(hex(&digest(&key)))),
            ("role", Value::from(role)),
        ]);
        Ok(Self { key, entry })
    }
}
