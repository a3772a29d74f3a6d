//! `/v1/quarantine`: unsigned bounces, which wait for a person.

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::address::comparison_form;
use crate::http::auth::Actor;
use crate::http::extract::{Json, Path, Query};
use crate::http::filter::filtered;
use crate::http::params::{self, Trial};
use crate::http::problem::{NoSuchStream, Problem};
use crate::http::state::Api;
use crate::returnpath::network;
use crate::store::{
    Filter, Outcome, Page, QuarantineFilter, Quarantined, Settling, SettlingQueue, Store, TooManyEvents,
    Verdict,
};

/// Events of an answer about those that were settled.
const TOLD: usize = 1_000;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(approve))
        .routes(routes!(discard))
}

filtered! {
    /// Which events; all that are given must hold.
    struct Asked {
        /// Only those of this message.
        bounce: Option<i64>,
        /// Only those about this address.
        recipient: Option<String>,
        /// Only what clients in this network brought, or this one.
        #[param(example = "192.0.2.0/24")]
        peer: Option<String>,
        /// `next` of the page before.
        #[param(pattern = "^[0-9a-f]{16}$")]
        cursor: Option<String>,
        /// How many; 100 where it is not said.
        #[param(minimum = 1, maximum = 1000)]
        limit: Option<u32>,
    }
}

filtered! {
    /// Events by what they have in common; all that are given must hold.
    #[schema(as = QuarantineChoice)]
    struct Choice {
        /// Only those of this message.
        bounce: Option<i64>,
        /// Only those about this address.
        recipient: Option<String>,
        /// Only what clients in this network brought, or this one.
        #[schema(example = "192.0.2.0/24")]
        peer: Option<String>,
    }
}

/// Which events to settle: their numbers, a filter, or all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QuarantineSelection)]
struct Selection {
    /// Their numbers.
    #[schema(max_items = 4000, example = json!([17]))]
    events: Option<Vec<i64>>,
    /// What they have in common.
    filter: Option<Choice>,
    /// Everything that waits.
    #[serde(default)]
    #[schema(required = false)]
    all: bool,
}

/// A page of events that wait.
#[derive(Debug, Serialize, ToSchema)]
struct QuarantinePage {
    /// The events, the oldest first.
    events: Vec<Quarantined>,
    /// The cursor of the next page; null where there is none.
    next: Option<String>,
}

/// What became of events that were to be settled.
#[derive(Debug, Default, Serialize, ToSchema)]
struct QuarantineSettled {
    /// Nothing was changed: this is what would be.
    dry_run: bool,
    /// How many were settled.
    settled: u64,
    /// How many were not: they did not wait, or name no valid address.
    left_alone: u64,
    /// What those that were settled did to the list: `suppressed`, `counted`, `seen`, `none`, `discarded` …
    changes: BTreeMap<&'static str, u64>,
    /// What became of each, the first thousand.
    events: Vec<SettledEvent>,
    /// There are more than these.
    more: bool,
}

/// What became of one event.
#[derive(Debug, Serialize, ToSchema)]
struct SettledEvent {
    /// Its number.
    event: i64,
    /// The number of its message; null where the event did not wait.
    bounce: Option<i64>,
    /// The address it is about; null where the event did not wait.
    recipient: Option<String>,
    /// What it did to the list, or would; null where it was not settled.
    change: Option<&'static str>,
    /// Why it was not settled, or did nothing.
    problem: Option<String>,
}

/// The filter of the store.
fn in_store(
    bounce: Option<i64>,
    recipient: Option<&str>,
    peer: Option<&str>,
    common: Filter,
) -> Result<QuarantineFilter, Problem> {
    let peer = peer.map(network).transpose();
    Ok(QuarantineFilter {
        bounce,
        recipient_key: recipient.map(comparison_form),
        common,
        peer: peer.map_err(|error| Problem::bad_request(error.to_string()).at("peer"))?,
        ..QuarantineFilter::default()
    })
}

/// Unsigned bounces that wait for a person, the oldest first.
#[utoipa::path(
    get, path = "/v1/quarantine", operation_id = "listQuarantine", tag = "quarantine", params(Asked),
    responses(
        (status = 200, description = "A page of events", body = QuarantinePage),
        NoSuchStream,
    )
)]
async fn list(State(api): State<Api>, Query(asked): Query<Asked>) -> Result<Json<QuarantinePage>, Problem> {
    let current = api.current();
    let streams = &current.settings.streams;
    let limit = params::limit(asked.limit)?;
    let common = asked.common(streams)?;
    let mut filter = in_store(asked.bounce, asked.recipient.as_deref(), asked.peer.as_deref(), common)?;
    filter.after = asked.cursor.as_deref().map(params::decode_number).transpose()?;
    filter.limit = limit;
    let Page { items: mut events, more } = api.store.quarantined(&filter).await?;
    events.iter_mut().for_each(|event| streams.name_waiting(event));
    let next = events.last().filter(|_| more).map(|last| params::encode_number(last.event));
    Ok(Json(QuarantinePage { events, next }))
}

