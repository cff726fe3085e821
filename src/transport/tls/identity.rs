//! The certificate that a server shows, and how it is exchanged: connections that are there keep what they began with, and
//! those who come see the new one.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::task::spawn_blocking;
use tokio_rustls::rustls::ServerConfig;

use super::files::{CheckedTlsFiles, TlsFiles};
use crate::settling::settled_change;

/// A certificate with its key, as two files say.
#[derive(Debug)]
pub struct TlsIdentity {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
    /// Of what the configuration was made of.
    digest: [u8; 32],
}

/// What the files were when they were looked at: a digest of them, or why they could not be read.
type Seen = Result<[u8; 32], String>;

impl TlsIdentity {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(files: TlsFiles) -> Result<Self, String> {
        let contents = files.read()?;
        let CheckedTlsFiles {
            config,
            fingerprint,
        } = files.check(&contents)?;
        tracing::info!(
            sha256 = fingerprint,
            "TLS with the certificate of {}",
            files.certificate.display()
        );
        Ok(Self {
            digest: contents.digest(),
            config: RwLock::new(config),
            files,
        })
    }

    /// The one of now.
    pub(in crate::transport) fn config(&self) -> Arc<ServerConfig> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&config)
    }

    /// Looks at the files for as long as it is polled, and takes what is new in them. Files that are no good leave
    /// everything as it is, and are told of once.
    pub async fn follow_files(&self) -> Infallible {
        let mut taken: Seen = Ok(self.digest);
        loop {
            taken = settled_change(&taken, || self.look()).await;
            self.take().await;
        }
    }

    async fn look(&self) -> Seen {
        let files = self.files.clone();
        let looked = spawn_blocking(move || files.read().map(|contents| contents.digest()));
        looked.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    async fn take(&self) {
        let files = self.files.clone();
        let checked = spawn_blocking(move || files.check(&files.read()?));
        match checked.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(checked) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = checked.config;
                let path = self.files.certificate.display();
                tracing::info!(
                    sha256 = checked.fingerprint,
                    "the certificate of {path} is new"
                );
            }
            Err(reason) => tracing::warn!(
                "the certificate and key were changed and are no good; the ones before stay: {reason}"
            ),
        }
    }
}
