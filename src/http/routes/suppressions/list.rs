//! `GET /v1/suppressions`: entries by what they have in common, page by page.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::extract::{Json, Query};
use crate::http::filter::filtered;
use crate::http::params;
use crate::http::problem::{NoSuchStream, Problem};
use crate::http::state::Api;
use crate::policy::Reason;
use crate::store::{Page, Store, Suppression, SuppressionFilter};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

filtered! {
    /// Which entries; all that are given must hold.
    struct Asked {
        /// Only entries for this reason.
        #[param(inline)]
        reason: Option<Reason>,
        /// Only entries that suppress now (true, the default), or also those whose time is over (false).
        active: Option<bool>,
        /// `next` of the page before.
        #[param(pattern = "^[0-9a-f]{16}([0-9a-f]{2})*$")]
        cursor: Option<String>,
        /// How many; 100 where it is not said.
        #[param(minimum = 1, maximum = 1000)]
        limit: Option<u32>,
    }
}

/// A page of the list.
#[derive(Debug, Serialize, ToSchema)]
struct SuppressionPage {
    /// The entries, by address, then by stream.
    suppressions: Vec<Suppression>,
    /// The cursor of the next page; null where there is none.
    next: Option<String>,
}

/// Entries of the list, by address.
#[utoipa::path(
    get, path = "/v1/suppressions", operation_id = "listSuppressions", tag = "suppressions", params(Asked),
    responses(
        (status = 200, description = "A page of the list", body = SuppressionPage),
        NoSuchStream,
    )
)]
async fn list(State(api): State<Api>, Query(asked): Query<Asked>) -> Result<Json<SuppressionPage>, Problem> {
    let current = api.current();
    let streams = &current.settings.streams;
    let limit = params::limit(asked.limit)?;
    let filter = SuppressionFilter {
        common: asked.common(streams)?,
        active_at: asked.active.unwrap_or(true).then(params::now),
        reason: asked.reason,
        after: asked.cursor.as_deref().map(params::decode_cursor).transpose()?,
        limit,
        ..SuppressionFilter::default()
    };
    let Page { items: mut suppressions, more } = api.store.suppressions(&filter).await?;
    suppressions.iter_mut().for_each(|entry| streams.name_entry(entry));
    let last = suppressions.last().filter(|_| more);
    let next = last.map(|entry| params::encode_cursor(&entry.address_key, entry.stream));
    Ok(Json(SuppressionPage { suppressions, next }))
}
