//! Fetching a JWK set: one request, bounded in time and bytes, from the very address that the operator named.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONNECTION, HOST, USER_AGENT};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::task::AbortOnDropHandle;

use crate::identity::JwksUrl;
use crate::limits;

/// What an answer's header may take; hyper refuses more.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// Nobody answers, or not with TLS that is trusted.
    #[error("cannot connect: {0}")]
    Connection(#[from] io::Error),
    /// What answers does not speak HTTP as it should.
    #[error("cannot be asked: {0}")]
    Http(#[from] hyper::Error),
    /// Another answer than the keys. Redirections are not followed: who named the address trusts it, and no other.
    #[error("answered with {0}")]
    Status(StatusCode),
    /// More than any set of keys takes.
    #[error("answered with more than {} bytes", limits::JWKS_BYTES_MAX)]
    TooLong,
    /// Too slow.
    #[error("did not answer within {0:?}")]
    Deadline(Duration),
    /// The answer holds no keys for this.
    #[error("the answer {0}")]
    Keys(String),
}

/// A JWK set as text, and how long its server says that it is good.
pub(super) struct FetchedSet {
    pub(super) text: String,
    pub(super) max_age: Option<Duration>,
}

/// Fetches JWK sets.
#[derive(Clone)]
pub struct KeyFetcher {
    tls: TlsConnector,
}

impl KeyFetcher {
    /// One that trusts the authorities that browsers trust.
    pub fn new() -> Self {
        Self::trusting(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }

    /// One that trusts these authorities alone.
    pub fn trusting(authorities: RootCertStore) -> Self {
        let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("the provider has TLS 1.2 and 1.3")
            .with_root_certificates(authorities)
            .with_no_client_auth();
        Self {
            tls: TlsConnector::from(Arc::new(config)),
        }
    }

    pub(super) async fn fetch(
        &self,
        url: &JwksUrl,
        deadline: Duration,
    ) -> Result<FetchedSet, FetchError> {
        let answer = timeout(deadline, self.ask(url)).await;
        answer.unwrap_or(Err(FetchError::Deadline(deadline)))
    }

    async fn ask(&self, url: &JwksUrl) -> Result<FetchedSet, FetchError> {
        let stream = TcpStream::connect((url.host(), url.port())).await?;
        if !url.is_secure() {
            return ask_over(stream, url).await;
        }
        let name = ServerName::try_from(url.host().to_owned()).map_err(io::Error::other)?;
        ask_over(self.tls.connect(name, stream).await?, url).await
    }
}

impl Default for KeyFetcher {
    fn default() -> Self {
        Self::new()
    }
}

async fn ask_over<S>(stream: S, url: &JwksUrl) -> Result<FetchedSet, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    // Ends with the answer, or with this future.
    let _driver = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(url.target())
        .header(HOST, url.authority())
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(USER_AGENT, concat!("livelog/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .expect("an address is checked when it is read");
    let response = sender.send_request(request).await?;
    read(response).await
}

async fn read(response: Response<Incoming>) -> Result<FetchedSet, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let max_age = max_age(response.headers());
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    if body.size_hint().lower() > limits::JWKS_BYTES_MAX as u64 {
        return Err(FetchError::TooLong);
    }
    while let Some(frame) = body.frame().await {
        let data = frame?.into_data().unwrap_or_default();
        if bytes.len() + data.len() > limits::JWKS_BYTES_MAX {
            return Err(FetchError::TooLong);
        }
        bytes.extend_from_slice(&data);
    }
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| FetchError::Keys("is not UTF-8".to_owned()))?;
    Ok(FetchedSet { text, max_age })
}

/// `Cache-Control: max-age=300`.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get(CACHE_CONTROL)?.to_str().ok()?.split(',');
    let seconds = directives.filter_map(|directive| directive.trim().strip_prefix("max-age="));
    let seconds = seconds.filter_map(|seconds| seconds.parse().ok()).next();
    seconds.map(Duration::from_secs)
}
