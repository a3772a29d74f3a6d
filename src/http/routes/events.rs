//! `/v1/events`: what happened, for those who ask again and again, or listen.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, timeout};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::events::named;
use crate::http::event_types::Event;
use crate::http::extract::{Json, Query};
use crate::http::filter::filtered;
use crate::http::problem::Problem;
use crate::http::state::Api;
use crate::store::{EventType, Filter, Outbox, OutboxEvent, OutboxFilter, Page};

/// The most events of one answer, and of one page of a stream.
const MOST: u32 = 1_000;

/// The longest time that an answer waits for an event, in seconds.
const LONGEST_WAIT: u32 = 60;

/// The most events that one question looks at, of which filters may leave few.
const LOOKED_AT: i64 = 100_000;

/// How often the store is asked for what other processes have written.
const POLL: Duration = Duration::from_secs(2);

/// How often a stream says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The header that says up to which event was looked.
const LAST_EVENT: &str = "dsnd-last-event-id";

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(events))
}

filtered! {
    /// Which events; all that are given must hold.
    struct Wanted {
        /// Only events after this one. Without it: from the oldest that is kept.
        #[param(minimum = 0)]
        after: Option<i64>,
        /// At most this many; a stream goes on.
        #[serde(default = "usual_limit")]
        #[param(minimum = 1, maximum = 1000, default = 100, required = false)]
        limit: u32,
        /// Only these types, separated by commas.
        #[serde(rename = "type")]
        #[param(
        pattern = "^(bounce\\.recorded|complaint\\.recorded|suppression\\.added|suppression\\.removed|hold\\.opened)(,(bounce\\.recorded|complaint\\.recorded|suppression\\.added|suppression\\.removed|hold\\.opened))*$",
        example = "suppression.added,suppression.removed"
    )]
    types: Option<String>,
        /// Where there is none: seconds to wait for one.
        #[serde(default)]
        #[param(minimum = 0, maximum = 60, default = 0, required = false)]
        wait: u32,
    }
}

const fn usual_limit() -> u32 {
    100
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
struct EventPage {
    /// The events, in the order in which they were committed.
    #[schema(value_type = Vec<Event>)]
    events: Vec<OutboxEvent>,
    /// What to give as `after` the next time; also where no event was of the wanted types.
    last_event_id: i64,
}

/// How events are written, by the request's Accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// One JSON object with all of a page.
    Page,
    /// A JSON object an event, a line each.
    Lines,
    /// Server-sent events, which go on.
    Stream,
}

