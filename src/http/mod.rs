//! The HTTP API: the list, the bounces and the explanations as a service, described at `/openapi.json`.
//!
//! A connection is accepted by [`Server`]; a request then passes `guard` (the host's name, the time it may take),
//! `auth` (its token), and a handler in `routes`, one file an area. Every error is a [`Problem`] (RFC 9457).

mod auth;
mod conditions;
mod extract;
mod guard;
mod openapi;
mod params;
mod problem;
mod ready;
mod routes;
pub mod secret;
mod server;
mod settings;
mod state;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

pub use auth::Actor;
pub use extract::{Json, Message, Path, Query};
pub use openapi::document;
pub use problem::{Fault, Problem};
pub use server::Server;
pub use settings::Settings;
pub use state::{Api, Current, RenderMetrics};

/// Everything that is served, in the order in which a request passes it.
fn router(api: Api) -> Router {
    let (routes, document) = openapi::assemble();
    let settings = &api.current().settings;
    routes
        .merge(openapi::route(&document))
        .method_not_allowed_fallback(not_allowed)
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(api.clone(), auth::guard))
        .layer(middleware::from_fn_with_state(api.clone(), guard::host))
        .layer(DefaultBodyLimit::max(settings.max_body))
        .layer(RequestBodyTimeoutLayer::new(settings.request_timeout))
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(middleware::from_fn_with_state(api.clone(), guard::watch))
        .with_state(api)
}

async fn not_found(request: Request) -> Problem {
    let path = request.uri().path();
    Problem::not_found("there is nothing at this path; /openapi.json lists what there is").on(path)
}

async fn not_allowed(request: Request) -> Problem {
    let detail = format!("{} is not possible here; the Allow header lists what is", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).on(request.uri().path())
}
