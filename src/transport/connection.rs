//! One connection: HTTP/1.1 as hyper speaks it, until its client leaves or the server stops.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::intake::{Awaited, Intake};
use super::meter::{Meter, Metered};
use super::wire::Wire;
use super::{Gate, Seat};
use crate::limits;
use crate::service::Service;

/// Serves one connection until the client leaves, or takes nothing for too long, which holds on to what is read for it;
/// or until `closing` and the request under way is answered.
pub async fn serve(
    stream: TcpStream,
    gate: Gate,
    service: Service,
    seat: Seat,
    closing: CancellationToken,
) {
    // Small frames must not wait for each other's acknowledgements.
    let _ = stream.set_nodelay(true);
    let meter = Meter::default();
    let mut intake = Intake::new(meter.clone(), service.intake().clone());
    let wire = Wire::new(Metered::new(stream, meter.clone()), meter.clone());
    let peer = meter.clone();
    let given_up = peer.given_up(|| service.is_crowded());
    tokio::pin!(given_up);
    let answering = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(seat.clone());
        request.extensions_mut().insert(meter.clone());
        meter.allowance().awaits(Awaited::Answer);
        let (gate, meter) = (gate.clone(), meter.clone());
        async move {
            let answer = gate.answer(request).await;
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
            () = intake.attend() => if !peer.allowance().evict() {
                return;
            },
            () = &mut given_up => {
                service.metrics().slow_closes.inc();
                return;
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection failed");
    }
}
