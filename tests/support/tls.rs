//! Clients of TLS, and the certificates of `fixtures/tls` that they know.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::DEADLINE;

/// A file of `fixtures/tls`: `authority.pem`; `one`, `two` and `rsa`, each `.pem` and `.key`.
pub fn fixture(name: &str) -> String {
    format!("{}/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The arguments of a server with this certificate.
pub fn arguments(name: &str) -> [String; 4] {
    let file = |ending| fixture(&format!("{name}.{ending}"));
    [
        "--tls-cert".into(),
        file("pem"),
        "--tls-key".into(),
        file("key"),
    ]
}

/// The first certificate in a file.
pub fn certificate(path: impl AsRef<Path>) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

/// What a client does that knows the authority.
pub fn config() -> ClientConfig {
    config_of(&[&TLS13, &TLS12])
}

/// The same for one that speaks these versions.
pub fn config_of(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(fixture("authority.pem"))).unwrap();
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Connects, shakes hands, and checks that the server is this machine.
pub async fn dial(address: &str) -> TlsStream<TcpStream> {
    dial_named(address, "127.0.0.1").await
}

/// The same, if it is to be of this name.
pub async fn dial_named(address: &str, name: &'static str) -> TlsStream<TcpStream> {
    shake_hands(address, name, Arc::new(config()))
        .await
        .unwrap()
}

/// The same in another way, which may fail.
pub async fn dial_as(address: &str, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    shake_hands(address, "127.0.0.1", config).await
}

async fn shake_hands(
    address: &str,
    name: &'static str,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name).unwrap();
    let shaking = TlsConnector::from(config).connect(name, stream);
    tokio::time::timeout(DEADLINE, shaking)
        .await
        .expect("an end of the handshake")
}

/// The certificate that a server shows to who comes now.
pub async fn shown(address: &str) -> CertificateDer<'static> {
    let stream = dial(address).await;
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap()[0].clone()
}
