//! `/v1/stats`: how many bounces there were.

use axum::extract::State;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::address::domain_key;
use crate::classify::Class;
use crate::http::extract::{Json, Query};
use crate::http::params::{self, When};
use crate::http::problem::{NoSuchStream, Problem};
use crate::http::state::Api;
use crate::store::{Dimension, Statistics, StatisticsFilter, StatisticsRow};

/// Days that are counted where nobody says from when on.
const USUAL_DAYS: i64 = 30;

/// Rows of an answer when nobody says how many, and at most.
const LARGEST: u32 = 1_000;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(stats))
}

/// Which bounces, and by what they are told apart.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// What has a row of its own, several separated by commas; `day` where it is not said.
    #[param(
        pattern = "^(day|week|class|domain|stream)(,(day|week|class|domain|stream))*$",
        example = "day,class"
    )]
    by: Option<String>,
    /// From this UTC day on: a date, a time, or how long ago (7d); the last 30 where it is not said.
    #[param(inline)]
    since: Option<When>,
    /// Up to the beginning of this UTC day.
    #[param(inline)]
    until: Option<When>,
    /// Only bounces of this class.
    #[param(inline)]
    class: Option<Class>,
    /// Only bounces of recipients at this domain.
    domain: Option<String>,
    /// Only bounces of this stream, by name or number; 0: those of none.
    stream: Option<String>,
    /// At most this many rows; 1,000 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Counts of bounces.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatisticsPage)]
struct Counted {
    /// By day or week, the oldest first; within one, and without them, those with the most bounces first.
    rows: Vec<StatisticsRow>,
    /// There are more rows than these.
    more: bool,
}

/// How many bounces there were and what they changed, by day, class, domain and stream.
///
/// The same as `dsnd stats --json`. A domain is named where a report about it is proven or trusted; everything else is
/// counted under an empty one.
#[utoipa::path(
    get, path = "/v1/stats", operation_id = "getStatistics", tag = "bounces", params(Asked),
    responses(
        (status = 200, description = "The counts", body = Counted),
        NoSuchStream,
    )
)]
async fn stats(State(api): State<Api>, Query(asked): Query<Asked>) -> Result<Json<Counted>, Problem> {
    let current = api.current();
    let streams = &current.settings.streams;
    let limit = asked.limit.unwrap_or(LARGEST);
    if !(1..=LARGEST).contains(&limit) {
        let detail = format!("{limit} is not a limit: it must be 1 to {LARGEST}");
        return Err(Problem::bad_request(detail).at("limit"));
    }
    let stream = params::stream(streams, asked.stream.as_deref())?;
    let usual = Timestamp::now() - SignedDuration::from_hours(24 * (USUAL_DAYS - 1));
    let filter = StatisticsFilter {
        by: dimensions(asked.by.as_deref().unwrap_or("day")).map_err(|word| {
            Problem::bad_request(format!("{word:?} is none of day, week, class, domain, stream")).at("by")
        })?,
        since: Some(day(asked.since.unwrap_or(When(usual)))),
        until: asked.until.map(day),
        class: asked.class,
        domain: asked.domain.as_deref().map(domain_key),
        stream,
        // One more than is shown says whether there are more.
        limit: limit + 1,
    };
    let _turn = api.heavy().await?;
    let mut rows = api.store.statistics(&filter).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    for row in &mut rows {
        row.stream_name = row.stream.and_then(|stream| streams.name(stream)).map(str::to_owned);
    }
    Ok(Json(Counted { rows, more }))
}

/// The UTC day that a time lies in.
fn day(When(at): When) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// What the words stand for, or the first that stands for nothing.
fn dimensions(text: &str) -> Result<Vec<Dimension>, String> {
    let named = |word: &str| Dimension::ALL.into_iter().find(|dimension| dimension.as_str() == word);
    text.split(',').map(|word| named(word).ok_or_else(|| word.to_owned())).collect()
}
