//! `GET /metrics`, and the counting of requests over HTTP.

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;

use crate::node;
use crate::node::{Guarded, Node};
use crate::protocol::{Code, Failure};
use crate::transport::{App, gate};

/// For operators alone, where somebody guards.
pub(crate) async fn metrics(guarded: Guarded) -> Result<Response, Failure> {
    let report = guarded.metrics_report().await?;
    Ok(([(CONTENT_TYPE, node::METRICS_CONTENT_TYPE)], report).into_response())
}

/// A route whose answers are counted as those to `verb`, by the code of an error.
pub(crate) fn counted(
    node: Node,
    verb: &'static str,
    route: MethodRouter<App>,
) -> MethodRouter<App> {
    let count = middleware::from_fn(move |request: Request, next: Next| {
        let node = node.clone();
        async move {
            let answer = next.run(request).await;
            node.metrics().answered(verb, outcome(&answer));
            answer
        }
    });
    route.route_layer(count)
}

fn outcome(answer: &Response) -> &'static str {
    let status = answer.status();
    match answer.extensions().get::<Code>() {
        Some(code) => code.as_str(),
        None if status.is_client_error() || status.is_server_error() => {
            gate::code_of(status).as_str()
        }
        None => "done",
    }
}
