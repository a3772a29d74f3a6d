//! `/v1/bounces`: what came in.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::address::comparison_form;
use crate::http::extract::{Json, Path, Query};
use crate::http::filter::filtered;
use crate::http::params::{self, Octets};
use crate::http::problem::{NoSuchStream, NotThere, Problem};
use crate::http::state::Api;
use crate::store::{Bounce, BounceFilter, Page, Store};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(raw))
}

/// What a message is.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Dsn,
    Feedback,
    TextBounce,
    AutoReply,
    Mdn,
    Unrecognized,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Dsn => "dsn",
            Self::Feedback => "feedback",
            Self::TextBounce => "text_bounce",
            Self::AutoReply => "auto_reply",
            Self::Mdn => "mdn",
            Self::Unrecognized => "unrecognized",
        }
    }
}

filtered! {
    /// Which messages; all that are given must hold, for one and the same recipient.
    struct Asked {
        /// Only bounces about this address.
        recipient: Option<String>,
        /// Only messages of this kind.
        #[param(inline)]
        kind: Option<Kind>,
        /// `next` of the page before.
        #[param(pattern = "^[0-9a-f]{16}$")]
        cursor: Option<String>,
        /// How many; 100 where it is not said.
        #[param(minimum = 1, maximum = 1000)]
        limit: Option<u32>,
    }
}

/// A page of messages.
#[derive(Debug, Serialize, ToSchema)]
struct BouncePage {
    /// The messages, the newest first.
    bounces: Vec<Bounce>,
    /// The cursor of the next page; null where there is none.
    next: Option<String>,
}

/// What came in, the newest first.
///
/// A page has as many messages as were asked for, or fewer where these are large: `next` alone says whether there are
/// more. Each has its first 100 recipients.
#[utoipa::path(
    get, path = "/v1/bounces", operation_id = "listBounces", tag = "bounces", params(Asked),
    responses(
        (status = 200, description = "A page of messages", body = BouncePage),
        NoSuchStream,
    )
)]
async fn list(State(api): State<Api>, Query(asked): Query<Asked>) -> Result<Json<BouncePage>, Problem> {
    let current = api.current();
    let streams = &current.settings.streams;
    let limit = params::limit(asked.limit)?;
    let filter = BounceFilter {
        recipient_key: asked.recipient.as_deref().map(comparison_form),
        common: asked.common(streams)?,
        kind: asked.kind.map(|kind| kind.as_str().to_owned()),
        before: asked.cursor.as_deref().map(params::decode_number).transpose()?,
        limit,
    };
    let Page { items: mut bounces, more } = api.store.bounces(&filter).await?;
    bounces.iter_mut().for_each(|bounce| streams.name_bounce(bounce));
    let next = bounces.last().filter(|_| more).map(|last| params::encode_number(last.id));
    Ok(Json(BouncePage { bounces, next }))
}

fn not_there(id: i64) -> Problem {
    Problem::not_found(format!("there is no message {id}"))
}

/// Which recipients of a message.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct After {
    /// `next_recipient` of the answer before.
    after: Option<i64>,
}

/// One message: what it said, what was concluded, and what that changed.
///
/// A report about very many recipients is shown in parts: `next_recipient` says where the next one begins.
#[utoipa::path(
    get, path = "/v1/bounces/{id}", operation_id = "getBounce", tag = "bounces",
    params(("id" = i64, Path, minimum = 1, description = "The number of the message"), After),
    responses(
        (status = 200, description = "The message", body = Bounce),
        NotThere,
    )
)]
async fn show(
    State(api): State<Api>,
    Path(id): Path<i64>,
    Query(asked): Query<After>,
) -> Result<Json<Bounce>, Problem> {
    let bounce = api.store.bounce_after(id, asked.after.unwrap_or(0)).await?;
    let mut bounce = bounce.ok_or_else(|| not_there(id))?;
    api.current().settings.streams.name_bounce(&mut bounce);
    Ok(Json(bounce))
}

/// One message as it was received, while it is kept.
#[utoipa::path(
    get, path = "/v1/bounces/{id}/raw", operation_id = "getRawBounce", tag = "bounces",
    params(("id" = i64, Path, minimum = 1, description = "The number of the message")),
    responses(
        (status = 200, description = "The message", body = inline(Octets), content_type = "application/octet-stream",
            headers(("Content-Disposition" = String, description = "A name for a file"))),
        (status = 404, description = "There is none, or it is no longer kept (store.raw_days)",
            body = Problem, content_type = "application/problem+json"),
    )
)]
async fn raw(State(api): State<Api>, Path(id): Path<i64>) -> Result<impl IntoResponse, Problem> {
    let _turn = api.heavy().await?;
    let Some(raw) = api.store.raw(id).await? else {
        return Err(match api.store.bounce(id).await? {
            None => not_there(id),
            Some(_) => Problem::not_found(format!("the raw message {id} is no longer kept (store.raw_days)")),
        });
    };
    let named = format!("attachment; filename=\"bounce-{id}.eml\"");
    Ok(([(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, named)], raw))
}
