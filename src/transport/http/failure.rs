//! Failures as HTTP answers: the code's status, and the same error object as on the socket.

use axum::body::Body;
use axum::http::header::{
    CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::protocol;
use crate::protocol::{Code, Failure};
use crate::telemetry::Throttle;

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(protocol::rest::error(&self).into_bytes()));
        *response.status_mut() = StatusCode::from_u16(self.code.http_status())
            .expect("the table of codes holds real statuses");
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Answers are counted by it.
        response.extensions_mut().insert(self.code);
        if self.code.retryable() {
            let seconds = HeaderValue::from(self.retry_after_seconds());
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        if matches!(self.code, Code::Unauthenticated | Code::TokenExpired) {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
        }
        if self.code == Code::UpgradeRequired {
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

static SOCKETIO_THROTTLE: Throttle = Throttle::new();

pub(crate) async fn no_such_route(uri: Uri) -> Failure {
    let path = uri.path();
    let mut message = format!("nothing is served at {path}");
    if path.trim_end_matches('/') == "/socket.io" {
        message.push_str(": clients that speak Socket.IO need livelog --socketio");
        SOCKETIO_THROTTLE.log(|suppressed| tracing::warn!(suppressed, "{message}"));
    }
    Failure::new(Code::NotFound, message)
}

pub(crate) async fn no_such_method(method: Method, uri: Uri) -> Failure {
    Failure::new(
        Code::MethodNotAllowed,
        format!("{} does not take {method}", uri.path()),
    )
}
