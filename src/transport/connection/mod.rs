//! One connection: HTTP/1.1 as hyper speaks it, until its client leaves or the server stops.
//!
//! The layers between the socket and hyper, or tungstenite once a connection is a WebSocket:
//!
//! ```text
//! frame_headers      holds a large WebSocket frame back until there is a share for it
//! error_responder    gives hyper's own errors a body, and closes by a lingering close
//! counted_stream     counts what is received, and stops reading at the allowance
//! handshake          TLS, if the server speaks it
//! byte_counters      the socket; counts what the kernel takes
//! ```
//!
//! `receive_budget` raises the allowance, `write_timeout` and `liveness` decide when a client is too slow or gone.

mod byte_counters;
mod counted_stream;
mod error_responder;
mod frame_headers;
mod handshake;
mod lingering_close;
mod liveness;
mod receive_budget;
mod write_timeout;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{Extensions, HeaderValue, Request, Response};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::http::address::PeerAddress;
use super::{ConnectionPermit, Gate};
use crate::limits;
use crate::node::Node;
pub(super) use byte_counters::ByteCounters;
use byte_counters::RawSocket;
use counted_stream::CountedStream;
use error_responder::ErrorResponder;
pub(super) use frame_headers::FrameHeaderReader;
pub use handshake::Handshakes;
pub(super) use lingering_close::LingeringClose;
pub(super) use liveness::{Liveness, LivenessCheck};
pub(super) use receive_budget::{Awaited, ReceiveBudget, ReceiveEvent};

/// What each request of a connection is told of it.
#[derive(Clone)]
struct KnownConnection {
    permit: ConnectionPermit,
    counters: ByteCounters,
    peer: PeerAddress,
}

impl KnownConnection {
    fn tell(&self, extensions: &mut Extensions) {
        extensions.insert(self.permit.clone());
        extensions.insert(self.counters.clone());
        extensions.insert(self.peer);
    }
}

async fn answer(
    gate: Gate,
    request: Request<Body>,
    counters: ByteCounters,
    is_read: Arc<AtomicBool>,
) -> Result<Response<Body>, Infallible> {
    let mut answer = gate.answer(request).await;
    if !is_read.load(Ordering::Relaxed) {
        // The rest of the body would be taken for the next request, so hyper closes the connection; and the client must
        // know, or its next request is lost.
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
    counters.renew_allowance();
    Ok(answer)
}

/// Serves one connection until the client leaves, or takes nothing for too long while it holds memory; or until
/// `closing` is cancelled and the current request is answered.
pub async fn serve(
    stream: TcpStream,
    handshakes: Option<Arc<Handshakes>>,
    gate: Gate,
    node: Node,
    permit: ConnectionPermit,
    closing: CancellationToken,
) {
    // Either fails on a socket that is gone. Small frames must not wait for each other's acknowledgements.
    let _ = stream.set_nodelay(true);
    let Ok(peer_address) = stream.peer_addr().map(|peer| PeerAddress(peer.ip())) else {
        return;
    };
    let Some(stream) = open(stream, handshakes, &node, &closing).await else {
        return;
    };
    let counters = stream.counters().clone();
    let mut receiving = ReceiveBudget::new(counters.clone(), node.receive_budget().clone());
    let stream = ErrorResponder::new(stream, counters.clone());
    let peer = counters.clone();
    let write_timeout = peer.blocked_write_timeout(|| node.is_under_pressure());
    tokio::pin!(write_timeout);
    let known = KnownConnection {
        permit,
        counters: counters.clone(),
        peer: peer_address,
    };
    let answering = service_fn(move |request: Request<Incoming>| {
        let is_read = Arc::<AtomicBool>::default();
        let watched = |body| Body::new(WatchedBody::new(body, Arc::clone(&is_read)));
        let mut request = request.map(watched);
        known.tell(request.extensions_mut());
        counters.allowance().set_awaited(Awaited::Answer);
        answer(gate.clone(), request, counters.clone(), is_read)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_READ_DEADLINE)
        .max_header_size(limits::HEAD_BYTES_MAX)
        .max_buf_size(limits::HEAD_BYTES_MAX)
        .max_headers(limits::HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), answering)
        .with_upgrades();
    tokio::pin!(connection);
    let mut is_closing = false;
    let served = loop {
        tokio::select! {
            served = connection.as_mut() => break served,
            () = closing.cancelled(), if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = receiving.too_slow() => if !peer.allowance().evict_body() {
                return;
            },
            () = &mut write_timeout => {
                node.metrics().slow_closes.inc();
                return;
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection failed");
    }
}

/// The connection, after the handshake of TLS if there is one; `None` if there is no connection after all.
async fn open(
    stream: TcpStream,
    handshakes: Option<Arc<Handshakes>>,
    node: &Node,
    closing: &CancellationToken,
) -> Option<CountedStream> {
    let socket = RawSocket::new(stream);
    let counters = socket.counters().clone();
    let wire = match handshakes {
        None => Either::Left(socket),
        Some(handshakes) => {
            // In a box, since the task of every connection has room for what it waits for.
            let shaking = Box::pin(handshakes.shake_hands(socket, node));
            Either::Right(closing.run_until_cancelled(shaking).await??)
        }
    };
    Some(CountedStream::new(wire, counters))
}

/// A body that tells whether it was read to its end.
struct WatchedBody {
    body: Incoming,
    is_read: Arc<AtomicBool>,
}

impl WatchedBody {
    fn new(body: Incoming, is_read: Arc<AtomicBool>) -> Self {
        let watched = Self { body, is_read };
        watched.note();
        watched
    }

    fn note(&self) {
        if hyper::body::Body::is_end_stream(&self.body) {
            self.is_read.store(true, Ordering::Relaxed);
        }
    }
}

impl hyper::body::Body for WatchedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.is_read.store(true, Ordering::Relaxed),
            _ => self.note(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
