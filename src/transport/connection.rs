//! One connection: HTTP/1.1 as hyper speaks it, until its client leaves or the server stops.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use super::meter::{Meter, Metered};
use super::wire::Wire;
use super::{Gate, Seat};
use crate::limits;

/// A stream that ends when its client takes nothing for too long: a download or a stream of events would
/// hold on to what it reads from. A session has a deadline of its own, and comes first.
fn impatient(stream: TcpStream, meter: Meter) -> Pin<Box<TimeoutStream<Metered<TcpStream>>>> {
    let mut stream = TimeoutStream::new(Metered::new(stream, meter));
    stream.set_write_timeout(Some(limits::WRITE_DEADLINE + Duration::from_secs(1)));
    Box::pin(stream)
}

/// Serves one connection until the client leaves, or until `closing` and the request under way is answered.
pub async fn serve(stream: TcpStream, gate: Gate, seat: Seat, closing: CancellationToken) {
    // Small frames must not wait for each other's acknowledgements.
    let _ = stream.set_nodelay(true);
    let meter = Meter::default();
    let stream = impatient(stream, meter.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(seat.clone());
        request.extensions_mut().insert(meter.clone());
        let answer = gate.clone().answer(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_READ_DEADLINE)
        .max_header_size(limits::HEAD_BYTES_MAX)
        .max_buf_size(limits::HEAD_BYTES_MAX)
        .max_headers(limits::HEADERS_MAX)
        .serve_connection(TokioIo::new(Wire::new(stream)), service)
        .with_upgrades();
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection failed");
    }
}
