//! The files of a certificate and its key: read, checked against each other, and made what a server of TLS needs.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::crypto::aws_lc_rs::{self, kx_group};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{Error, InconsistentKeys, ServerConfig};

use crate::limits;
use crate::value::hex;

/// Where the certificate and its key are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, and after it those that lead to a known authority; PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// What was in both files.
pub(super) struct TlsFileContents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// What a server needs to speak TLS.
pub(super) struct CheckedTlsFiles {
    pub(super) config: Arc<ServerConfig>,
    /// Of the certificate, as `openssl x509 -fingerprint -sha256` tells it but for the colons.
    pub(super) fingerprint: String,
}

impl TlsFiles {
    /// Reads both, or says which cannot be read and why.
    pub(super) fn read(&self) -> Result<TlsFileContents, String> {
        Ok(TlsFileContents {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }

    /// What is to be served with these contents, or what is wrong with them. It tells nothing of the key.
    pub(super) fn check(&self, contents: &TlsFileContents) -> Result<CheckedTlsFiles, String> {
        let chain = self.chain(&contents.certificate)?;
        let key = self.key(&contents.key)?;
        let fingerprint = hex(&Sha256::digest(&chain[0]));
        let mut provider = aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|_| {
            let path = self.key.display();
            format!("{path}: not a private key that can be used: RSA, ECDSA (P-256, P-384, P-521) or Ed25519")
        })?;
        let certified = CertifiedKey::new(chain, key);
        self.check_match(&certified)?;
        // First what a recording of today keeps its secret with when there are quantum computers.
        provider.kx_groups = vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ];
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        Ok(CheckedTlsFiles {
            config: Arc::new(with_options(config)?),
            fingerprint,
        })
    }

    fn chain(&self, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
        let path = self.certificate.display();
        let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
        match chain {
            Ok(chain) if chain.is_empty() => Err(match PrivateKeyDer::from_pem_slice(text) {
                Ok(_) => format!(
                    "{path}: a private key and no certificate: are the two files exchanged?"
                ),
                Err(_) => format!("{path}: no certificate in it (-----BEGIN CERTIFICATE-----)"),
            }),
            Ok(chain) => Ok(chain),
            Err(_) => Err(format!("{path}: not PEM from its beginning to its end")),
        }
    }

    fn key(&self, text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
        let path = self.key.display();
        let is_encrypted = text
            .windows(b"ENCRYPTED".len())
            .any(|word| word == b"ENCRYPTED");
        PrivateKeyDer::from_pem_slice(text).map_err(|_| match is_encrypted {
            true => format!(
                "{path}: the private key is encrypted, and nobody is there to type its password"
            ),
            false => format!("{path}: no private key in it (-----BEGIN PRIVATE KEY-----)"),
        })
    }

    fn check_match(&self, certified: &CertifiedKey) -> Result<(), String> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
            Err(Error::InconsistentKeys(_)) => Err(format!(
                "{key}: not the key of the certificate in {certificate} (of the first, if there are several)"
            )),
            Err(error) => Err(format!(
                "{certificate}: a certificate that cannot be read: {error}"
            )),
        }
    }
}

/// A client that comes back shows a ticket, which the server can read and need not remember. Tickets are of one identity: a
/// client that knows another shakes hands in full.
fn with_options(mut config: ServerConfig) -> Result<ServerConfig, String> {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| error.to_string())?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

impl TlsFileContents {
    /// By which it is known whether they have changed; the key itself need not be kept for that.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update((self.certificate.len() as u64).to_le_bytes());
        digest.update(&self.certificate);
        digest.update(&self.key);
        digest.finalize().into()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{}: cannot be read: {error}", path.display());
    let mut contents = Vec::new();
    let most = limits::TLS_FILE_BYTES_MAX as u64 + 1;
    let file = File::open(path).map_err(failed)?;
    file.take(most).read_to_end(&mut contents).map_err(failed)?;
    match contents.len() > limits::TLS_FILE_BYTES_MAX {
        true => Err(format!(
            "{}: longer than {} bytes",
            path.display(),
            limits::TLS_FILE_BYTES_MAX
        )),
        false => Ok(contents),
    }
}
