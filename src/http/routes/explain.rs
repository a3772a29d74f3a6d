//! `POST /v1/explain`: a message in, a classification out; nothing is recorded.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::address::{ForwardPath, Mailbox};
use crate::http::extract::{Message, Query};
use crate::http::params::{Address, Octets};
use crate::http::problem::Problem;
use crate::http::state::Api;
use crate::ingest::{Explained, explain};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(explain_message))
}

/// What is known besides the message.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Known {
    /// The address the message came to: says how far it would be believed.
    #[param(value_type = Option<Address>, example = "bounces@example.com")]
    return_path: Option<String>,
}

/// What a message means, without recording anything.
///
/// The same as `dsnd explain --json`.
#[utoipa::path(
    post, path = "/v1/explain", operation_id = "explainMessage", tag = "bounces", params(Known),
    request_body(content = inline(Octets), content_type = "application/octet-stream",
        description = "The message, as it was received; the type may also be message/rfc822"),
    responses((status = 200, description = "What it means", body = Explained<'static>))
)]
async fn explain_message(
    State(api): State<Api>,
    Query(known): Query<Known>,
    Message { octets, turn }: Message,
) -> Result<Response, Problem> {
    let current = api.current();
    let arrival = match &known.return_path {
        None => None,
        Some(address) => {
            let mailbox = Mailbox::parse(address).map_err(|error| {
                Problem::bad_request(format!("{address:?} is no address: {error}")).at("return_path")
            })?;
            let judged =
                current.settings.return_paths.judge(&ForwardPath::Mailbox(mailbox), Timestamp::now());
            Some(judged.map_err(|refusal| {
                let detail = format!("a message to {address} would be refused: {refusal}");
                Problem::unprocessable(detail)
                    .of_kind("refused", "The return path would be refused")
                    .at("return_path")
            })?)
        }
    };
    let explained = spawn_blocking(move || {
        let ours = &current.settings.return_paths;
        let arrival = arrival.as_ref().map(|path| (ours, path));
        serde_json::to_vec(&explain(&current.classifier, "-", &octets, arrival))
    });
    let explained = explained.await;
    drop(turn);
    match explained {
        Ok(Ok(explained)) => Ok(([(CONTENT_TYPE, "application/json")], explained).into_response()),
        _ => Err(Problem::internal()),
    }
}
