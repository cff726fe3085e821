//! Signing tokens: for trying out and for services, by `livelog token`. A server signs none.

use jsonwebtoken::{EncodingKey, Header, encode};

use super::key_material::KeyReader;
use super::{Algorithm, key_material};
use crate::value::Document;

/// A key that signs, and the one algorithm that it is for.
#[derive(Debug)]
pub struct SigningKey {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl SigningKey {
    /// The shared secret in the text of a file.
    ///
    /// # Errors
    /// In words.
    pub fn from_secret(text: &str) -> Result<Self, String> {
        let secret = key_material::secret(text)?;
        Ok(Self {
            algorithm: Algorithm::Hs256,
            key: EncodingKey::from_secret(secret),
        })
    }

    /// A private key in PEM.
    ///
    /// # Errors
    /// In words.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        if pem.contains("-----BEGIN EC PRIVATE KEY-----") {
            let reason = "is in a format that is not read: `openssl pkcs8 -topk8 -nocrypt -in FILE` makes another of it";
            return Err(reason.to_owned());
        }
        if !pem.contains("PRIVATE KEY-----") || pem.contains("ENCRYPTED") {
            return Err("is no private key in PEM without a password".to_owned());
        }
        let readers: [(Algorithm, KeyReader<EncodingKey>); 3] = [
            (Algorithm::Es256, EncodingKey::from_ec_pem),
            (Algorithm::EdDsa, EncodingKey::from_ed_pem),
            (Algorithm::Rs256, EncodingKey::from_rsa_pem),
        ];
        let mut read = readers.into_iter().filter_map(|(algorithm, reader)| {
            let key = reader(pem.trim().as_bytes()).ok()?;
            Some(Self { algorithm, key })
        });
        read.next()
            .ok_or_else(|| "is no RSA, P-256 or Ed25519 key".to_owned())
    }

    /// A token with these claims. A key is told by its name (`kid`) if it has one.
    ///
    /// # Errors
    /// In words, if the key cannot sign after all.
    pub fn sign(&self, claims: &Document, key_name: Option<&str>) -> Result<String, String> {
        let header = Header {
            kid: key_name.map(str::to_owned),
            ..Header::new(self.algorithm.in_library())
        };
        let signed = encode(&header, claims, &self.key);
        signed.map_err(|error| format!("cannot sign by {}: {error}", self.algorithm.as_str()))
    }
}
