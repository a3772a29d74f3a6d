//! The HTTP API: the list, the bounces and the explanations as a service, described at `/openapi.json`.
//!
//! A connection is accepted by [`Server`]; a request then passes `guard` (the time it may take), `site` (the
//! host's name, and that no page of another site asks), `auth` (its token), and a handler in `routes`, one file an area. Every error is a [`Problem`] (RFC 9457).

mod auth;
mod conditions;
mod described;
mod event_types;
mod extract;
mod filter;
mod guard;
mod openapi;
mod params;
mod places;
mod problem;
mod ready;
mod routes;
pub mod secret;
mod server;
mod settings;
mod site;
mod state;
mod tokens;

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

/// Everything that is served.
fn router(api: Api) -> Router {
    let (routes, document) = openapi::assemble();
    let routes = routes
        .merge(openapi::route(&document))
        .method_not_allowed_fallback(not_allowed)
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(api.clone(), auth::guard));
    layered(routes, api)
}

/// What is served to connections beyond the limit: whether dsnd works.
fn spare_router(api: Api) -> Router {
    layered(routes::health().fallback(full).into(), api)
}

/// With what every request passes, whatever it asks for.
fn layered(routes: Router<Api>, api: Api) -> Router {
    let settings = &api.current().settings;
    routes
        .layer(middleware::from_fn(site::same_origin))
        .layer(middleware::from_fn_with_state(api.clone(), site::host))
        .layer(DefaultBodyLimit::max(settings.max_body))
        .layer(RequestBodyTimeoutLayer::new(settings.request_timeout))
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(middleware::from_fn_with_state(api.clone(), guard::watch))
        .layer(middleware::map_response(guard::harden))
        .with_state(api)
}

async fn full(request: Request) -> Problem {
    Problem::unavailable("too many requests at once; try again later")
        .of_kind("full", "Too many connections")
        .on(request.uri().path())
}

async fn not_found(request: Request) -> Problem {
    let path = request.uri().path();
    Problem::not_found("there is nothing at this path; /openapi.json lists what there is").on(path)
}

async fn not_allowed(request: Request) -> Problem {
    let detail = format!("{} is not possible here; the Allow header lists what is", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).on(request.uri().path())
}
