//! What pages of other sites must not do through a browser that can reach us: read, or change the list.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::state::Api;

/// Where a request comes from, as browsers say it (W3C Fetch Metadata §2).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What a form can send to any site without being asked whether it may (Fetch, "CORS-safelisted request-header").
const SIMPLE: [&str; 3] = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];

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
        let detail = format!("{:?} is not a name of this service; http.hosts lists its names", host.host());
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

/// Refuses what a page of another site asks for, and what such a page could send without asking first. Following a
/// link to us is no such thing.
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let path = request.uri().path();
    let asks = request.method().is_safe();
    let follows_a_link = asks && value(headers, &MODE) == Some("navigate");
    if !follows_a_link && is_cross_site(headers) {
        let detail =
            "this comes from a page of another site (Sec-Fetch-Site, Origin); only pages of dsnd itself may";
        return Problem::forbidden(detail)
            .of_kind("cross-site", "A request from another site")
            .on(path)
            .into_response();
    }
    if !asks && path.starts_with("/v1/") && is_simple(headers) {
        let detail =
            "a form's content type is not taken here; /openapi.json lists the types that each request takes";
        return Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).on(path).into_response();
    }
    next.run(request).await
}

/// Whether a browser says that a page of another origin made this request. Other clients say nothing.
fn is_cross_site(headers: &HeaderMap) -> bool {
    if headers.contains_key(SITE) {
        return !matches!(value(headers, &SITE), Some("same-origin" | "none"));
    }
    // Browsers without Fetch Metadata name the page's origin: RFC 6454 §7, `null` where it has none.
    headers.contains_key(ORIGIN)
        && match (value(headers, &ORIGIN).and_then(|origin| origin.split_once("://")), value(headers, &HOST))
        {
            (Some((scheme, authority)), Some(host)) => {
                let port = match scheme {
                    "https" => ":443",
                    _ => ":80",
                };
                let same = |text: &str| text.eq_ignore_ascii_case(host.trim_end_matches(port));
                !same(authority.trim_end_matches(port))
            }
            _ => true,
        }
}

fn is_simple(headers: &HeaderMap) -> bool {
    let essence =
        value(headers, &CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    SIMPLE.iter().any(|simple| simple.eq_ignore_ascii_case(essence))
}

/// The header's only value.
fn value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
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

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let line =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        lines.iter().map(line).collect()
    }

    #[test]
    fn browsers_say_where_a_request_comes_from() {
        for (lines, cross) in [
            (&[][..], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://elsewhere.example")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "")], true),
            (&[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")], true),
            (&[("origin", "http://localhost:8025")], false),
            (&[("origin", "http://LOCALHOST:8025")], false),
            (&[("origin", "http://localhost:3000")], true),
            (&[("origin", "https://evil.example")], true),
            (&[("origin", "null")], true),
            (&[("origin", "")], true),
        ] {
            let mut headers = headers(lines);
            headers.insert(HOST, "localhost:8025".parse().unwrap());
            assert_eq!(is_cross_site(&headers), cross, "{lines:?}");
        }
        for (origin, host, cross) in [
            ("https://dsnd.example.com", "dsnd.example.com", false),
            ("https://dsnd.example.com", "dsnd.example.com:443", false),
            ("http://dsnd.example.com:80", "dsnd.example.com", false),
            ("http://dsnd.example.com", "dsnd.example.com:443", true),
            ("http://[::1]:8025", "[::1]:8025", false),
        ] {
            assert_eq!(
                is_cross_site(&headers(&[("origin", origin), ("host", host)])),
                cross,
                "{origin} {host}"
            );
        }
    }

    #[test]
    fn a_form_has_one_of_three_types() {
        for (kind, simple) in [
            ("text/plain", true),
            ("Text/Plain; charset=utf-8", true),
            ("application/x-www-form-urlencoded", true),
            ("multipart/form-data; boundary=x", true),
            ("application/json", false),
            ("text/csv", false),
        ] {
            assert_eq!(is_simple(&headers(&[("content-type", kind)])), simple, "{kind}");
        }
        assert!(!is_simple(&HeaderMap::new()));
    }
}
