//! `/v1/suppressions/{address}`: what stands of one address, and changing it.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::address::{Mailbox, comparison_form};
use crate::http::auth::Actor;
use crate::http::conditions::{condition, etag};
use crate::http::extract::{Json, Path, Query};
use crate::http::params::{self, Address, Conditions};
use crate::http::problem::{Fault, NoSuchStream, Problem};
use crate::http::state::Api;
use crate::store::{
    ANY_STREAM, AuditOrigin, Condition, Edited, Entries, ManualEntry, Put, PutDone, Removal, Streams,
    Suppression, version,
};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show, put, remove))
}

/// Longest note, in characters.
const MAX_NOTE: usize = 1_000;

/// In which stream.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Within {
    /// Only what holds in this stream, by name or number: its own entry and the one for every stream; 0: only the one
    /// for every stream.
    #[param(example = "newsletter")]
    stream: Option<String>,
}

/// The entry of which stream.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only the entry for this stream, by name or number; 0: the one for every stream.
    #[param(example = "newsletter")]
    stream: Option<String>,
}

/// Where to put an entry.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Where {
    /// The stream, by name or number. Without it the entry is for every stream.
    #[param(example = "newsletter")]
    stream: Option<String>,
    /// Also in place of a complaint, or of an entry that lasts longer.
    #[serde(default)]
    #[param(required = false)]
    force: bool,
}

/// An entry by hand.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSuppression {
    /// Why, in your words.
    #[schema(max_length = 1000, example = "asked by phone")]
    note: Option<String>,
    /// Until when; null or nothing: for ever.
    #[schema(example = "2099-12-31T00:00:00Z")]
    expires_at: Option<Timestamp>,
}

/// What stands of one address.
#[derive(Debug, Serialize, ToSchema)]
struct AddressEntries {
    /// The address, as it was asked about.
    address: String,
    /// Whether it may not be mailed: in every stream, or in that of an entry.
    suppressed: bool,
    /// The entries that stand, by stream.
    entries: Vec<Suppression>,
}

impl AddressEntries {
    /// The response, with its entity tag.
    fn respond(
        status: StatusCode,
        streams: &Streams,
        address: String,
        mut entries: Vec<Suppression>,
    ) -> Response {
        let tag = version(&entries).unwrap_or_default();
        entries.iter_mut().for_each(|entry| streams.name_entry(entry));
        (status, [etag(&tag)], Json(Self { address, suppressed: !entries.is_empty(), entries }))
            .into_response()
    }
}

pub(super) fn mailbox(address: &str) -> Result<Mailbox, Problem> {
    Mailbox::parse(address).map_err(|error| {
        Problem::unprocessable(format!("{address:?} is not an address: {error}")).at("address")
    })
}

fn not_listed(address: &str) -> Problem {
    Problem::not_found(format!("{address:?} is not on the list")).of_kind("not-listed", "Not on the list")
}

fn changed() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "what stands is not what you saw; read it again, and nothing was changed",
    )
}

