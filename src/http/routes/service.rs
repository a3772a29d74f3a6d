//! `/healthz`, `/readyz`, `/metrics`: for those who look after the daemon.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::problem::Problem;
use crate::http::state::Api;

/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    health().routes(routes!(metrics))
}

/// Those that are answered also where there is no room for more.
pub(in crate::http) fn health() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// The process is there and answers.
#[utoipa::path(
    get, path = "/healthz", operation_id = "getHealth", tag = "service",
    responses((status = 200, description = "It answers", body = String, content_type = "text/plain"))
)]
async fn healthz() -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], "ok\n")
}

/// The store takes bounces: a commit was tried within the last second.
#[utoipa::path(
    get, path = "/readyz", operation_id = "getReadiness", tag = "service",
    responses((status = 200, description = "It commits", body = String, content_type = "text/plain"))
)]
async fn readyz(State(api): State<Api>) -> Result<impl IntoResponse, Problem> {
    if api.readiness.ask(&*api.store).await {
        Ok(([(CACHE_CONTROL, "no-store")], "ready\n"))
    } else {
        Err(Problem::unavailable("the database cannot commit")
            .of_kind("store-unavailable", "The database cannot take this now"))
    }
}

/// Metrics in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", operation_id = "getMetrics", tag = "service",
    responses(
        (status = 200, description = "All metrics", body = String, content_type = "text/plain"),
        (status = 401, description = "A token is needed (http.metrics_token)",
            body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There are no metrics",
            body = Problem, content_type = "application/problem+json"),
    )
)]
async fn metrics(State(api): State<Api>) -> Result<Response, Problem> {
    let Some(render) = &api.metrics else { return Err(Problem::not_found("there are no metrics")) };
    Ok(([(CONTENT_TYPE, METRICS)], render()).into_response())
}
