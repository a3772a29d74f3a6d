//! Reading requests; what cannot be read is a [`Problem`].

use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::{IntoParams, ToSchema};

use super::described::{body_faults, query_faults};
use super::problem::Problem;
use super::state::Api;

/// A body in JSON, of a request or of a response.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + ToSchema, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = |essence: &str| essence.eq_ignore_ascii_case("application/json");
        expect_type(&request, is_json, "a body in JSON has `Content-Type: application/json`")?;
        let octets = Bytes::from_request(request, state).await?;
        // An array would do for what reads it.
        let is_object = octets.trim_ascii_start().first() == Some(&b'{');
        match serde_json::from_slice(&octets) {
            Ok(value) if is_object => Ok(Self(value)),
            Ok(_) => Err(no_object()),
            Err(error) => Err(unreadable::<T>(&octets, &error)),
        }
    }
}

fn no_object() -> Problem {
    Problem::unprocessable("the body has to be a JSON object")
}

/// Why a body cannot be read, in the words of its description.
fn unreadable<T: ToSchema>(octets: &[u8], error: &serde_json::Error) -> Problem {
    let place = format!("line {}, column {}", error.line(), error.column());
    match serde_json::from_slice::<Value>(octets) {
        Err(error) if error.is_eof() => Problem::bad_request("the body ends before its JSON does"),
        Err(_) => Problem::bad_request(format!("the body is not JSON: look at {place}")),
        Ok(body) if !body.is_object() => no_object(),
        Ok(body) => Problem::of_faults(StatusCode::UNPROCESSABLE_ENTITY, body_faults::<T>(&body))
            .unwrap_or_else(|| {
                let detail = format!("the body cannot be read from {place} on; perhaps a key is there twice");
                Problem::unprocessable(detail)
            }),
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

impl<T: DeserializeOwned + IntoParams, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if let Ok(axum::extract::Query(value)) = axum::extract::Query::try_from_uri(&parts.uri) {
            return Ok(Self(value));
        }
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let faults = query_faults::<T>(&pairs.map(|pairs| pairs.0).unwrap_or_default());
        Err(Problem::of_faults(StatusCode::BAD_REQUEST, faults).unwrap_or_else(|| {
            Problem::bad_request("the query cannot be read; /openapi.json says what it takes")
        }))
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

/// The media types of a message; generated clients know the second.
const MESSAGES: [&str; 2] = ["message/rfc822", "application/octet-stream"];

/// A message as a body.
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
        let is_message = |essence: &str| MESSAGES.iter().any(|kind| essence.eq_ignore_ascii_case(kind));
        expect_type(
            &request,
            is_message,
            "a message has `Content-Type: message/rfc822` or application/octet-stream",
        )?;
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
fn of_body(status: StatusCode, text: &str) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(status, "the body is larger than this takes"),
        _ if text.contains("timeout") => Problem::timeout(),
        _ => Problem::new(status, "the body could not be read to its end"),
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        of_body(rejection.status(), &rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        let PathRejection::FailedToDeserializePathParams(cause) = rejection else { return Self::internal() };
        match cause.kind() {
            ErrorKind::InvalidUtf8InPathParam { key } => {
                Self::bad_request("this part of the path is not UTF-8, percent-encoded").at(key)
            }
            ErrorKind::ParseError { value, .. }
            | ErrorKind::ParseErrorAtIndex { value, .. }
            | ErrorKind::ParseErrorAtKey { value, .. } => {
                Self::bad_request(format!("{value:?} in the path is not a whole number, or too large"))
            }
            _ => Self::internal(),
        }
    }
}
