//! `/v1/holds`: suppressions that wait because far more than usual came at once.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::auth::Actor;
use crate::http::extract::{Json, Path, Query};
use crate::http::filter::filtered;
use crate::http::params::{self, Trial};
use crate::http::problem::{NoSuchStream, NotThere, Problem, SettledAlready};
use crate::http::state::Api;
use crate::store::{HeldEvent, Hold, HoldFilter, HoldVerdict, Page, Store, settle_whole_hold};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(release))
        .routes(routes!(discard))
}

filtered! {
    /// Which holds; all that are given must hold, but for the times for one and the same event that it has held.
    struct Asked {
        /// Also holds that were released or discarded.
        #[serde(default)]
        #[param(required = false)]
        all: bool,
        /// `next` of the page before.
        #[param(pattern = "^[0-9a-f]{16}$")]
        cursor: Option<String>,
        /// How many; 100 where it is not said.
        #[param(minimum = 1, maximum = 1000)]
        limit: Option<u32>,
    }
}

/// A page of holds.
#[derive(Debug, Serialize, ToSchema)]
struct HoldPage {
    /// The holds, the newest first.
    holds: Vec<Hold>,
    /// The cursor of the next page; null where there is none.
    next: Option<String>,
}

/// A page of what a hold has held.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Part {
    /// `next` of the page before.
    #[param(pattern = "^[0-9a-f]{16}$")]
    cursor: Option<String>,
    /// How many events; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// A hold with a page of what it has held.
#[derive(Debug, Serialize, ToSchema)]
struct HoldEvents {
    /// The hold.
    hold: Hold,
    /// The command that takes off the list what came through within the hour before the hold opened.
    undo: String,
    /// The events, the oldest first.
    events: Vec<HeldEvent>,
    /// The cursor of the next page; null where there is none.
    next: Option<String>,
}

/// What became of a hold.
#[derive(Debug, Serialize, ToSchema)]
struct SettledHold {
    /// Its number.
    hold: i64,
    /// `released`, `discarded`; with `dry_run`: `would be released`, `would be discarded`.
    state: &'static str,
    /// Events that were settled, or would be.
    events: u64,
    /// Those of them that suppress their address now, or would; null where nothing was tried.
    suppressed: Option<u64>,
}

/// What is held back, the newest first.
#[utoipa::path(
    get, path = "/v1/holds", operation_id = "listHolds", tag = "holds", params(Asked),
    responses((status = 200, description = "A page of holds", body = HoldPage), NoSuchStream)
)]
async fn list(State(api): State<Api>, Query(asked): Query<Asked>) -> Result<Json<HoldPage>, Problem> {
    let filter = HoldFilter {
        all: asked.all,
        common: asked.common(&api.current().settings.streams)?,
        before: asked.cursor.as_deref().map(params::decode_number).transpose()?,
        limit: params::limit(asked.limit)?,
    };
    let Page { items: holds, more } = api.store.holds(&filter).await?;
    let next = holds.last().filter(|_| more).map(|last| params::encode_number(last.id));
    Ok(Json(HoldPage { holds, next }))
}

fn not_there(id: i64) -> Problem {
    Problem::not_found(format!("there is no hold {id}"))
}

/// One hold and what it has held, the oldest first.
#[utoipa::path(
    get, path = "/v1/holds/{id}", operation_id = "getHold", tag = "holds",
    params(("id" = i64, Path, minimum = 1, description = "The number of the hold"), Part),
    responses(
        (status = 200, description = "The hold", body = HoldEvents),
        NotThere,
    )
)]
async fn show(
    State(api): State<Api>,
    Path(id): Path<i64>,
    Query(page): Query<Part>,
) -> Result<Json<HoldEvents>, Problem> {
    let limit = params::limit(page.limit)?;
    let after = page.cursor.as_deref().map(params::decode_number).transpose()?;
    let hold = api.store.hold(id).await?.ok_or_else(|| not_there(id))?;
    let Page { items: events, more } = api.store.held(id, after.unwrap_or_default(), limit).await?;
    let next = events.last().filter(|_| more).map(|last| params::encode_number(last.event));
    Ok(Json(HoldEvents { undo: hold.undo(), hold, events, next }))
}

/// Let what is held through: every event does what it would have done when it came in.
///
/// With `dry_run` nothing is changed, and the answer says what would be. A release that was cut short is finished by
/// the next one.
#[utoipa::path(
    post, path = "/v1/holds/{id}/release", operation_id = "releaseHold", tag = "holds",
    params(("id" = i64, Path, minimum = 1, description = "The number of the hold"), Trial),
    responses(
        (status = 200, description = "It is released", body = SettledHold),
        NotThere,
        SettledAlready,
    )
)]
async fn release(State(api): State<Api>, order: Order) -> Result<Json<SettledHold>, Problem> {
    settle(&api, order, HoldVerdict::Release).await
}

/// Decide that what is held shall change nothing.
///
/// With `dry_run` nothing is changed, and the answer says how many events there are. What came through before the hold
/// opened is still on the list.
#[utoipa::path(
    post, path = "/v1/holds/{id}/discard", operation_id = "discardHold", tag = "holds",
    params(("id" = i64, Path, minimum = 1, description = "The number of the hold"), Trial),
    responses(
        (status = 200, description = "It is discarded", body = SettledHold),
        NotThere,
        SettledAlready,
    )
)]
async fn discard(State(api): State<Api>, order: Order) -> Result<Json<SettledHold>, Problem> {
    settle(&api, order, HoldVerdict::Discard).await
}

/// Which hold is to be settled, whether it is only tried, and who says so.
type Order = (Path<i64>, Query<Trial>, Actor);

async fn settle(
    api: &Api,
    (Path(id), Query(Trial { dry_run }), actor): Order,
    verdict: HoldVerdict,
) -> Result<Json<SettledHold>, Problem> {
    let hold = api.store.hold(id).await?.ok_or_else(|| not_there(id))?;
    let settled_already = |state: &str| {
        Problem::new(StatusCode::CONFLICT, format!("hold {id} is settled already: {state}"))
            .of_kind("settled-already", "It is settled already")
    };
    if hold.state != "open" {
        return Err(settled_already(&hold.state));
    }
    if verdict == HoldVerdict::Discard && dry_run {
        let events = hold.waiting.unsigned_abs();
        return Ok(Json(SettledHold { hold: id, state: "would be discarded", events, suppressed: None }));
    }
    let _turn = api.heavy().await?;
    let settled = settle_whole_hold(&*api.store, id, verdict, &actor.name(), dry_run).await?;
    if !settled.closed {
        return Err(settled_already("another request settled it first"));
    }
    let state = match verdict {
        HoldVerdict::Release if dry_run => "would be released",
        HoldVerdict::Release => "released",
        HoldVerdict::Discard => "discarded",
    };
    Ok(Json(SettledHold { hold: id, state, events: settled.events, suppressed: Some(settled.suppressed) }))
}
