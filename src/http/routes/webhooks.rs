//! `/v1/webhooks`: how they stand, whether they answer, and what they get again.

use std::time::{Duration, Instant};

use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::events::{Answer, Endpoint, HttpReceiver, Replay, Way};
use crate::http::extract::{Json, Path, Query};
use crate::http::params::{self, When};
use crate::http::problem::{NoSuchWebhook, Problem};
use crate::http::state::Api;
use crate::store::{self, Deliveries, Outbox, WebhookStanding};

/// How long a test event is waited for, whatever the webhook's own limit.
const TEST_TIME: Duration = Duration::from_secs(20);

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_webhooks))
        .routes(routes!(show_webhook))
        .routes(routes!(test_webhook))
        .routes(routes!(replay_webhook))
        .routes(routes!(list_dead_letters))
}

/// Whether a webhook is used.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Use {
    Enabled,
    Disabled,
    NotConfigured,
}

/// How far a webhook is.
#[derive(Debug, Serialize, ToSchema)]
struct Standing {
    /// Every event up to this one is delivered, or waits by itself, or was given up.
    through: i64,
    /// Events after that, whether or not they are wanted.
    behind: i64,
    /// Events that wait by themselves: they are tried again, or wait behind such a one.
    waiting: i64,
    /// Events that were given up.
    dead: i64,
    /// Nothing was taken since then; null where the last answer was good.
    failing_since: Option<Timestamp>,
    /// What was wrong then.
    error: Option<String>,
    /// The last time that an event was taken.
    delivered_at: Option<Timestamp>,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
struct Webhook {
    name: String,
    state: Use,
    /// The host of its URL; null where it is not configured.
    host: Option<String>,
    /// How far it is; null where it was never used.
    delivery: Option<Standing>,
    /// How far it is with unproven reports; null where it does not ask for them.
    unproven: Option<Standing>,
}

/// All webhooks.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookList {
    webhooks: Vec<Webhook>,
}

impl From<&WebhookStanding> for Standing {
    fn from(standing: &WebhookStanding) -> Self {
        let WebhookStanding { state, behind, waiting, dead } = standing;
        Self {
            through: state.through,
            behind: *behind,
            waiting: *waiting,
            dead: *dead,
            failing_since: state.failing_since,
            error: state.error.clone(),
            delivered_at: state.delivered_at,
        }
    }
}

fn standing(known: &[WebhookStanding], name: &str) -> Option<Standing> {
    known.iter().find(|standing| standing.state.name == name).map(Standing::from)
}

fn shown(endpoint: &Endpoint, known: &[WebhookStanding]) -> Webhook {
    let unproven = endpoint.unproven.then(|| standing(known, &endpoint.named(Way::Unproven)));
    Webhook {
        name: endpoint.name.clone(),
        state: if endpoint.enabled { Use::Enabled } else { Use::Disabled },
        host: endpoint.url.host_str().map(str::to_owned),
        delivery: standing(known, &endpoint.name),
        unproven: unproven.flatten(),
    }
}

/// The webhook of this name in the configuration.
fn configured(api: &Api, name: &str) -> Result<Endpoint, Problem> {
    let current = api.current();
    let found = current.settings.webhooks.iter().find(|endpoint| endpoint.name == name);
    found.cloned().ok_or_else(|| {
        Problem::not_found(format!("no webhook {name:?} is configured"))
            .of_kind("unknown-webhook", "There is no such webhook")
    })
}

/// How every webhook stands.
#[utoipa::path(
    get, path = "/v1/webhooks", operation_id = "listWebhooks", tag = "webhooks",
    responses((status = 200, description = "All that are configured, and those that the database still knows",
        body = WebhookList))
)]
async fn list_webhooks(State(api): State<Api>) -> Result<Json<WebhookList>, Problem> {
    let known = api.store.webhooks().await?;
    let current = api.current();
    let endpoints = &current.settings.webhooks;
    let mut webhooks: Vec<Webhook> = endpoints.iter().map(|endpoint| shown(endpoint, &known)).collect();
    let others = known.iter().filter(|standing| {
        let name = &standing.state.name;
        !endpoints.iter().any(|endpoint| endpoint.name == *name || endpoint.named(Way::Unproven) == *name)
    });
    webhooks.extend(others.map(|standing| Webhook {
        name: standing.state.name.clone(),
        state: Use::NotConfigured,
        host: None,
        delivery: Some(standing.into()),
        unproven: None,
    }));
    Ok(Json(WebhookList { webhooks }))
}

/// How one webhook stands.
#[utoipa::path(
    get, path = "/v1/webhooks/{name}", operation_id = "getWebhook", tag = "webhooks",
    params(("name" = String, Path, description = "Its name in the configuration")),
    responses(
        (status = 200, description = "How it stands", body = Webhook),
        NoSuchWebhook,
    )
)]
async fn show_webhook(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Webhook>, Problem> {
    let endpoint = configured(&api, &name)?;
    Ok(Json(shown(&endpoint, &api.store.webhooks().await?)))
}

/// What a webhook says to a test event.
#[derive(Debug, Serialize, ToSchema)]
struct Tested {
    /// Whether it answered with 2xx.
    taken: bool,
    /// What it said, or what went wrong; null where it was taken.
    error: Option<String>,
    /// How long it took.
    #[schema(minimum = 0)]
    milliseconds: u64,
}

/// Brings a test event to a webhook now, and says what it answers. Its type is `webhook.test`; it tells of nothing.
#[utoipa::path(
    post, path = "/v1/webhooks/{name}/test", operation_id = "testWebhook", tag = "webhooks",
    params(("name" = String, Path, description = "Its name in the configuration")),
    responses(
        (status = 200, description = "What it answered", body = Tested),
        NoSuchWebhook,
    )
)]
async fn test_webhook(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Tested>, Problem> {
    let mut endpoint = configured(&api, &name)?;
    let _turn = api.heavy().await?;
    endpoint.timeout = endpoint.timeout.min(TEST_TIME);
    let receiver = HttpReceiver::new(endpoint).map_err(|_| Problem::internal())?;
    let started = Instant::now();
    // A body that does not end takes longer than the answer.
    let error = match timeout(TEST_TIME + Duration::from_secs(2), receiver.test()).await {
        Ok(Answer::Taken) => None,
        Ok(Answer::Refused { error, .. }) => Some(error),
        Err(_) => Some("no answer".to_owned()),
    };
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Json(Tested { taken: error.is_none(), error, milliseconds }))
}

