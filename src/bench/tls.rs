//! The TLS of a connection, if its address is one of `wss://`.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::either::Either;

use super::address::Address;

/// By which every node's certificate is known: the scenarios share it.
static CONNECTOR: OnceLock<TlsConnector> = OnceLock::new();

/// Lets connections trust the certificates in a file.
pub(super) fn trust(path: &Path) -> Result<()> {
    let what = || format!("--ca {}", path.display());
    let text = std::fs::read(path).with_context(what)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        roots
            .add(certificate.with_context(what)?)
            .with_context(what)?;
    }
    ensure!(!roots.is_empty(), "{}: no certificate in it", what());
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A second file in one process would be another command line.
    let _ = CONNECTOR.set(TlsConnector::from(Arc::new(config)));
    Ok(())
}

/// What carries a connection's bytes: plainly, or in TLS, which holds some back until it is flushed.
pub(super) type BenchStream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A connection's bytes over `stream`, in TLS if its address is one of `wss://`.
pub(super) async fn over(stream: TcpStream, address: &Address) -> Result<BenchStream> {
    if !address.has_tls {
        return Ok(Either::Left(stream));
    }
    let name = ServerName::try_from(address.host.clone())?;
    let connector = CONNECTOR.get().context("no certificate is trusted")?;
    let connected = connector.connect(name, stream).await?;
    Ok(Either::Right(Box::new(connected)))
}
