//! Who asks, and whether they may: bearer tokens (RFC 6750).

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use tracing::warn;

use super::problem::Problem;
use super::secret;
use super::state::Api;
use super::tokens::find;
use crate::store::{TokenScope, Tokens as _};

/// Paths that need no token. `/metrics` can be made to need one.
const OPEN: &[&str] = &["/healthz", "/readyz", "/metrics", "/openapi.json"];

/// Requests that change nothing, though their method could.
const ASKING: &[&str] = &["/v1/suppressions/check", "/v1/explain"];

/// What a connection came by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Via {
    /// TCP: also a page in a browser on this machine, and every user of it.
    #[default]
    Tcp,
    /// A Unix socket: those whom its mode lets in.
    Unix,
}

/// Who asks: the name of the token, where one was needed or given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor(pub Option<String>);

impl Actor {
    /// What the history calls who asks; over a Unix socket there may be no token.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.clone().unwrap_or_else(|| "the API".to_owned())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// Lets a request through when it needs no token or has the right one, and notes who asks.
///
/// # Errors
/// 401 without a token that holds, 403 with one that does not allow this.
pub(super) async fn guard(
    State(api): State<Api>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let path = request.uri().path();
    let open = OPEN.contains(&path) && !(path == "/metrics" && api.current().settings.metrics_token);
    if open {
        return Ok(next.run(request).await);
    }
    let write = needs_write(request.method(), path);
    let needed = if write { TokenScope::Write } else { TokenScope::Read };
    let via = request.extensions().get::<Via>().copied().unwrap_or_default();
    let actor = admit(&api, request.headers(), needed, via).await?;
    request.extensions_mut().insert(actor);
    Ok(next.run(request).await)
}

/// Whether a request changes something, so that it needs a token of scope write.
pub(super) fn needs_write(method: &Method, path: &str) -> bool {
    !(method.is_safe() || ASKING.contains(&path))
}

async fn admit(api: &Api, headers: &HeaderMap, needed: TokenScope, via: Via) -> Result<Actor, Problem> {
    let arrived = Instant::now();
    let mut tokens = api.tokens.all(&*api.store).await?;
    let secret = bearer(headers);
    // It may have been made since we asked: a token holds from the moment on that its maker has it.
    if let Some(secret) = secret.filter(|secret| secret::is_formed(secret))
        && find(&tokens, secret).is_none()
    {
        tokens = api.tokens.all_after(&*api.store, arrived).await?;
    }
    // Before the first token is made, loopback may read; elsewhere serving does not start. The mode of a Unix socket
    // says who may write.
    if tokens.is_empty() && (needed == TokenScope::Read || via == Via::Unix) {
        return Ok(Actor(None));
    }
    let Some(secret) = secret else {
        return Err(Problem::unauthorized(
            "this needs a token: send `Authorization: Bearer dsnd_…`; \
             `dsnd tokens create --name NAME --scope write` makes one",
        ));
    };
    let now = Timestamp::now();
    let Some(token) = find(&tokens, secret).filter(|token| token.holds(now)) else {
        return Err(Problem::unauthorized("this token is unknown, was revoked, or has run out"));
    };
    if token.scope < needed {
        return Err(Problem::forbidden(format!(
            "the token {:?} may only read; this needs one of scope write",
            token.name
        )));
    }
    if api.tokens.to_note(token, now) {
        let (store, id) = (Arc::clone(&api.store), token.id);
        tokio::spawn(async move {
            if let Err(error) = store.note_token_use(id, now).await {
                warn!(%error, "the last use of a token is not noted");
            }
        });
    }
    Ok(Actor(Some(token.name.clone())))
}

/// RFC 6750 §2.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_needs_less_than_changing() {
        for (method, path, write) in [
            (Method::GET, "/v1/suppressions", false),
            (Method::HEAD, "/v1/bounces/1", false),
            (Method::POST, "/v1/suppressions/check", false),
            (Method::POST, "/v1/explain", false),
            (Method::POST, "/v1/explain/", true),
            (Method::POST, "/v1/return-paths", true),
            (Method::PUT, "/v1/suppressions/a@b.example", true),
            (Method::DELETE, "/v1/suppressions/check", false),
        ] {
            assert_eq!(needs_write(&method, path), write, "{method} {path}");
        }
    }

    #[test]
    fn a_token_stands_in_the_header_of_rfc_6750() {
        let with = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with("Bearer dsnd_x").as_deref(), Some("dsnd_x"));
        assert_eq!(with("bearer  dsnd_x ").as_deref(), Some("dsnd_x"));
        assert_eq!((with("Basic x"), with("dsnd_x"), bearer(&HeaderMap::new())), (None, None, None));
    }
}