/// Which events a webhook is to get again: exactly one of `dead`, `since` and `event`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayRequest {
    /// Those that were given up.
    #[serde(default)]
    dead: bool,
    /// Those written at this time or later that it wants.
    #[serde(default)]
    #[schema(example = "2h")]
    since: Option<When>,
    /// This one, whether or not it wants its like.
    #[serde(default)]
    #[schema(minimum = 1)]
    event: Option<i64>,
    /// Only count them.
    #[serde(default)]
    dry_run: bool,
}

impl ReplayRequest {
    fn what(&self) -> Result<Replay, Problem> {
        match (self.dead, self.since, self.event) {
            (true, None, None) => Ok(Replay::Dead),
            (false, Some(since), None) => Ok(Replay::Since(since.0)),
            (false, None, Some(event)) => Ok(Replay::Event(event)),
            _ => Err(Problem::unprocessable("exactly one of dead, since and event says which events")),
        }
    }
}

/// What a webhook gets again.
#[derive(Debug, Serialize, ToSchema)]
struct Replayed {
    /// So many events.
    #[schema(minimum = 0)]
    events: u64,
    /// They were only counted.
    dry_run: bool,
}

/// Lets a webhook have events again. They keep their `webhook-id`, so that a receiver that has them can drop doubles.
#[utoipa::path(
    post, path = "/v1/webhooks/{name}/replay", operation_id = "replayWebhook", tag = "webhooks",
    params(("name" = String, Path, description = "Its name in the configuration")),
    request_body = ReplayRequest,
    responses(
        (status = 200, description = "How many events are brought again, or would be", body = Replayed),
        (status = 404, description = "None of that name is configured, or there is no such event", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "Not exactly one of dead, since and event", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn replay_webhook(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(asked): Json<ReplayRequest>,
) -> Result<Json<Replayed>, Problem> {
    let endpoint = configured(&api, &name)?;
    let what = asked.what()?;
    let _turn = api.heavy().await?;
    if let Replay::Event(event) = what
        && api.store.outbox_event(event).await?.is_none()
    {
        return Err(Problem::not_found(format!("there is no event {event}")));
    }
    let events = what.count(&*api.store, &endpoint).await?;
    if !asked.dry_run {
        what.run(&*api.store, &endpoint).await?;
    }
    Ok(Json(Replayed { events, dry_run: asked.dry_run }))
}

/// An event that was given up.
#[derive(Debug, Serialize, ToSchema)]
struct DeadLetter {
    /// The event's number.
    event: i64,
    /// What it tells of.
    #[serde(rename = "type")]
    kind: &'static str,
    /// When it was written.
    timestamp: Timestamp,
    /// The address it is about.
    address: Option<String>,
    /// How often it was tried.
    attempts: i64,
    /// When it was tried for the first time; null where it never was.
    failed_at: Option<Timestamp>,
    /// When it was given up.
    dead_at: Option<Timestamp>,
    /// The last answer.
    error: Option<String>,
}

/// A page of them.
#[derive(Debug, Serialize, ToSchema)]
struct DeadLetterPage {
    /// The events, the oldest first; unproven reports come after all others.
    dead_letters: Vec<DeadLetter>,
    /// The cursor of the next page; null where there is none.
    next: Option<String>,
}

/// Which of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Page {
    /// `next` of the page before.
    #[param(pattern = "^[0-9a-f]{16}([0-9a-f]{2})*$")]
    cursor: Option<String>,
    /// How many; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The events that were given up for one webhook.
#[utoipa::path(
    get, path = "/v1/webhooks/{name}/dead-letters", operation_id = "listDeadLetters", tag = "webhooks",
    params(("name" = String, Path, description = "Its name in the configuration"), Page),
    responses(
        (status = 200, description = "A page of events", body = DeadLetterPage),
        NoSuchWebhook,
    )
)]
async fn list_dead_letters(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(asked): Query<Page>,
) -> Result<Json<DeadLetterPage>, Problem> {
    let limit = params::limit(asked.limit)?;
    let after = asked.cursor.as_deref().map(params::decode_cursor).transpose()?;
    configured(&api, &name)?;
    // One more than is shown says whether there are more.
    let mut letters = api.store.dead(Some(&name), after, limit + 1).await?;
    let more = letters.len() > limit as usize;
    letters.truncate(limit as usize);
    let next = letters.last().filter(|_| more).map(|last| params::encode_cursor(&last.webhook, last.event));
    let shown = |letter: store::DeadLetter| DeadLetter {
        event: letter.event,
        kind: letter.kind.as_str(),
        timestamp: letter.timestamp,
        address: letter.address,
        attempts: letter.attempts,
        failed_at: letter.failed_at,
        dead_at: letter.dead_at,
        error: letter.error,
    };
    Ok(Json(DeadLetterPage { dead_letters: letters.into_iter().map(shown).collect(), next }))
}
