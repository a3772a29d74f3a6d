//! The handlers, one file an area. A new area is a file with a function `routes()`, and its name in [`all`].

mod events;
mod lists;
mod service;
mod status_codes;

use utoipa_axum::router::OpenApiRouter;

use super::state::Api;

/// Every route with its description.
pub(super) fn all() -> OpenApiRouter<Api> {
    let areas = [events::routes, lists::routes, service::routes, status_codes::routes];
    areas.into_iter().map(|routes| routes()).fold(OpenApiRouter::new(), OpenApiRouter::merge)
}
