//! The ways in: routes, and the framing of each transport. What is said is decided elsewhere.

mod connection;
mod gate;
mod http;
mod routes;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{MethodRouter, delete, get, patch, post};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits;
use crate::node::Node;
pub use connection::serve;
pub use gate::Gate;
pub use gate::guests::Guests;
pub use gate::host::Hosts;
pub use gate::origin::Origins;

const JSON: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

/// What every handler shares.
#[derive(Debug, Clone)]
pub struct App {
    /// The node.
    pub node: Node,
    /// Who may ask.
    pub guests: Arc<Guests>,
    /// Connections and sessions that are open.
    pub connections: TaskTracker,
    /// Cancelled when the server stops: sessions answer what is in flight and close.
    pub closing: CancellationToken,
}

/// A place among the connections of the server, held as long as the connection or its session lives.
#[derive(Debug, Clone)]
pub struct ConnectionPermit(
    #[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>,
);

impl ConnectionPermit {
    /// Takes the place that `permit` stands for.
    pub fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(permit))
    }
}

/// All routes, and the way to them.
pub fn gate(app: App) -> Gate {
    let guests = Arc::clone(&app.guests);
    let node = app.node.clone();
    let budget = node.budget().clone();
    let counted =
        |verb, route: MethodRouter<App>| routes::metrics::counted(node.clone(), verb, route);
    let routes = Router::new()
        .route("/ws", get(routes::handshake::upgrade))
        .route("/metrics", get(routes::metrics::metrics))
        .route(
            "/api/events",
            counted("FETCH", get(routes::rest::events))
                .merge(counted("CREATE", post(routes::writes::create))),
        )
        .route(
            "/api/events/{id}",
            counted("FETCH", get(routes::rest::event))
                .merge(counted("UPDATE", patch(routes::writes::update)))
                .merge(counted("DELETE", delete(routes::writes::delete))),
        )
        .route(
            "/api/events/{id}/history",
            counted("HISTORY", get(routes::rest::history)),
        )
        .route(
            "/api/events/{id}/restore",
            counted("RESTORE", post(routes::writes::restore)),
        )
        .route("/api/batch", counted("BATCH", post(routes::writes::batch)))
        .route(
            "/api/broadcast",
            counted("BROADCAST", post(routes::writes::broadcast)),
        )
        .route(
            "/api/changes",
            counted("CHANGES", get(routes::changes::changes)),
        )
        .route("/healthz", get(routes::rest::healthz))
        .route("/readyz", get(routes::rest::readyz))
        .fallback(http::failure::no_such_route)
        .method_not_allowed_fallback(http::failure::no_such_method)
        .layer(DefaultBodyLimit::max(limits::MESSAGE_BYTES_MAX))
        .with_state(app);
    Gate::new(routes, guests, budget)
}
