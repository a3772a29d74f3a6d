//! `GET /v1/suppressions/{address}/history`: everything that is known of one address.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entry::mailbox;
use crate::http::extract::{Json, Path, Query};
use crate::http::params;
use crate::http::problem::Problem;
use crate::http::state::Api;
use crate::store::{self, AuditRow, Store, StoryPlace, Suppression, ToldEvent};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(history))
}

/// Which part of it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Part {
    /// `next` of the page before.
    #[param(pattern = "^[0-9a-f]{16}([0-9a-f]{2})*$")]
    cursor: Option<String>,
    /// How many changes, and how many reports; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Everything that is known of one address.
#[derive(Debug, Serialize, ToSchema)]
struct AddressHistory {
    /// The address.
    address: String,
    /// Whether it may not be mailed now: in every stream, or in that of an entry.
    suppressed: bool,
    /// What it comes to, in one sentence for a person: who said what, when, and what to do.
    summary: String,
    /// Its entries, by stream, also those whose time is over.
    entries: Vec<Suppression>,
    /// What was done to them, in the order in which it was.
    changes: Vec<AuditRow>,
    /// Reports about it, in the order in which they came.
    events: Vec<ToldEvent>,
    /// The cursor of older ones; null where there are none.
    next: Option<String>,
    /// How many unproven bounces of it wait for a person; left out where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_unproven: Option<u64>,
}

/// A place in the history as a cursor: the last change, and the last report with its time.
fn cursor_of(place: StoryPlace) -> String {
    let (at, event) = place.report;
    params::encode_cursor(&format!("{at} {event}"), place.change)
}

fn place_of(cursor: &str) -> Result<StoryPlace, Problem> {
    let (report, change) = params::decode_cursor(cursor)?;
    let report = report.split_once(' ').and_then(|(at, event)| Some((at.parse().ok()?, event.parse().ok()?)));
    let report = report.ok_or_else(|| Problem::bad_request("this cursor is of another list").at("cursor"))?;
    Ok(StoryPlace { change, report })
}

/// Everything that is known of one address: its entries, what was done to them and by whom, and the reports about it.
///
/// The newest page comes first, the older ones by `next`; within each the order is that of time. Otherwise it is the same as
/// `dsnd suppressions show --json`.
#[utoipa::path(
    get, path = "/v1/suppressions/{address}/history", operation_id = "getSuppressionHistory", tag = "suppressions",
    params(
        ("address" = String, Path, description = "The address, percent-encoded", example = "user@example.com"),
        Part,
    ),
    responses(
        (status = 200, description = "What is known", body = AddressHistory),
        (status = 404, description = "Nothing is known of it", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It is not an address", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn history(
    State(api): State<Api>,
    Path(address): Path<String>,
    Query(part): Query<Part>,
) -> Result<Json<AddressHistory>, Problem> {
    let mailbox = mailbox(&address)?;
    let key = mailbox.comparison_form();
    let place = part.cursor.as_deref().map(place_of).transpose()?.unwrap_or_default();
    let mut story = api.store.story(&key, place, params::limit(part.limit)?).await?;
    if story.is_empty() {
        let detail = format!("nothing is known of {address:?}");
        return Err(Problem::not_found(detail).of_kind("unknown-address", "Nothing is known of it"));
    }
    let current = api.current();
    let settings = &current.settings;
    settings.streams.name_story(&mut story);
    let asked = vec![mailbox.to_string()];
    let answers =
        store::check(&*api.store, &settings.policy, &settings.streams, asked, None, params::now()).await?;
    let answer = answers.into_iter().next().ok_or_else(Problem::internal)?;
    Ok(Json(AddressHistory {
        address: answer.address,
        suppressed: answer.suppressed,
        summary: answer.summary,
        entries: story.entries,
        changes: story.changes,
        events: story.events,
        next: story.older.map(cursor_of),
        waits_unproven: answer.waits_unproven,
    }))
}