/// What happened, in the order in which it was committed.
///
/// An answer has as many events as were asked for, or fewer where these are large, or where a filter leaves few of the
/// 100,000 that are looked at: `last_event_id` says where to go on. With `wait`, an answer without events comes only after
/// so long. With `Accept: application/x-ndjson` the answer is an
/// event a line, and the header `Dsnd-Last-Event-Id` has what `last_event_id` has. With `Accept: text/event-stream` the
/// answer goes on until the client leaves (server-sent events). `Last-Event-ID` stands before `after`: browsers send it
/// when they connect again.
#[utoipa::path(
    get, path = "/v1/events", operation_id = "listEvents", tag = "events",
    params(
        Wanted,
        ("Last-Event-ID" = Option<String>, Header, description = "The last event that a stream had brought",
            pattern = "^[0-9]{1,18}$"),
    ),
    responses(
        (status = 200, description = "Events",
            content((EventPage = "application/json"), (String = "application/x-ndjson"), (String = "text/event-stream")),
            headers(("Dsnd-Last-Event-Id" = i64, description = "The event up to which was looked"))),
        (status = 404, description = "There is no such stream", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There is no such event yet: the database was restored from an older copy",
            body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "Events after this one were dropped, because their time was over (events.keep_days)",
            body = Problem, content_type = "application/problem+json"),
    )
)]
async fn events(
    State(api): State<Api>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !(1..=MOST).contains(&wanted.limit) {
        return Err(Problem::bad_request(format!("{} is not a limit: it must be 1 to {MOST}", wanted.limit))
            .at("limit"));
    }
    if wanted.wait > LONGEST_WAIT {
        return Err(Problem::bad_request(format!(
            "{} seconds are too long: at most {LONGEST_WAIT} are possible",
            wanted.wait
        ))
        .at("wait"));
    }
    let types = types(wanted.types.as_deref()).map_err(|detail| Problem::bad_request(detail).at("type"))?;
    let written = accepted(&headers);
    let mut after = wanted.after;
    if let Some(last) = last_event(&headers) {
        let digits = (1..=18).contains(&last.len()) && last.bytes().all(|octet| octet.is_ascii_digit());
        let number = last.parse().ok().filter(|_| digits);
        let wrong = || Problem::bad_request("this is no event's number").at("Last-Event-ID");
        after = Some(number.ok_or_else(wrong)?);
    }
    let mut after = check(&api, after).await?;
    let common = wanted.common(&api.current().settings.streams)?;
    if common.since.is_some() {
        // Those before it are not looked at, whatever else is asked for.
        let common = Filter { since: common.since, ..Filter::default() };
        let first =
            api.store.outbox(&OutboxFilter { after, common, limit: 1, ..OutboxFilter::default() }).await?;
        after = first.items.first().map_or(after, |first| first.id - 1);
    }
    let mut reading = Reading { api: api.clone(), types, common, after, limit: wanted.limit };
    if written == Written::Stream {
        let place = listener(&api).ok_or_else(busy)?;
        return Ok(stream(&api, reading, place));
    }
    let mut events = reading.next().await?;
    if events.is_empty() && wanted.wait > 0 {
        let _place = listener(&api).ok_or_else(busy)?;
        events = reading.wait(Duration::from_secs(wanted.wait.into())).await?;
    }
    let headers = [(CACHE_CONTROL.as_str(), "no-store".to_owned()), (LAST_EVENT, reading.after.to_string())];
    if written == Written::Page {
        return Ok((headers, Json(EventPage { events, last_event_id: reading.after })).into_response());
    }
    let mut body = Vec::new();
    for event in &events {
        serde_json::to_writer(&mut body, event).map_err(|_| Problem::internal())?;
        body.push(b'\n');
    }
    Ok((headers, [(CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

fn types(named: Option<&str>) -> Result<Vec<EventType>, String> {
    let words = named.into_iter().flat_map(|named| named.split(','));
    let read = words.map(|word| {
        EventType::from_name(word).ok_or_else(|| {
            let all: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("{word:?} is no event; there are {}", all.join(", "))
        })
    });
    read.collect()
}

/// What the client asks for: the first type of its Accept that there is. Weights are not looked at.
fn accepted(headers: &HeaderMap) -> Written {
    let accepted = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let types =
        accepted.flat_map(|value| value.split(',')).map(|range| range.split(';').next().unwrap_or_default());
    let mut written = types.filter_map(|name| match name.trim() {
        "text/event-stream" => Some(Written::Stream),
        "application/x-ndjson" => Some(Written::Lines),
        "application/json" => Some(Written::Page),
        _ => None,
    });
    written.next().unwrap_or(Written::Page)
}

/// What a client says that it had last, if it does.
fn last_event(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").map(|value| value.to_str().unwrap_or_default())
}

/// Where to begin: every event after this one is there.
async fn check(api: &Api, after: Option<i64>) -> Result<i64, Problem> {
    let Some(after) = after else { return Ok(0) };
    if after < 0 {
        return Err(
            Problem::bad_request("events have numbers from 1 on; 0 is before all of them").at("after")
        );
    }
    let bounds = api.store.outbox_bounds().await?;
    if after > bounds.newest {
        let detail = format!(
            "the last event is {}: the database was restored from an older copy, or is another one; begin anew",
            bounds.newest
        );
        return Err(
            Problem::new(StatusCode::CONFLICT, detail).of_kind("no-such-event", "There is no such event")
        );
    }
    if after > 0 && after < bounds.pruned_through {
        let detail = format!(
            "events up to {} were dropped, since they are kept for events.keep_days; look at the list itself, and go \
             on from there",
            bounds.pruned_through
        );
        return Err(Problem::new(StatusCode::GONE, detail).of_kind("events-dropped", "Events were dropped"));
    }
    Ok(after)
}

/// A place among those who wait or listen.
fn listener(api: &Api) -> Option<OwnedSemaphorePermit> {
    Arc::clone(&api.listeners).try_acquire_owned().ok()
}

fn busy() -> Problem {
    Problem::unavailable("too many clients wait for events; ask without wait")
        .of_kind("busy", "Too many listeners")
}

/// Goes through the events that are wanted.
struct Reading {
    api: Api,
    types: Vec<EventType>,
    common: Filter,
    after: i64,
    limit: u32,
}

impl Reading {
    /// The next ones, if there are any among the next [`LOOKED_AT`]. Everything up to `after` was looked at then.
    async fn next(&mut self) -> Result<Vec<OutboxEvent>, Problem> {
        let newest = self.api.store.outbox_bounds().await?.newest;
        let through = newest.min(self.after.saturating_add(LOOKED_AT));
        let filter = OutboxFilter {
            after: self.after,
            through: Some(through),
            common: self.common.clone(),
            types: self.types.clone(),
            limit: self.limit,
            latest: false,
        };
        let Page { items: events, more } = self.api.store.outbox(&filter).await?;
        let last = events.last().map_or(self.after, |event| event.id);
        self.after = if more { last } else { last.max(through) };
        let current = self.api.current();
        Ok(events.into_iter().map(|event| named(event, &current.settings.streams)).collect())
    }

    /// The same, where there are none now: those that come within a time.
    async fn wait(&mut self, longest: Duration) -> Result<Vec<OutboxEvent>, Problem> {
        let until = Instant::now() + longest;
        let mut newest = self.api.store.newest();
        loop {
            let begin = self.after;
            let events = self.next().await?;
            if events.is_empty() && self.after - begin == LOOKED_AT && Instant::now() < until {
                continue; // there may be more to look at
            }
            let left = until.saturating_duration_since(Instant::now());
            if !events.is_empty() || left.is_zero() || self.api.shutdown.is_cancelled() {
                return Ok(events);
            }
            tokio::select! {
                Ok(()) = newest.changed() => {}
                () = sleep(left.min(POLL)) => {}
                () = self.api.shutdown.cancelled() => {}
            }
        }
    }
}

/// An answer that goes on.
fn stream(api: &Api, mut reading: Reading, place: OwnedSemaphorePermit) -> Response {
    let (send, frames) = mpsc::channel(1);
    let limit = api.current().settings.write_timeout;
    tokio::spawn(async move {
        let _place = place;
        let mut heard = Instant::now();
        // That the connection stands is to be seen at once.
        let mut text = ": events follow\nretry: 2000\n\n".to_owned();
        loop {
            if !text.is_empty() {
                // Who does not read is not waited for.
                if !matches!(
                    timeout(limit, send.send(Bytes::from(std::mem::take(&mut text)))).await,
                    Ok(Ok(()))
                ) {
                    return;
                }
                heard = Instant::now();
            }
            let wait =
                HEARTBEAT.saturating_sub(heard.elapsed()).min(reading.api.current().settings.write_timeout);
            let events = tokio::select! {
                events = reading.wait(wait) => events,
                () = send.closed() => return,
            };
            let Ok(events) = events else { return }; // the client comes again
            if reading.api.shutdown.is_cancelled() {
                return;
            }
            for event in &events {
                let Ok(data) = serde_json::to_string(event) else { return };
                text.push_str(&format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.kind.as_str()));
            }
            if events.is_empty() && heard.elapsed() >= HEARTBEAT {
                // An id without data is remembered, and is no event: it says how far was looked.
                text = format!(": still here\nid: {}\n\n", reading.after);
            }
        }
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, Body::new(Frames(frames))).into_response()
}

/// A body of what is sent while it goes on.
struct Frames(mpsc::Receiver<Bytes>);

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}
