//! The handlers, one file an area. A new area is a file with a function `routes()`, and its name in [`all`].

mod bounces;
mod events;
mod explain;
mod lists;
mod return_paths;
mod service;
mod stats;
mod status_codes;
mod suppressions;
mod webhooks;

use utoipa_axum::router::OpenApiRouter;

use super::state::Api;

/// Every route with its description.
pub(super) fn all() -> OpenApiRouter<Api> {
    let areas = [
        suppressions::routes,
        lists::routes,
        bounces::routes,
        explain::routes,
        events::routes,
        webhooks::routes,
        return_paths::routes,
        status_codes::routes,
        stats::routes,
        service::routes,
    ];
    areas.into_iter().map(|routes| routes()).fold(OpenApiRouter::new(), OpenApiRouter::merge)
}
