//! The description of the API (OpenAPI 3.1), made from the code.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr, Schema};
use utoipa_axum::router::OpenApiRouter;

use super::auth::needs_write;
use super::event_types::{Event, webhooks};
use super::problem::{Fault, Problem};
use super::routes;
use super::state::Api;

/// What every request may be answered, in place of what was asked for.
const ALWAYS: &[(&str, &str)] = &[
    ("400", "The request cannot be understood"),
    ("403", "A page of another site asks, or the token may only read"),
    ("408", "The request was not there, or not done, in time"),
    ("421", "The Host header names another service (http.hosts)"),
    ("500", "dsnd failed; its log says more"),
    ("503", "Not now: the database cannot be reached, or there is too much at once"),
];

/// What a request with a token may be answered besides.
const GUARDED: &[(&str, &str)] = &[("401", "A token is needed, or this one does not hold")];

/// What a request with a body may be answered besides.
const WITH_BODY: &[(&str, &str)] = &[
    ("413", "The body is too large"),
    ("415", "The body has another media type than it should"),
    ("422", "The body is understood, and something in it is wrong"),
];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "dsnd",
        description = "The suppression list and the bounces behind it. Field names are those of the command line's \
                       `--json`. Errors are problem details (RFC 9457). Every change needs a token, and once there is \
                       one, so does every path below /v1.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(Problem, Fault, Event)),
    tags(
        (name = "suppressions", description = "Which addresses may not be mailed, and why"),
        (name = "bounces", description = "What came in, and what a message means"),
        (name = "quarantine", description = "Unsigned bounces, which wait for a person"),
        (name = "holds", description = "Suppressions that wait for a person, because far more than usual came at once"),
        (name = "return paths", description = "What messages that are about to be sent say as their MAIL FROM"),
        (name = "events", description = "What happened, in its order"),
        (name = "webhooks", description = "Where events are brought, how that goes, and what is brought again"),
        (name = "status codes", description = "What a code means and what to do about it"),
        (name = "service", description = "Whether dsnd works, and how it does")
    )
)]
struct Base;

/// The routes, and their description.
pub(super) fn assemble() -> (Router<Api>, OpenApi) {
    let (router, mut document) =
        OpenApiRouter::with_openapi(Base::openapi()).merge(routes::all()).split_for_parts();
    let token = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of `dsnd tokens create`; every change needs one"))
            .build(),
    );
    let components = document.components.get_or_insert_default();
    components.security_schemes.insert("token".to_owned(), RefOr::T(token));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete(path, &method, operation);
        }
    }
    document.webhooks = Some(webhooks());
    (router, document)
}

/// The description of the API.
#[must_use]
pub fn document() -> OpenApi {
    assemble().1
}

/// `GET /openapi.json`, which is written once.
pub(super) fn route(document: &OpenApi) -> Router<Api> {
    let text: Arc<str> = document.to_json().unwrap_or_default().into();
    let answer = move || {
        let text = Bytes::from(text.as_bytes().to_vec());
        async move { ([(CONTENT_TYPE, "application/json")], text) }
    };
    Router::new().route("/openapi.json", get(answer))
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::DELETE, delete),
        (Method::PATCH, patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A value in a path, a query or a header is there or not; it is never null.
fn without_null(parameter: &mut RefOr<Parameter>) {
    if let RefOr::T(parameter) = parameter
        && let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
        && let SchemaType::Array(types) = &object.schema_type
        && let [one, Type::Null] | [Type::Null, one] = types.as_slice()
    {
        object.schema_type = SchemaType::Type(one.clone());
    }
}

/// Adds what is the same for all.
fn complete(path: &str, method: &Method, operation: &mut Operation) {
    operation.parameters.iter_mut().flatten().for_each(without_null);
    let guarded = path.starts_with("/v1/");
    let mut more: Vec<_> = ALWAYS.to_vec();
    if guarded {
        more.extend(GUARDED);
        let security = operation.security.get_or_insert_default();
        security.push(SecurityRequirement::new::<&str, [&str; 0], &str>("token", []));
        if !needs_write(method, path) {
            // Or none at all: on loopback, before the first token is made.
            security.push(SecurityRequirement::default());
        }
    }
    if operation.request_body.is_some() {
        more.extend(WITH_BODY);
    }
    for (status, description) in more {
        let known = &mut operation.responses.responses;
        known.entry(status.to_owned()).or_insert_with(|| RefOr::T(Problem::described(description)));
    }
}
