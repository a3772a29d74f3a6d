//! Reading requests; what cannot be read is a [`Problem`].

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use super::problem::Problem;
use super::state::Api;

/// A body in JSON, of a request or of a response.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = |essence: &str| essence.eq_ignore_ascii_case("application/json");
        expect_type(&request, is_json, "a body in JSON has `Content-Type: application/json`")?;
        let octets = Bytes::from_request(request, state).await?;
        let axum::Json(value) = axum::Json::from_bytes(&octets)?;
        // An array would do for what reads it.
        if octets.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::unprocessable("the body has to be a JSON object"));
        }
        Ok(Self(value))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The parameters after the question mark.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Query(value) = axum::extract::Query::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

/// The parameters in the path, percent-decoded.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(value) = axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

/// A message: a body of type `message/rfc822`.
#[derive(Debug)]
pub struct Message {
    /// The message.
    pub octets: Bytes,
    /// It is worked with until this is dropped.
    pub turn: OwnedSemaphorePermit,
}

impl FromRequest<Api> for Message {
    type Rejection = Problem;

    async fn from_request(mut request: Request, api: &Api) -> Result<Self, Problem> {
        let is_message = |essence: &str| essence.eq_ignore_ascii_case("message/rfc822");
        expect_type(&request, is_message, "a message has `Content-Type: message/rfc822`")?;
        // Before it takes memory.
        let turn = api.heavy().await?;
        DefaultBodyLimit::max(api.current().settings.max_message).apply(&mut request);
        Ok(Self { octets: Bytes::from_request(request, api).await?, turn })
    }
}

/// 415 where the media type of a body is not the right one.
fn expect_type(request: &Request, fits: impl Fn(&str) -> bool, detail: &str) -> Result<(), Problem> {
    let named = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = named.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if fits(essence) { Ok(()) } else { Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)) }
}

/// The detail of a problem with a body that came too slowly, is too large, or broke off.
fn of_body(status: StatusCode, text: String) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(status, "the body is larger than this takes"),
        _ if text.contains("timeout") => Problem::timeout(),
        _ => Problem::new(status, text),
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        of_body(rejection.status(), rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        match rejection.status() {
            StatusCode::INTERNAL_SERVER_ERROR => Self::internal(),
            _ => Self::bad_request(rejection.body_text()),
        }
    }
}
