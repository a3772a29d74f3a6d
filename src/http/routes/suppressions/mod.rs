//! `/v1/suppressions`: the list.

mod check;
mod entry;
mod history;
mod list;

use utoipa_axum::router::OpenApiRouter;

use crate::http::state::Api;

/// The routes of this folder.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(list::routes())
        .merge(check::routes())
        .merge(entry::routes())
        .merge(history::routes())
}
