//! The ways in: routes, and the framing of each transport. What is said is decided elsewhere.

mod accept;
mod changes;
mod conditions;
mod connection;
mod content;
mod counts;
mod failure;
mod gate;
mod guests;
mod handshake;
mod header;
mod heads;
mod held;
mod host;
mod intake;
mod meter;
mod origin;
mod params;
mod parting;
mod pulse;
mod rest;
mod sse;
mod trace;
mod websocket;
mod wire;
mod writes;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{MethodRouter, delete, get, patch, post};
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
    let service = app.service.clone();
    let budget = service.budget().clone();
    let counted = |verb, route: MethodRouter<App>| counts::counted(service.clone(), verb, route);
    let routes = Router::new()
        .route("/ws", get(handshake::upgrade))
        .route("/metrics", get(counts::metrics))
        .route(
            "/api/events",
            counted("FETCH", get(rest::events)).merge(counted("CREATE", post(writes::create))),
        )
        .route(
            "/api/events/{id}",
            counted("FETCH", get(rest::event))
                .merge(counted("UPDATE", patch(writes::update)))
                .merge(counted("DELETE", delete(writes::delete))),
        )
        .route(
            "/api/events/{id}/history",
            counted("HISTORY", get(rest::history)),
        )
        .route(
            "/api/events/{id}/restore",
            counted("RESTORE", post(writes::restore)),
        )
        .route("/api/batch", counted("BATCH", post(writes::batch)))
        .route(
            "/api/broadcast",
            counted("BROADCAST", post(writes::broadcast)),
        )
        .route("/api/changes", counted("CHANGES", get(changes::changes)))
        .route("/healthz", get(rest::healthz))
        .route("/readyz", get(rest::readyz))
        .fallback(failure::no_such_route)
        .method_not_allowed_fallback(failure::no_such_method)
        .layer(DefaultBodyLimit::max(limits::MESSAGE_BYTES_MAX))
        .with_state(app);
    Gate::new(routes, guests, budget)
}
