//! The ways in: routes, and the framing of each transport. What is said is decided elsewhere.

mod accept;
mod changes;
mod conditions;
mod connection;
mod content;
mod failure;
mod gate;
mod guests;
mod header;
mod held;
mod host;
mod meter;
mod origin;
mod params;
mod pulse;
mod rest;
mod sse;
mod websocket;
mod wire;
mod writes;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits;
use crate::service::Service;
pub use connection::serve;
pub use gate::Gate;
pub use guests::Guests;
pub use host::Hosts;
pub use origin::Origins;

const JSON: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

/// What every handler shares.
#[derive(Debug, Clone)]
pub struct App {
    /// The node.
    pub service: Service,
    /// Who may ask.
    pub guests: Arc<Guests>,
    /// Connections and sessions that are open.
    pub connections: TaskTracker,
    /// Cancelled when the server stops: sessions answer what is in flight and close.
    pub closing: CancellationToken,
}

/// A place among the connections of the server, held as long as the connection or its session lives.
#[derive(Debug, Clone)]
pub struct Seat(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

impl Seat {
    /// Takes the place that `permit` stands for.
    pub fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(permit))
    }
}

/// All routes, and the way to them.
pub fn gate(app: App) -> Gate {
    let guests = Arc::clone(&app.guests);
    let routes = Router::new()
        .route("/ws", get(websocket::upgrade))
        .route("/api/events", get(rest::events).post(writes::create))
        .route(
            "/api/events/{id}",
            get(rest::event)
                .patch(writes::update)
                .delete(writes::delete),
        )
        .route("/api/events/{id}/history", get(rest::history))
        .route("/api/events/{id}/restore", post(writes::restore))
        .route("/api/batch", post(writes::batch))
        .route("/api/broadcast", post(writes::broadcast))
        .route("/api/changes", get(changes::changes))
        .route("/healthz", get(rest::healthz))
        .route("/readyz", get(rest::readyz))
        .fallback(failure::no_such_route)
        .method_not_allowed_fallback(failure::no_such_method)
        .layer(DefaultBodyLimit::max(limits::MESSAGE_BYTES_MAX))
        .with_state(app);
    Gate::new(routes, guests)
}
