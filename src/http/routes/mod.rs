//! The handlers, one file an area. A new area is a file with a function `routes()`, and its name in [`all`].

mod service;
mod status_codes;
mod suppressions;

use utoipa_axum::router::OpenApiRouter;

use super::state::Api;

/// Every route with its description.
pub(super) fn all() -> OpenApiRouter<Api> {
    let areas = [service::routes, status_codes::routes, suppressions::routes];
    areas.into_iter().map(|routes| routes()).fold(OpenApiRouter::new(), OpenApiRouter::merge)
}
