//! What every request passes before and after its handler: the name of the host, the time, the log, panics.

use std::any::Any;
use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tracing::{debug, error};

use super::problem::Problem;
use super::state::Api;
use crate::metrics;

/// Paths of answers that take as long as they take; slow clients are noticed by the octets of their bodies and by
/// what they leave unread.
const LONG: &[&str] = &["/v1/suppressions/import", "/v1/suppressions/export", "/v1/events"];

/// Refuses requests to host names that are not ours: a page in a browser whose name was made to point here
/// (DNS rebinding) says its own.
pub(super) async fn host(State(api): State<Api>, request: Request, next: Next) -> Response {
    let named = request.headers().get_all(HOST).iter().collect::<Vec<_>>();
    let host = match (request.uri().authority(), named.as_slice()) {
        (Some(authority), _) => Some(authority.clone()),
        (None, [value]) => value.to_str().ok().and_then(|text| text.parse::<Authority>().ok()),
        _ => None,
    };
    let path = request.uri().path();
    let Some(host) = host else {
        return Problem::bad_request("a request has one Host header with a name").on(path).into_response();
    };
    if !is_ours(host.host(), &api.current().settings.hosts) {
        let detail = format!("{:?} is no name of this service; http.hosts lists those it has", host.host());
        return Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).on(path).into_response();
    }
    next.run(request).await
}

fn is_ours(host: &str, hosts: &[String]) -> bool {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = host.strip_suffix('.').unwrap_or(host);
    literal.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name))
}

/// Ends requests that are not answered in time, and notes each in the log.
pub(super) async fn watch(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let current = api.current();
    let limit = current.settings.request_timeout;
    let response = if LONG.contains(&path.as_str()) {
        next.run(request).await
    } else {
        match timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::timeout().on(&path).into_response(),
        }
    };
    let status = response.status().as_u16();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
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
    fn hosts_are_addresses_localhost_and_what_is_configured() {
        let hosts = ["api.example.com".to_owned()];
        for host in ["127.0.0.1", "[::1]", "192.0.2.7", "localhost", "LOCALHOST.", "Api.example.com"] {
            assert!(is_ours(host, &hosts), "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "xapi.example.com"]
        {
            assert!(!is_ours(host, &hosts), "{host}");
        }
    }

    #[test]
    fn addresses_in_paths_are_left_out_where_the_operator_wants_it() {
        assert_eq!(shown("/v1/suppressions/ada%40b.example", false), "/v1/suppressions/ada%40b.example");
        assert_eq!(shown("/v1/suppressions/ada%40b.example", true), "/v1/suppressions/");
        assert_eq!(shown("/v1/bounces/7", true), "/v1/bounces/7");
    }
}