/// One event that waits.
#[utoipa::path(
    get, path = "/v1/quarantine/{event}", operation_id = "getQuarantined", tag = "quarantine",
    params(("event" = i64, Path, minimum = 1, description = "The number of the event")),
    responses(
        (status = 200, description = "The event", body = Quarantined),
        (status = 404, description = "It does not wait", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn show(State(api): State<Api>, Path(event): Path<i64>) -> Result<Json<Quarantined>, Problem> {
    let found = waiting(&api, event).await?;
    let mut found = found.ok_or_else(|| Problem::not_found(format!("no event {event} waits")))?;
    api.current().settings.streams.name_waiting(&mut found);
    Ok(Json(found))
}

/// An event, where it waits.
async fn waiting(api: &Api, event: i64) -> Result<Option<Quarantined>, Problem> {
    let filter = QuarantineFilter { after: event.checked_sub(1), limit: 1, ..QuarantineFilter::default() };
    let found = api.store.quarantined(&filter).await?.items.into_iter().next();
    Ok(found.filter(|found| found.event == event))
}

/// Approves unproven bounces. Terms count from the day of arrival; existing entries are never shortened.
///
/// `filter` and `all` leave out what has the trust `token_only`, unless the filter asks for it: it came to the return
/// path of another address. With `dry_run` nothing is changed, and the answer says what would be.
#[utoipa::path(
    post, path = "/v1/quarantine/approve", operation_id = "approveQuarantined", tag = "quarantine",
    params(Trial), request_body = Selection,
    responses(
        (status = 200, description = "What became of them", body = QuarantineSettled),
        NoSuchStream,
    )
)]
async fn approve(
    State(api): State<Api>,
    order: Order,
    Json(selection): Json<Selection>,
) -> Result<Json<QuarantineSettled>, Problem> {
    settle(&api, order, &selection, Verdict::Approve).await
}

/// Discards unproven bounces; they stay in the history.
///
/// With `dry_run` nothing is changed, and the answer says what would be.
#[utoipa::path(
    post, path = "/v1/quarantine/discard", operation_id = "discardQuarantined", tag = "quarantine",
    params(Trial), request_body = Selection,
    responses(
        (status = 200, description = "What became of them", body = QuarantineSettled),
        NoSuchStream,
    )
)]
async fn discard(
    State(api): State<Api>,
    order: Order,
    Json(selection): Json<Selection>,
) -> Result<Json<QuarantineSettled>, Problem> {
    settle(&api, order, &selection, Verdict::Discard).await
}

/// Whether it is only tried, and who says so.
type Order = (Query<Trial>, Actor);

/// The events that are meant.
fn chosen(api: &Api, selection: &Selection, verdict: Verdict) -> Result<SettlingQueue, Problem> {
    let approvable = verdict == Verdict::Approve;
    let one_of_three =
        "name events by their numbers, by a filter that says something, or all of them: one of the three";
    match selection {
        Selection { events: Some(events), filter: None, all: false } => {
            SettlingQueue::named(events).map_err(|TooManyEvents { given, most }| {
                Problem::unprocessable(format!("{given} events are too many: name {most} at most"))
                    .at("#/events")
            })
        }
        Selection { events: None, filter: Some(choice), all: false } => {
            let common = choice.common(&api.current().settings.streams)?;
            let filter =
                in_store(choice.bounce, choice.recipient.as_deref(), choice.peer.as_deref(), common)?;
            if filter.is_empty() {
                return Err(Problem::unprocessable(one_of_three).at("#/filter"));
            }
            Ok(SettlingQueue::matching(QuarantineFilter { approvable, ..filter }))
        }
        Selection { events: None, filter: None, all: true } => {
            Ok(SettlingQueue::matching(QuarantineFilter { approvable, ..QuarantineFilter::default() }))
        }
        _ => Err(Problem::unprocessable(one_of_three)),
    }
}

async fn settle(
    api: &Api,
    (Query(Trial { dry_run }), actor): Order,
    selection: &Selection,
    verdict: Verdict,
) -> Result<Json<QuarantineSettled>, Problem> {
    let mut queue = chosen(api, selection, verdict)?;
    let _turn = api.heavy().await?;
    let mut told = QuarantineSettled { dry_run, ..QuarantineSettled::default() };
    loop {
        let mut batch = queue.next(&*api.store).await?;
        if batch.is_empty() {
            return Ok(Json(told));
        }
        let room = TOLD.saturating_sub(told.events.len());
        for chosen in batch.iter_mut().take(room).filter(|chosen| chosen.bounce.is_none()) {
            if let Some(found) = waiting(api, chosen.event).await? {
                (chosen.bounce, chosen.recipient) = (Some(found.bounce), Some(found.recipient));
            }
        }
        let events = batch.iter().map(|chosen| chosen.event).collect();
        let settling = Settling { events, verdict, by: actor.name(), at: Timestamp::now(), dry_run };
        let outcomes = api.store.settle(settling).await?;
        for (chosen, outcome) in batch.into_iter().zip(outcomes) {
            tell(
                &mut told,
                SettledEvent {
                    event: chosen.event,
                    bounce: chosen.bounce,
                    recipient: chosen.recipient,
                    change: outcome.change(),
                    problem: outcome.problem(),
                },
                &outcome,
            );
        }
    }
}

fn tell(told: &mut QuarantineSettled, event: SettledEvent, outcome: &Outcome) {
    match outcome.change() {
        Some(change) => {
            told.settled += 1;
            *told.changes.entry(change).or_default() += 1;
        }
        None => told.left_alone += 1,
    }
    if told.events.len() < TOLD {
        told.events.push(event);
    } else {
        told.more = true;
    }
}
