//! The address that a request comes from, by which those are told apart who show no credentials.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;

use crate::quota::Caller;
use crate::transport::App;

/// The other end of a connection, which may be a proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    App: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<PeerAddress>();
        let PeerAddress(peer) = *peer.expect("every connection has a peer");
        let app = App::from_ref(state);
        let address = app.proxies.client_of(peer, &parts.headers);
        Ok(Self::new(&app.quotas, address))
    }
}
