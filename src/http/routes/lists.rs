//! `/v1/suppressions/import` and `/v1/suppressions/export`: whole lists, of any size, as they come and go.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::auth::Actor;
use crate::http::extract::{Json, Query};
use crate::http::filter::filtered;
use crate::http::params::{self, Octets};
use crate::http::problem::{NoSuchStream, Problem};
use crate::http::state::Api;
use crate::policy::Reason;
use crate::store::sqlite::SqliteStore;
use crate::store::{Lists, Snapshot, StoreError, Streams, SuppressionFilter};
use crate::transfer::{
    BATCH, Format, Importer, ListError, ListReader, ListSettings, ListWriter, Part, Summary, WrittenFormat,
};

/// Entries of an export that are read at once.
const PAGE: u32 = 500;

/// Media types that lists have.
const TYPES: [&str; 4] = ["text/csv", "application/x-ndjson", "application/json", "application/octet-stream"];

/// Most days that an entry is given.
const MAX_DAYS: u32 = 36_500;

/// Longest note, and longest name of a list, in octets.
const MAX_TEXT: usize = 1_000;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(import)).routes(routes!(export))
}

/// How a list is taken.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Taken {
    /// What the list is, where its columns or keys do not tell.
    #[param(inline)]
    format: Option<Format>,
    /// Say what would come of it, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Put every entry in this stream, by name or number, whatever the list says.
    stream: Option<String>,
    /// Give every entry this reason, whatever the list says.
    #[param(inline)]
    reason: Option<Reason>,
    /// Let every entry but complaints end after so many days, whatever the list says.
    #[param(minimum = 1, maximum = 36500)]
    days: Option<u32>,
    /// Note every entry with this that has no note of its own.
    #[param(max_length = 1000)]
    note: Option<String>,
    /// What to call the list in the history.
    #[param(max_length = 1000)]
    name: Option<String>,
}

/// Bring in a list of any size: dsnd's own, a plain one, or what Amazon SES, SendGrid, Mailgun or Postmark export.
///
/// What the list is, its columns or keys tell. Nothing that stands is shortened or made weaker, and a list that is sent
/// again changes nothing. Lines that are not good are counted and the first hundred told; the others are taken. What was
/// read before a list broke off, or could not be read any further, is taken too.
#[utoipa::path(
    post, path = "/v1/suppressions/import", operation_id = "importSuppressions", tag = "suppressions",
    params(Taken),
    request_body(content = inline(Octets), content_type = "application/octet-stream",
        description = "The list, in UTF-8; the type may also be text/csv (one address a line is CSV, too), \
                       application/x-ndjson or application/json"),
    responses(
        (status = 200, description = "What came of it", body = Summary),
        NoSuchStream,
    )
)]
async fn import(
    State(api): State<Api>,
    Actor(actor): Actor,
    Query(taken): Query<Taken>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if !is_list(&headers) {
        let detail = format!("a list has one of these types in Content-Type: {}", TYPES.join(", "));
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let stream = params::stream(&api.current().settings.streams, taken.stream.as_deref())?;
    let settings = settings(&api, &taken, stream).map_err(wrong)?;
    let turn = api.heavy().await?;
    let name = taken.name.unwrap_or_else(|| "the API".to_owned());
    let store = Some(Arc::clone(&api.store));
    let importer = Importer::new(store, actor, settings.now, name, taken.dry_run);
    // In a task of its own: the request ends with the connection, and what has come by then is to be taken.
    let task = tokio::spawn(async move {
        let _turn = turn;
        take(importer, ListReader::new(settings), body).await
    });
    let summary = task.await.map_err(|_| Problem::internal())??;
    Ok(Json(summary).into_response())
}

/// Takes a list in, to its end or as far as it goes.
async fn take(
    mut importer: Importer<Arc<SqliteStore>>,
    mut reader: ListReader,
    mut body: Body,
) -> Result<Summary, Problem> {
    let mut part = Part::default();
    loop {
        let piece = next_piece(&mut body).await;
        let result = match &piece {
            Ok(Some(bytes)) => reader.feed(bytes, &mut part),
            Ok(None) => reader.finish(&mut part),
            Err(_) => Ok(()),
        };
        let ends = result.is_err() || !matches!(piece, Ok(Some(_)));
        if ends || part.entries.len() >= BATCH || !part.bad.is_empty() {
            importer.put(std::mem::take(&mut part), reader.format()).await?;
        }
        importer.summary.more_pages |= reader.more_pages();
        if ends {
            importer.finish().await?;
        }
        result.map_err(|error| unreadable(&error, importer.summary.records))?;
        piece?;
        if ends {
            return Ok(importer.summary);
        }
    }
}

/// The next octets of a body; none at its end.
async fn next_piece(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        match frame {
            None => return Ok(None),
            // Trailers are no part of a list.
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
            Some(Err(error)) if error.to_string().contains("timeout") => return Err(Problem::timeout()),
            Some(Err(_)) => return Err(Problem::bad_request("the list broke off before its end")),
        }
    }
}

fn unreadable(error: &ListError, done: u64) -> Problem {
    // It was written for the command line.
    let error = error.to_string().replace("--format", "the parameter format");
    let said = match done {
        0 => error,
        1 => format!("{error}; the record before that is done"),
        done => format!("{error}; the {done} records before that are done"),
    };
    Problem::unprocessable(said).of_kind("unreadable-list", "The list cannot be read")
}

/// Whether a body has one of the types of lists.
fn is_list(headers: &HeaderMap) -> bool {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    TYPES.contains(&essence.as_str())
}

