//! Keys out of files: a shared secret, or a public key in PEM.

use jsonwebtoken::DecodingKey;

use super::{Algorithm, Algorithms};
use crate::limits;

/// 2048 bits: shorter ones can be factored by who pays for it, and the library takes none.
pub(super) const RSA_BYTES_MIN: usize = 256;

/// 8192 bits.
pub(super) const RSA_BYTES_MAX: usize = 1024;

/// What stands around the modulus in a PKCS #1 key: tags, lengths and an exponent of one to eight bytes.
const RSA_FRAME_BYTES: core::ops::RangeInclusive<usize> = 12..=20;

/// A point of P-256, not compressed.
const P256_POINT_BYTES: usize = 65;

const ED25519_BYTES: usize = 32;

/// Reads a key in PEM that is for one algorithm.
pub(super) type KeyReader<Key> = fn(&[u8]) -> jsonwebtoken::errors::Result<Key>;

const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----";
const RSA_PUBLIC_KEY: &str = "-----BEGIN RSA PUBLIC KEY-----";

/// The secret in the text of a file, without the end of its line, which editors and `openssl rand` add.
///
/// # Errors
/// In words, if it is too short, or a public key, which is no secret.
pub(super) fn secret(text: &str) -> Result<&[u8], String> {
    let secret = text.strip_suffix('\n').unwrap_or(text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.contains("-----BEGIN ") {
        return Err("is a key in PEM, and not a secret".to_owned());
    }
    if secret.len() < limits::SECRET_BYTES_MIN {
        return Err(format!(
            "has fewer than {} bytes: `openssl rand -hex 32` makes a secret",
            limits::SECRET_BYTES_MIN
        ));
    }
    Ok(secret.as_bytes())
}

/// A public key in PEM, and the one algorithm of these that it is for.
///
/// # Errors
/// In words.
pub(super) fn public_key(
    pem: &str,
    algorithms: Algorithms,
) -> Result<(Algorithm, DecodingKey), String> {
    let pem = pem.trim();
    if ![PUBLIC_KEY, RSA_PUBLIC_KEY]
        .iter()
        .any(|begin| pem.starts_with(begin))
    {
        return Err(format!(
            "does not begin with {PUBLIC_KEY}: `openssl pkey -in FILE -pubout` makes a public key of a private one"
        ));
    }
    let (algorithm, key) = any_public_key(pem)?;
    if !algorithms.contains(algorithm) {
        let (kind, names) = (algorithm.as_str(), algorithms.names());
        return Err(format!("is a key for {kind}, where {names} is expected"));
    }
    if algorithms != Algorithms::only(algorithm) {
        let kind = algorithm.as_str();
        return Err(format!(
            "is one key, for {kind}: leave out the other algorithms"
        ));
    }
    Ok((algorithm, key))
}

fn any_public_key(pem: &str) -> Result<(Algorithm, DecodingKey), String> {
    // EC and Ed keys are told apart by what is in them; RSA comes last, because its reader takes what it does not know.
    let readers: [(Algorithm, KeyReader<DecodingKey>); 3] = [
        (Algorithm::Es256, DecodingKey::from_ec_pem),
        (Algorithm::EdDsa, DecodingKey::from_ed_pem),
        (Algorithm::Rs256, DecodingKey::from_rsa_pem),
    ];
    let mut read = readers.into_iter().filter_map(|(algorithm, reader)| {
        let key = reader(pem.as_bytes()).ok()?;
        Some((algorithm, key))
    });
    let (algorithm, key) = read.next().ok_or("is no public key that can be read")?;
    let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    match fault(algorithm, bytes) {
        Some(fault) => Err(fault.to_owned()),
        None => Ok((algorithm, key)),
    }
}

/// Why so many bytes are no key for the algorithm.
fn fault(algorithm: Algorithm, bytes: usize) -> Option<&'static str> {
    let (shortest, longest) = (RSA_FRAME_BYTES.start(), RSA_FRAME_BYTES.end());
    let (fits, fault) = match algorithm {
        Algorithm::Hs256 => (false, "is a secret"),
        Algorithm::Rs256 => (
            (RSA_BYTES_MIN + shortest..=RSA_BYTES_MAX + longest).contains(&bytes),
            "is an RSA key of other than 2048 to 8192 bits",
        ),
        Algorithm::Es256 => (
            bytes == P256_POINT_BYTES,
            "is a key of another curve than P-256",
        ),
        Algorithm::EdDsa => (bytes == ED25519_BYTES, "is not a whole key"),
    };
    (!fits).then_some(fault)
}
