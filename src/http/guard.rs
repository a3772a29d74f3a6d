//! What every request passes before and after its handler: the time it may take, the log, panics.

use std::any::Any;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tracing::{debug, error};

use super::problem::Problem;
use super::state::Api;
use crate::metrics;

/// Routes of answers that take as long as they take; slow clients are noticed by the octets of their bodies and by
/// what they leave unread.
const LONG: &[&str] = &[
    "/v1/suppressions/import",
    "/v1/suppressions/export",
    "/v1/events",
    "/v1/quarantine/approve",
    "/v1/quarantine/discard",
    "/v1/holds/{id}/release",
    "/v1/holds/{id}/discard",
];

/// What every answer says to browsers: its type is the one it has, and no page of another site may use it.
pub(super) async fn harden(mut response: Response) -> Response {
    const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Ends requests that are not answered in time, and notes each in the log.
pub(super) async fn watch(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let current = api.current();
    let limit = current.settings.request_timeout;
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let response = if LONG.contains(&route) {
        next.run(request).await
    } else {
        match timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::timeout().on(&path).into_response(),
        }
    };
    let status = response.status().as_u16();
    metrics::http_request(route, status, started.elapsed());
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let path = shown(&path, current.settings.mask_addresses);
    debug!(%method, path, status, micros, "answered");
    response
}

/// A path as the log shows it: without the address in it where the operator wants that.
fn shown(path: &str, masked: bool) -> &str {
    const LISTED: &str = "/v1/suppressions/";
    if masked && path.starts_with(LISTED) && !LONG.contains(&path) { LISTED } else { path }
}

/// The answer where a handler panicked: that request alone is lost.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    error!("a request's handler panicked");
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_paths_are_left_out_where_the_operator_wants_it() {
        assert_eq!(shown("/v1/suppressions/ada%40b.example", false), "/v1/suppressions/ada%40b.example");
        assert_eq!(shown("/v1/suppressions/ada%40b.example", true), "/v1/suppressions/");
        assert_eq!(shown("/v1/bounces/7", true), "/v1/bounces/7");
    }
}