/// A parameter that is wrong, and what is wrong with it.
type Wrong = (&'static str, String);

fn wrong((place, detail): Wrong) -> Problem {
    Problem::bad_request(detail).at(place)
}

fn settings(api: &Api, taken: &Taken, stream: Option<i64>) -> Result<ListSettings, Wrong> {
    let current = api.current();
    let now = params::now();
    let until = match taken.days {
        None => None,
        Some(days) if (1..=MAX_DAYS).contains(&days) => {
            now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok()
        }
        Some(days) => return Err(("days", format!("{days} days are not a term: it has 1 to {MAX_DAYS}"))),
    };
    for (place, text) in [("note", &taken.note), ("name", &taken.name)] {
        if text.as_ref().is_some_and(|text| text.chars().count() > MAX_TEXT) {
            return Err((place, format!("{place} is longer than {MAX_TEXT} characters")));
        }
    }
    let streams = current.settings.streams.clone();
    Ok(ListSettings {
        format: taken.format,
        now,
        policy: current.settings.policy.clone(),
        classifier: Arc::clone(&current.classifier),
        stream,
        streams: Arc::new(move |named| streams.number(named).map(i64::from)),
        reason: taken.reason,
        until,
        note: taken.note.clone(),
        hashed: api.store.has_hash_key(),
    })
}

/// How a list is written.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum FormatWord {
    /// A row an entry, under a header.
    #[default]
    Csv,
    /// A JSON object an entry, a line each.
    Ndjson,
}

filtered! {
    /// Which entries, and how.
    struct Wanted {
        /// How the list is written.
        #[serde(default)]
        #[param(inline, required = false)]
        format: FormatWord,
        /// Only entries for this reason.
        #[param(inline)]
        reason: Option<Reason>,
        /// Also entries whose time is over.
        #[serde(default)]
        all: bool,
    }
}

/// Write a list of the entries that stand, in the order of their addresses.
///
/// An entry that stands all the time is in it once; one that comes or goes meanwhile may be. `POST
/// /v1/suppressions/import` makes the same entries of it again. An answer that breaks off before its end is not
/// the whole list: the connection is then closed without the last chunk.
#[utoipa::path(
    get, path = "/v1/suppressions/export", operation_id = "exportSuppressions", tag = "suppressions",
    params(Wanted),
    responses(
        (status = 200, description = "The list", content((String = "text/csv"), (String = "application/x-ndjson"))),
        NoSuchStream,
    )
)]
async fn export(State(api): State<Api>, Query(wanted): Query<Wanted>) -> Result<Response, Problem> {
    let current = api.current();
    let streams = current.settings.streams.clone();
    let filter = SuppressionFilter {
        common: wanted.common(&streams)?,
        active_at: (!wanted.all).then(Timestamp::now),
        reason: wanted.reason,
        ..SuppressionFilter::default()
    };
    let format = match wanted.format {
        FormatWord::Csv => WrittenFormat::Csv,
        FormatWord::Ndjson => WrittenFormat::Ndjson,
    };
    let turn = api.heavy().await?;
    let snapshot = api.store.export(filter).await?;
    let (send, pages) = mpsc::channel(1);
    let limit = current.settings.write_timeout;
    let shutdown = api.shutdown.clone();
    let whole = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&whole);
    // It ends with the client: nobody takes the next page then. A client that takes none holds nothing for long.
    tokio::spawn(async move {
        let _turn = turn;
        let written = write(snapshot, format, &streams, |page| {
            let send = send.clone();
            async move { matches!(timeout(limit, send.send(Ok(page))).await, Ok(Ok(()))) }
        });
        let result = tokio::select! {
            result = written => result,
            () = shutdown.cancelled() => Err(StoreError::Unavailable("dsnd is ending".to_owned())),
        };
        match result {
            Ok(()) => ends.store(true, Ordering::Release),
            Err(error) => tracing::warn!(%error, "an export broke off"),
        }
    });
    let (name, media) = match format {
        WrittenFormat::Ndjson => ("suppressions.ndjson", format.media_type()),
        _ => ("suppressions.csv", format.media_type()),
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [(CONTENT_TYPE, media.to_owned()), (CONTENT_DISPOSITION, disposition)];
    Ok((headers, Body::new(Pages { pages, whole })).into_response())
}

/// Hands on page after page until the end, or until one is not taken: then what the client gets must not look whole.
async fn write<F: Future<Output = bool> + Send>(
    mut snapshot: impl Snapshot,
    format: WrittenFormat,
    streams: &Streams,
    hand_on: impl Fn(Vec<u8>) -> F,
) -> Result<(), StoreError> {
    let mut writer = ListWriter::new(format);
    loop {
        let page = snapshot.next(PAGE).await?;
        for entry in &page {
            writer.write(entry, streams.name(entry.stream));
        }
        let bytes = writer.take();
        if !bytes.is_empty() && !hand_on(bytes).await {
            return Err(StoreError::Unavailable("the client takes no more of it".to_owned()));
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}

/// A body of pages that are written while it is sent.
struct Pages {
    pages: mpsc::Receiver<Result<Vec<u8>, StoreError>>,
    /// The last page was handed on. Without that the end is none.
    whole: Arc<AtomicBool>,
}

impl HttpBody for Pages {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        self.pages.poll_recv(context).map(|page| match page {
            Some(page) => Some(page.map(|page| Frame::data(page.into()))),
            None if self.whole.load(Ordering::Acquire) => None,
            None => Some(Err(StoreError::Unavailable("the list broke off".to_owned()))),
        })
    }
}
