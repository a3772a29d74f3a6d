//! `POST /v1/suppressions/check`: which of many addresses may not be mailed.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::extract::Json;
use crate::http::params;
use crate::http::problem::{NoSuchStream, Problem};
use crate::http::state::Api;
use crate::store::{self, Checked};

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

/// Whether addresses are suppressed, and why.
///
/// Up to 10,000 at once, answered in their order, with what `dsnd suppressions check --json` says. What is no address is
/// said to be `invalid`, and costs the others nothing.
#[utoipa::path(
    post, path = "/v1/suppressions/check", operation_id = "checkSuppressions", tag = "suppressions", request_body = CheckRequest,
    responses(
        (status = 200, description = "What stands of each address", body = CheckResponse),
        NoSuchStream,
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
    let policy = &current.settings.policy;
    let results = store::check(&*api.store, policy, streams, asked.addresses, stream, params::now()).await?;
    let suppressed = results.iter().filter(|checked| checked.suppressed).count();
    Ok(Json(CheckResponse { results, suppressed }))
}