/// What stands of an address.
///
/// With `stream`, all that suppresses it there. The ETag is of what is shown, and `PUT` and `DELETE` with the same
/// `stream` compare it with the same entries.
#[utoipa::path(
    get, path = "/v1/suppressions/{address}", operation_id = "getSuppression", tag = "suppressions",
    params(
        ("address" = String, Path, description = "The address, percent-encoded", example = "user@example.com"),
        Within,
        Conditions,
    ),
    responses(
        (status = 200, description = "It is suppressed", body = AddressEntries,
            headers(("ETag" = String, description = "The version of what stands"))),
        (status = 304, description = "It is as it was"),
        (status = 404, description = "It is not on the list, or there is no such stream", body = Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "If-Match names another version", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "It is no address", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn show(
    State(api): State<Api>,
    Path(address): Path<String>,
    Query(within): Query<Within>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let current = api.current();
    let streams = &current.settings.streams;
    let stream = params::stream(streams, within.stream.as_deref())?;
    let Condition { matches, none_matches } = condition(&headers)?;
    let entries = api.store.entries_of(&comparison_form(&address), stream, params::now()).await?;
    if entries.is_empty() {
        // What stands is shown, whatever it is. What cannot stand was a mistake, which "not on the list" would hide.
        mailbox(&address)?;
        return Err(not_listed(&address));
    }
    if !(Condition { matches, none_matches: None }).holds(&entries) {
        return Err(changed());
    }
    if !(Condition { matches: None, none_matches }).holds(&entries) {
        let tag = version(&entries).unwrap_or_default();
        return Ok((StatusCode::NOT_MODIFIED, [etag(&tag)]).into_response());
    }
    Ok(AddressEntries::respond(StatusCode::OK, streams, address, entries))
}

/// Put an address on the list by hand, or change the entry that is there.
///
/// A complaint, and an entry that lasts longer, are not replaced (409) unless `force` says so. With `stream` that
/// stream's own entry is put, and the answer has what holds there then, also the entry for every stream.
#[utoipa::path(
    put, path = "/v1/suppressions/{address}", operation_id = "putSuppression", tag = "suppressions", request_body = NewSuppression,
    params(
        ("address" = inline(Address), Path, description = "The address, percent-encoded", example = "user@example.com"),
        Where,
        Conditions,
    ),
    responses(
        (status = 200, description = "Its entry was replaced", body = AddressEntries,
            headers(("ETag" = String, description = "The version of what stands"))),
        (status = 201, description = "It was added", body = AddressEntries,
            headers(("ETag" = String, description = "The version of what stands"))),
        NoSuchStream,
        (status = 409, description = "What stands weighs more", body = Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "What stands is not what If-Match or If-None-Match say", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn put(
    State(api): State<Api>,
    Path(address): Path<String>,
    Query(place): Query<Where>,
    Actor(actor): Actor,
    headers: HeaderMap,
    Json(new): Json<NewSuppression>,
) -> Result<Response, Problem> {
    let mailbox = mailbox(&address)?;
    let current = api.current();
    let streams = &current.settings.streams;
    let (now, stream) = (params::now(), params::stream(streams, place.stream.as_deref())?);
    let mut faults = Vec::new();
    if new.note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE) {
        let detail = format!("a note has {MAX_NOTE} characters at most");
        faults.push(Fault { place: "#/note".to_owned(), detail });
    }
    if new.expires_at.is_some_and(|end| end <= now) {
        let detail = "this time is over already; name one to come".to_owned();
        faults.push(Fault { place: "#/expires_at".to_owned(), detail });
    }
    if let Some(problem) = Problem::of_faults(StatusCode::UNPROCESSABLE_ENTITY, faults) {
        return Err(problem);
    }
    let entry = ManualEntry {
        address: mailbox.to_string(),
        address_key: mailbox.comparison_form(),
        stream: stream.unwrap_or(ANY_STREAM),
        origin: AuditOrigin::Api,
        actor,
        now,
        expires_at: new.expires_at,
        note: new.note,
    };
    let put = Put { entry, seen: stream, condition: condition(&headers)?, force: place.force };
    match api.store.put(put).await? {
        Edited::Done(PutDone { created, entries }) => {
            let status = if created { StatusCode::CREATED } else { StatusCode::OK };
            Ok(AddressEntries::respond(status, streams, address, entries))
        }
        Edited::Changed => Err(changed()),
        Edited::Weightier(standing) => {
            let what = match standing.expires_at {
                _ if standing.reason == crate::policy::Reason::Complaint => "a complaint stands".to_owned(),
                Some(end) => format!("an entry stands until {end}"),
                None => "an entry stands for ever".to_owned(),
            };
            Err(Problem::new(StatusCode::CONFLICT, format!("{what}; force=true puts yours in its place"))
                .of_kind("weightier-entry", "What stands weighs more"))
        }
    }
}

/// Take an address off the list, and forget what was counted against it.
///
/// With `stream` that stream's own entry alone: one for every stream goes on suppressing there.
#[utoipa::path(
    delete, path = "/v1/suppressions/{address}", operation_id = "removeSuppression", tag = "suppressions",
    params(
        ("address" = String, Path, description = "The address, percent-encoded", example = "user@example.com"),
        Which,
        Conditions,
    ),
    responses(
        (status = 204, description = "It is off the list"),
        (status = 404, description = "It was not on the list, or there is no such stream", body = Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "What stands is not what If-Match says", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn remove(
    State(api): State<Api>,
    Path(address): Path<String>,
    Query(which): Query<Which>,
    Actor(actor): Actor,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let current = api.current();
    let stream = params::stream(&current.settings.streams, which.stream.as_deref())?;
    let address_key = comparison_form(&address);
    let removal = Removal { address_key, stream, now: params::now(), origin: AuditOrigin::Api, actor };
    match api.store.take_off(removal, condition(&headers)?).await? {
        Edited::Done(true) => Ok(StatusCode::NO_CONTENT),
        Edited::Done(false) => Err(match stream {
            Some(stream) if stream != ANY_STREAM => Problem::not_found(format!(
                "{address:?} is not on the list with an entry for this stream alone"
            ))
            .of_kind("not-listed", "Not on the list"),
            _ => not_listed(&address),
        }),
        Edited::Changed | Edited::Weightier(_) => Err(changed()),
    }
}
