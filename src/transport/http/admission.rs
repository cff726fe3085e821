//! Who asks: what the credentials of a request come to.

use std::convert::Infallible;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;

use crate::access::Grant;
use crate::node::Guarded;
use crate::transport::App;

impl<S: Send + Sync> FromRequestParts<S> for Guarded
where
    App: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self::new(App::from_ref(state).node, Grant::open()))
    }
}
