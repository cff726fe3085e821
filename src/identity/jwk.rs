//! One key of a JWK set.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

use super::key_material::{RSA_BYTES_MAX, RSA_BYTES_MIN};
use super::trusted_keys::TrustedKey;
use super::{Algorithm, Algorithms};
use crate::limits;
use crate::value::{Document, Value};

/// What a key of a set is to an issuer.
pub(super) enum Jwk {
    /// It verifies by one of the issuer's algorithms.
    Verifying(TrustedKey),
    /// It is for something else, which is said.
    Other(&'static str),
}

/// Reads one key.
///
/// # Errors
/// In words, if it says that it is for this, and is not whole.
pub(super) fn parse(jwk: &Value, algorithms: Algorithms) -> Result<Jwk, String> {
    let jwk = jwk.as_object().ok_or("is not an object")?;
    let Some(algorithm) = algorithm_of(jwk) else {
        return Ok(Jwk::Other("is of another kind"));
    };
    if !algorithms.contains(algorithm) {
        return Ok(Jwk::Other("is for another algorithm"));
    }
    if let Some(why) = contradiction(jwk, algorithm) {
        return Ok(Jwk::Other(why));
    }
    Ok(Jwk::Verifying(TrustedKey {
        name: name_of(jwk)?,
        algorithm,
        key: key_of(jwk, algorithm)?,
    }))
}

/// By its kind and curve; a symmetric key (`oct`) is a secret, which no set may tell.
fn algorithm_of(jwk: &Document) -> Option<Algorithm> {
    let curve = jwk.get("crv").and_then(Value::as_str);
    match (jwk.get("kty").and_then(Value::as_str)?, curve) {
        ("RSA", _) => Some(Algorithm::Rs256),
        ("EC", Some("P-256")) => Some(Algorithm::Es256),
        ("OKP", Some("Ed25519")) => Some(Algorithm::EdDsa),
        _ => None,
    }
}

/// Whether it says that it is for something else than verifying by this algorithm.
fn contradiction(jwk: &Document, algorithm: Algorithm) -> Option<&'static str> {
    let is_for_signatures = |value: &Value| value.as_str() == Some("sig");
    if jwk
        .get("use")
        .is_some_and(|value| !is_for_signatures(value))
    {
        return Some("is not for signatures (use)");
    }
    let verifies = |value: &Value| match value {
        Value::Array(operations) => operations.contains(&Value::from("verify")),
        _ => false,
    };
    if jwk.get("key_ops").is_some_and(|value| !verifies(value)) {
        return Some("is not for verifying (key_ops)");
    }
    // RFC 9864 calls EdDSA by the name of its curve.
    let fits = |name: &str| {
        name == algorithm.as_str() || (algorithm, name) == (Algorithm::EdDsa, "Ed25519")
    };
    let is_other = |value: &Value| !value.as_str().is_some_and(fits);
    if jwk.get("alg").is_some_and(is_other) {
        return Some("is for another algorithm (alg)");
    }
    None
}

fn name_of(jwk: &Document) -> Result<Option<Box<str>>, String> {
    match jwk.get("kid") {
        None => Ok(None),
        Some(Value::String(name)) if name.len() <= limits::KEY_NAME_BYTES_MAX => {
            Ok(Some(name.as_str().into()))
        }
        Some(_) => Err(format!(
            "its kid is not a text of at most {} bytes",
            limits::KEY_NAME_BYTES_MAX
        )),
    }
}

fn key_of(jwk: &Document, algorithm: Algorithm) -> Result<DecodingKey, String> {
    match algorithm {
        Algorithm::Hs256 => Err("a secret cannot stand in a JWK set".to_owned()),
        Algorithm::Rs256 => {
            let (modulus, exponent) = (bytes_of(jwk, "n")?, bytes_of(jwk, "e")?);
            let modulus: Vec<u8> = modulus.into_iter().skip_while(|byte| *byte == 0).collect();
            if !(RSA_BYTES_MIN..=RSA_BYTES_MAX).contains(&modulus.len()) {
                return Err("an RSA key has 2048 to 8192 bits".to_owned());
            }
            Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
        }
        Algorithm::Es256 => {
            let point = [vec![4], coordinate_of(jwk, "x")?, coordinate_of(jwk, "y")?].concat();
            Ok(DecodingKey::from_ec_der(&point))
        }
        Algorithm::EdDsa => Ok(DecodingKey::from_ed_der(&coordinate_of(jwk, "x")?)),
    }
}

fn coordinate_of(jwk: &Document, name: &str) -> Result<Vec<u8>, String> {
    let bytes = bytes_of(jwk, name)?;
    match bytes.len() {
        32 => Ok(bytes),
        _ => Err(format!("its {name} is not 32 bytes")),
    }
}

fn bytes_of(jwk: &Document, name: &str) -> Result<Vec<u8>, String> {
    let text = jwk.get(name).and_then(Value::as_str);
    let bytes = text.and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
    bytes.ok_or_else(|| format!("its {name} is not base64url"))
}
