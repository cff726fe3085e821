//! One connection: HTTP/1.1 as hyper speaks it, until its client leaves or the server stops.

pub(super) mod heads;
pub(super) mod intake;
pub(super) mod liveness;
pub(super) mod meter;
pub(super) mod parting;
pub(super) mod wire;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{ConnectionPermit, Gate};
use crate::limits;
use crate::node::Node;
use intake::{Awaited, Intake};
use meter::Metered;
use wire::Wire;

/// Serves one connection until the client leaves, or takes nothing for too long, which holds on to what is read for it;
/// or until `closing` and the request under way is answered.
pub async fn serve(
    stream: TcpStream,
    gate: Gate,
    node: Node,
    seat: ConnectionPermit,
    closing: CancellationToken,
) {
    // Small frames must not wait for each other's acknowledgements.
    let _ = stream.set_nodelay(true);
    let stream = Metered::new(stream);
    let meter = stream.meter().clone();
    let mut intake = Intake::new(meter.clone(), node.intake().clone());
    let wire = Wire::new(stream, meter.clone());
    let peer = meter.clone();
    let given_up = peer.given_up(|| node.is_crowded());
    tokio::pin!(given_up);
    let answering = service_fn(move |request: Request<Incoming>| {
        let is_read = Arc::<AtomicBool>::default();
        let watched = |body| Body::new(Watched::new(body, Arc::clone(&is_read)));
        let mut request = request.map(watched);
        request.extensions_mut().insert(seat.clone());
        request.extensions_mut().insert(meter.clone());
        meter.allowance().awaits(Awaited::Answer);
        let (gate, meter) = (gate.clone(), meter.clone());
        async move {
            let mut answer = gate.answer(request).await;
            if !is_read.load(Ordering::Relaxed) {
                // What is left of the body would be taken for the next request, so hyper closes; and the client must
                // know, or it sends that next request into the void.
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            meter.renew_allowance();
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_READ_DEADLINE)
        .max_header_size(limits::HEAD_BYTES_MAX)
        .max_buf_size(limits::HEAD_BYTES_MAX)
        .max_headers(limits::HEADERS_MAX)
        .serve_connection(TokioIo::new(wire), answering)
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
            () = intake.overdue() => if !peer.allowance().evict() {
                return;
            },
            () = &mut given_up => {
                node.metrics().slow_closes.inc();
                return;
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection failed");
    }
}

/// A body that says whether it was read to its end.
struct Watched {
    body: Incoming,
    is_read: Arc<AtomicBool>,
}

impl Watched {
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

impl hyper::body::Body for Watched {
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
