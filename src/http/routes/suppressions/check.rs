//! `POST /v1/suppressions/check`: which of many addresses may not be mailed.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::address::{Mailbox, comparison_form};
use crate::http::extract::Json;
use crate::http::params;
use crate::http::problem::Problem;
use crate::http::state::Api;
use crate::store::{Entries, Suppression};

/// Addresses in one question.
const MOST: usize = 10_000;

/// Questions with more addresses than these wait for their turn.
const HEAVY: usize = 100;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(check))
}

/// Which addresses.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckRequest {
    /// The addresses.
    #[schema(max_items = 10000, example = json!(["user@example.com"]))]
    addresses: Vec<String>,
    /// The stream that is to be sent in, by name or number: entries of other streams do not count. Without it, every
    /// entry does.
    #[schema(example = "newsletter")]
    stream: Option<String>,
}

/// What stands of each address, in the order of the question.
#[derive(Debug, Serialize, ToSchema)]
struct CheckResponse {
    /// One an address.
    results: Vec<Checked>,
    /// How many of them are suppressed.
    suppressed: usize,
}

/// The answer for one address.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CheckedAddress)]
struct Checked {
    /// The address, as it was asked about.
    address: String,
    /// Whether it may not be mailed.
    suppressed: bool,
    /// The weightiest entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<Suppression>,
    /// Those that suppress it as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Suppression>,
    /// The hold that a bounce of it waits in.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_in_hold: Option<i64>,
    /// How many unproven bounces of it wait for a person: `dsnd quarantine list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_unproven: Option<u64>,
    /// Why it is no address that mail can be sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    invalid: Option<String>,
}

/// Whether addresses are suppressed, and why.
///
/// Up to 10,000 at once, answered in their order. What is no address is said to be `invalid`, and costs the others
/// nothing.
#[utoipa::path(
    post, path = "/v1/suppressions/check", operation_id = "checkSuppressions", tag = "suppressions", request_body = CheckRequest,
    responses(
        (status = 200, description = "What stands of each address", body = CheckResponse),
        (status = 404, description = "There is no such stream", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn check(
    State(api): State<Api>,
    Json(asked): Json<CheckRequest>,
) -> Result<Json<CheckResponse>, Problem> {
    if asked.addresses.len() > MOST {
        let detail = format!("{} addresses; {MOST} are possible at once", asked.addresses.len());
        return Err(Problem::unprocessable(detail).at("#/addresses"));
    }
    let current = api.current();
    let streams = &current.settings.streams;
    let stream = params::stream(streams, asked.stream.as_deref())?;
    let _turn = if asked.addresses.len() > HEAVY { Some(api.heavy().await?) } else { None };
    let keys: Vec<String> = asked.addresses.iter().map(|address| comparison_form(address)).collect();
    let standing = api.store.standing_of(&keys, stream, params::now()).await?;
    let one = |(address, key): (String, String)| {
        let mut entries = standing.entries.get(&key).cloned().unwrap_or_default();
        entries.iter_mut().for_each(|entry| streams.name_entry(entry));
        let mut entries = entries.into_iter();
        let entry = entries.next();
        Checked {
            suppressed: entry.is_some(),
            entry,
            others: entries.collect(),
            waits_in_hold: standing.holds.get(&key).copied(),
            waits_unproven: standing.unproven.get(&key).copied(),
            invalid: Mailbox::parse(&address).err().map(|error| error.to_string()),
            address,
        }
    };
    let results: Vec<Checked> = asked.addresses.into_iter().zip(keys).map(one).collect();
    let suppressed = results.iter().filter(|checked| checked.suppressed).count();
    Ok(Json(CheckResponse { results, suppressed }))
}
