//! `POST /v1/return-paths`: the signed return paths of messages that are about to be sent.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::address::{Mailbox, domain_key};
use crate::http::extract::Json;
use crate::http::params::{self, Address};
use crate::http::problem::{Fault, NoSuchStream, Problem};
use crate::http::state::Api;
use crate::returnpath::{MintError, Minted, ReturnPaths, mint};

/// Recipients in one request.
const MOST: usize = 1_000;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(mint_all))
}

/// Whom messages go to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MintRequest {
    /// The addresses: a return path for each.
    #[schema(value_type = Vec<Address>, min_items = 1, max_items = 1000, example = json!(["user@example.net"]))]
    recipients: Vec<String>,
    /// The sending stream, by name or number; none where it is not said.
    #[schema(example = "newsletter")]
    stream: Option<String>,
    /// With the recipient readable in it, where it fits into 64 octets.
    #[serde(default)]
    #[schema(required = false)]
    readable: bool,
    /// The domain behind the @, one of ours; the first of return_path.domains where it is not said.
    domain: Option<String>,
}

/// Return paths, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
struct MintResponse {
    /// One a recipient.
    return_paths: Vec<Minted>,
}

/// Make the return path of a message to each recipient, with the newest key.
#[utoipa::path(
    post, path = "/v1/return-paths", operation_id = "mintReturnPaths", tag = "return paths", request_body = MintRequest,
    responses(
        (status = 200, description = "The return paths", body = MintResponse),
        NoSuchStream,
        (status = 409, description = "There is no key (return_path.keys_file)", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn mint_all(
    State(api): State<Api>,
    Json(asked): Json<MintRequest>,
) -> Result<Json<MintResponse>, Problem> {
    let current = api.current();
    let ours = &current.settings.return_paths;
    if ours.keys().newest().is_none() {
        return Err(cannot(&MintError::NoKey));
    }
    let stream = params::stream(&current.settings.streams, asked.stream.as_deref())?;
    let how = (u32::try_from(stream.unwrap_or_default()).unwrap_or_default(), asked.readable);
    let mut faults = Vec::new();
    let domain = asked.domain.as_deref().and_then(|domain| known(ours, domain, &mut faults));
    let recipients = mailboxes(&asked.recipients, &mut faults);
    if let Some(problem) = Problem::of_faults(StatusCode::UNPROCESSABLE_ENTITY, faults) {
        return Err(problem);
    }
    let now = Timestamp::now();
    let minted = recipients.iter().map(|recipient| mint(ours, domain.as_deref(), recipient, how, now));
    let return_paths = minted.collect::<Result<_, _>>().map_err(|error| cannot(&error))?;
    Ok(Json(MintResponse { return_paths }))
}

/// The domain, if bounces to it come here.
fn known(ours: &ReturnPaths, domain: &str, faults: &mut Vec<Fault>) -> Option<String> {
    let key = domain_key(domain);
    if ours.domains().contains(&key) {
        return Some(key);
    }
    let detail = format!("{domain:?} is not among return_path.domains: {}", ours.domains().join(", "));
    faults.push(Fault { place: "#/domain".to_owned(), detail });
    None
}

/// Every recipient that is an address.
fn mailboxes(addresses: &[String], faults: &mut Vec<Fault>) -> Vec<Mailbox> {
    if !(1..=MOST).contains(&addresses.len()) {
        let detail = format!("this has {} recipients, and 1 to {MOST} are possible at once", addresses.len());
        faults.push(Fault { place: "#/recipients".to_owned(), detail });
        return Vec::new();
    }
    let mut read = |(at, address): (usize, &String)| match Mailbox::parse(address) {
        Ok(mailbox) => Some(mailbox),
        Err(error) => {
            let detail = format!("{address:?} is not an address: {error}");
            faults.push(Fault { place: format!("#/recipients/{at}"), detail });
            None
        }
    };
    addresses.iter().enumerate().filter_map(&mut read).collect()
}

fn cannot(error: &MintError) -> Problem {
    Problem::new(StatusCode::CONFLICT, error.to_string()).of_kind("cannot-mint", "No return path can be made")
}
