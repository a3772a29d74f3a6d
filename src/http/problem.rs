//! Errors as RFC 9457 problem details.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::error;
use utoipa::openapi::{self, ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::store::StoreError;

/// What `type` begins with where a problem is more than its status code says.
const TYPES: &str = "urn:problem-type:dsnd:";

/// The media type of problems.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request was not done (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The kind of problem: a URN, or `about:blank` where the status says it all.
    #[serde(rename = "type", serialize_with = "urn")]
    #[schema(value_type = String)]
    kind: Option<&'static str>,
    /// The kind of problem for a person.
    title: &'static str,
    /// The status code of the response.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong this time, and what would be right.
    detail: Box<str>,
    /// The path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = String, required = false)]
    instance: Option<Box<str>>,
    /// Each thing that is wrong, where there are several or where it has a place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Fault>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

fn urn<S: serde::Serializer>(kind: &Option<&'static str>, serializer: S) -> Result<S::Ok, S::Error> {
    match kind {
        Some(kind) => serializer.collect_str(&format_args!("{TYPES}{kind}")),
        None => serializer.serialize_str("about:blank"),
    }
}

/// What a request may be answered: responses of the description that are problems.
macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident: $status:literal, $description:literal;)+) => {
        $(
            $(#[$doc])*
            pub(super) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
                    BTreeMap::from([($status.to_owned(), RefOr::T(Problem::described($description)))])
                }
            }
        )+
    };
}

answers! {
    /// Nothing has the number that was named.
    NotThere: "404", "There is none";
    /// No stream has the name that was named.
    NoSuchStream: "404", "There is no such stream";
    /// The configuration has no webhook of that name.
    NoSuchWebhook: "404", "None of that name is configured";
    /// A person was faster.
    SettledAlready: "409", "It is settled already";
}

/// One thing that is wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Fault {
    /// Where: a JSON pointer into the body (`#/addresses/3`), or the name of a parameter.
    pub place: String,
    /// What.
    pub detail: String,
}

impl Problem {
    /// A response that is one, as the description has it.
    pub(super) fn described(description: &str) -> openapi::Response {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Self::name()))).build();
        ResponseBuilder::new().description(description).content(PROBLEM_JSON, content).build()
    }

    /// A problem that its status code says, with the detail.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: None,
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into().into(),
            instance: None,
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Its own kind, a short name with hyphens, and how a person calls that.
    #[must_use]
    pub const fn of_kind(mut self, kind: &'static str, title: &'static str) -> Self {
        self.kind = Some(kind);
        self.title = title;
        self
    }

    /// Everything that is wrong with a request; none where nothing is.
    #[must_use]
    pub fn of_faults(status: StatusCode, faults: Vec<Fault>) -> Option<Self> {
        let first = faults.first()?;
        let more = match faults.len() - 1 {
            0 => String::new(),
            more => format!(" ({more} more, see errors)"),
        };
        let detail = format!("{}: {}{more}", first.place, first.detail);
        Some(Self::new(status, detail).with_errors(faults))
    }

    /// With everything that is wrong.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<Fault>) -> Self {
        self.errors = errors;
        self
    }

    /// With one thing that is wrong, at its place; its detail is that of the problem.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.errors.push(Fault { place: place.into(), detail: self.detail.to_string() });
        self
    }

    /// With the path of the request.
    #[must_use]
    pub fn on(mut self, path: &str) -> Self {
        self.instance = Some(path.into());
        self
    }

    /// With a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// 400: the request cannot be understood.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: who asks has to say who it is.
    #[must_use]
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"dsnd\""))
    }

    /// 403.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 408: the request took too long to come in, or to be answered.
    #[must_use]
    pub fn timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the request was not there or not done in time; send it again")
    }

    /// 422: the request is understood, and something in it is wrong.
    #[must_use]
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 500: our fault. What it is stands in the log alone.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "dsnd failed at this; its log says more")
    }

    /// 503: it may work later.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
    }
}

impl From<StoreError> for Problem {
    fn from(cause: StoreError) -> Self {
        match cause {
            StoreError::Unavailable(cause) => {
                error!(error = %cause, "the database is not to be had; a request is asked to come back later");
                Self::unavailable("the database cannot take this now; try again later")
                    .of_kind("store-unavailable", "The database cannot take this now")
            }
            cause => {
                error!(error = %cause, "a request failed");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let headers = std::mem::take(&mut self.headers);
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response.headers_mut().extend(headers);
        response
    }
}
