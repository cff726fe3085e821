//! HTTP and WebSocket. Six rooms, in the order in which a request passes them:
//!
//! - `tls`: what the server proves its name with, if it speaks TLS.
//! - `connection`: its bytes: counters, the receive budget, timeouts, and how it is closed.
//! - `gate`: who may ask, and what every answer gets.
//! - `routes`: a handler for each route; a WebSocket and a stream of Server-Sent Events are routes too.
//! - `socketio`: the same for clients that speak Socket.IO, if that door is open.
//! - `http`: what requests have in common: headers, parameters, bodies, errors.
//!
//! Every byte of JSON that is sent is written by [`protocol`](crate::protocol).

mod connection;
mod gate;
mod http;
mod routes;
#[cfg(feature = "socketio")]
mod socketio;
mod tls;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{MethodRouter, delete, get, patch, post};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guard::Guard;
use crate::limits;
use crate::node::Node;
use crate::quota::{Lobby, Quotas};
pub use connection::{Handshakes, serve};
pub use gate::{AccessPolicy, AllowedHosts, AllowedOrigins, Gate, TrustedProxies};
pub use tls::{TlsFiles, TlsIdentity};

const JSON: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

/// What every handler shares.
#[derive(Debug, Clone)]
pub struct App {
    /// The node.
    pub node: Node,
    /// From where may be asked.
    pub access: Arc<AccessPolicy>,
    /// Who may ask, and for what.
    pub guard: Guard,
    /// Whose word is taken for where a request comes from.
    pub proxies: Arc<TrustedProxies>,
    /// How much of the node each principal may take.
    pub quotas: Quotas,
    /// Where sockets wait that have not shown credentials.
    pub lobby: Lobby,
    /// Whether it is TLS that clients speak.
    pub has_tls: bool,
    /// Whether the console is served.
    pub has_console: bool,
    /// Whether clients may speak Socket.IO.
    pub has_socketio: bool,
    /// Connections and sessions that are open.
    pub connections: TaskTracker,
    /// Cancelled when the server stops: sessions answer what is in flight and close.
    pub closing: CancellationToken,
}

/// One of the server's connections ([`limits::CONNECTIONS_MAX`]), held as long as the connection or its session lives.
#[derive(Debug, Clone)]
pub struct ConnectionPermit(
    #[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>,
);

impl ConnectionPermit {
    /// Holds `permit`.
    pub fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(permit))
    }
}

/// All routes, behind the gate.
pub fn gate(app: App) -> Gate {
    let access = Arc::clone(&app.access);
    let (node, has_tls) = (app.node.clone(), app.has_tls);
    let budget = node.budget().clone();
    let counted =
        |verb, route: MethodRouter<App>| routes::metrics::counted(node.clone(), verb, route);
    let console = match app.has_console {
        true => console(),
        false => Router::new(),
    };
    let routes = console
        .route("/client.js", get(routes::files::client))
        .route("/client/{file}", get(routes::files::client_file))
        .route("/ws", get(routes::handshake::upgrade))
        .route("/metrics", get(routes::metrics::metrics))
        .route(
            "/api/events",
            counted("FETCH", get(routes::rest::events))
                .merge(counted("CREATE", post(routes::writes::create))),
        )
        .route(
            "/api/events/{id}",
            counted("FETCH", get(routes::rest::stats_or_event))
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
        .route("/readyz", get(routes::rest::readyz));
    #[cfg(feature = "socketio")]
    let routes = match app.has_socketio {
        true => socketio::mount(routes, app.clone()),
        false => routes,
    };
    let routes = routes
        .fallback(http::failure::no_such_route)
        .method_not_allowed_fallback(http::failure::no_such_method)
        .layer(DefaultBodyLimit::max(limits::MESSAGE_BYTES_MAX))
        .with_state(app);
    Gate::new(routes, access, has_tls, budget)
}

fn console() -> Router<App> {
    Router::new()
        .route("/", get(routes::files::console))
        .route("/console/{file}", get(routes::files::console_file))
        .route("/manual/{file}", get(routes::files::manual_page))
}
