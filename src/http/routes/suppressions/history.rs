//! `GET /v1/suppressions/{address}/history`: everything that is known of one address.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entry::mailbox;
use crate::http::extract::{Json, Path};
use crate::http::params;
use crate::http::problem::Problem;
use crate::http::state::Api;
use crate::store::{AuditRow, Entries, Store, Suppression, ToldEvent};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(history))
}

/// Everything that is known of one address.
#[derive(Debug, Serialize, ToSchema)]
struct AddressHistory {
    /// The address.
    address: String,
    /// Whether it may not be mailed now: in every stream, or in that of an entry.
    suppressed: bool,
    /// Its entries, by stream, also those whose time is over.
    entries: Vec<Suppression>,
    /// What was done to them, in the order in which it was.
    changes: Vec<AuditRow>,
    /// Reports about it, in the order in which they came.
    events: Vec<ToldEvent>,
    /// There are older changes or reports than these.
    cut: bool,
    /// How many unproven bounces of it wait for a person; left out where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_unproven: Option<u64>,
}

/// Everything that is known of one address: its entries, what was done to them and by whom, and the reports about it.
///
/// The same as `dsnd suppressions show --json`, without its sentence for a person.
#[utoipa::path(
    get, path = "/v1/suppressions/{address}/history", operation_id = "getSuppressionHistory", tag = "suppressions",
    params(("address" = String, Path, description = "The address, percent-encoded", example = "user@example.com")),
    responses(
        (status = 200, description = "What is known", body = AddressHistory),
        (status = 404, description = "Nothing is known of it", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It is not an address", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn history(
    State(api): State<Api>,
    Path(address): Path<String>,
) -> Result<Json<AddressHistory>, Problem> {
    let mailbox = mailbox(&address)?;
    let key = mailbox.comparison_form();
    let mut story = api.store.story(&key).await?;
    if story.is_empty() {
        let detail = format!("nothing is known of {address:?}");
        return Err(Problem::not_found(detail).of_kind("unknown-address", "Nothing is known of it"));
    }
    api.current().settings.streams.name_story(&mut story);
    let unproven = api.store.watched(&key, None).await?.unproven;
    let now = params::now();
    let stands = |entry: &Suppression| entry.expires_at.is_none_or(|end| end > now);
    Ok(Json(AddressHistory {
        address: mailbox.to_string(),
        suppressed: story.entries.iter().any(stands),
        entries: story.entries,
        changes: story.changes,
        events: story.events,
        cut: story.cut,
        waits_unproven: Some(unproven).filter(|number| *number > 0),
    }))
}
