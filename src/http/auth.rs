//! Who asks, and whether they may: bearer tokens (RFC 6750).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::problem::Problem;
use super::secret;
use super::state::Api;
use crate::store::{StoreError, Token, TokenScope, Tokens as _};

/// How old what we know of the tokens may be: what another process revokes holds within this.
const FRESH: Duration = Duration::from_secs(1);

/// How long lies between two questions to the store about secrets that we do not know: guessing costs no more.
const AGAIN: Duration = Duration::from_millis(100);

/// How exactly the last use of a token is kept.
const COARSE: SignedDuration = SignedDuration::from_hours(1);

/// Paths that need no token. `/metrics` can be made to need one.
const OPEN: &[&str] = &["/healthz", "/readyz", "/metrics", "/openapi.json"];

/// Requests that change nothing, though their method could.
const ASKING: &[&str] = &["/v1/suppressions/check", "/v1/explain"];

/// Who asks: the name of the token, where one was needed or given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// What we know of the tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    known: Mutex<Option<(Instant, Arc<[Token]>)>>,
    /// One asks the store, the others wait for its answer.
    asking: tokio::sync::Mutex<()>,
    /// Last uses that were noted, by the tokens' numbers.
    noted: Mutex<HashMap<i64, Timestamp>>,
}

impl Tokens {
    async fn all(&self, api: &Api) -> Result<Arc<[Token]>, StoreError> {
        if let Some(tokens) = self.fresh() {
            return Ok(tokens);
        }
        let _asking = self.asking.lock().await;
        if let Some(tokens) = self.fresh() {
            return Ok(tokens);
        }
        self.ask(api).await
    }

    /// The tokens as they stand after `moment`. Whoever asks at the same time gets the same answer.
    async fn all_after(&self, api: &Api, moment: Instant) -> Result<Arc<[Token]>, StoreError> {
        let _asking = self.asking.lock().await;
        let known = self.known.lock().ok().and_then(|known| known.clone());
        if let Some((at, tokens)) = known {
            if at > moment {
                return Ok(tokens);
            }
            tokio::time::sleep(AGAIN.saturating_sub(at.elapsed())).await;
        }
        self.ask(api).await
    }

    /// To be called by the one who holds `asking`.
    async fn ask(&self, api: &Api) -> Result<Arc<[Token]>, StoreError> {
        let asked = Instant::now();
        let tokens: Arc<[Token]> = api.store.tokens().await?.into();
        if let Ok(mut known) = self.known.lock() {
            *known = Some((asked, Arc::clone(&tokens)));
        }
        Ok(tokens)
    }

    fn fresh(&self) -> Option<Arc<[Token]>> {
        let known = self.known.lock().ok()?;
        known.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, tokens)| Arc::clone(tokens))
    }

    /// Whether this use has to be written down: the last one that was is old.
    fn to_note(&self, token: &Token, now: Timestamp) -> bool {
        let Ok(mut noted) = self.noted.lock() else { return false };
        let last = noted.get(&token.id).copied().max(token.last_used);
        let old = last.is_none_or(|last| now.duration_since(last) >= COARSE);
        if old {
            noted.insert(token.id, now);
        }
        old
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
    let needed = scope_of(request.method(), path);
    let actor = admit(&api, request.headers(), needed).await?;
    request.extensions_mut().insert(actor);
    Ok(next.run(request).await)
}

/// What a request needs.
fn scope_of(method: &Method, path: &str) -> TokenScope {
    if method.is_safe() || ASKING.contains(&path) { TokenScope::Read } else { TokenScope::Write }
}

async fn admit(api: &Api, headers: &HeaderMap, needed: TokenScope) -> Result<Actor, Problem> {
    let arrived = Instant::now();
    let mut tokens = api.tokens.all(api).await?;
    let secret = bearer(headers);
    // It may have been made since we asked: a token holds from the moment on that its maker has it.
    if let Some(secret) = secret.filter(|secret| secret::is_formed(secret))
        && find(&tokens, secret).is_none()
    {
        tokens = api.tokens.all_after(api, arrived).await?;
    }
    if tokens.is_empty() {
        // On loopback alone: with none, serving does not start elsewhere.
        return Ok(Actor(None));
    }
    let Some(secret) = secret else {
        return Err(Problem::unauthorized(
            "this needs a token: send `Authorization: Bearer dsnd_…`; `dsnd tokens create` makes one",
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

/// The token with this secret, be it one that holds or not.
fn find<'a>(tokens: &'a [Token], secret: &str) -> Option<&'a Token> {
    let hash = secret::hash(secret);
    // Every one is compared, so that the time does not tell which.
    let mut found = None;
    for token in tokens {
        if secret::same(&token.hash, &hash) {
            found = Some(token);
        }
    }
    found
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
        for (method, path, scope) in [
            (Method::GET, "/v1/suppressions", TokenScope::Read),
            (Method::HEAD, "/v1/bounces/1", TokenScope::Read),
            (Method::POST, "/v1/suppressions/check", TokenScope::Read),
            (Method::POST, "/v1/explain", TokenScope::Read),
            (Method::POST, "/v1/explain/", TokenScope::Write),
            (Method::POST, "/v1/return-paths", TokenScope::Write),
            (Method::PUT, "/v1/suppressions/a@b.example", TokenScope::Write),
            (Method::DELETE, "/v1/suppressions/check", TokenScope::Read),
        ] {
            assert_eq!(scope_of(&method, path), scope, "{method} {path}");
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
