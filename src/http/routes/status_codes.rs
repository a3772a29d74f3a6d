//! `/v1/status-codes`: what a code means and what to do about it.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::classify::guide::{Answer, Language, Query as Question};
use crate::http::extract::{Json, Path, Query};
use crate::http::problem::Problem;
use crate::http::state::Api;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// In which language.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// The language of the explanation.
    #[serde(default)]
    #[param(inline, required = false)]
    lang: Language,
}

/// What an enhanced status code or a reply code means and what to do about it.
///
/// The same as `dsnd status CODE --json`. A code that is not registered is explained by the nearest one that is.
#[utoipa::path(
    get, path = "/v1/status-codes/{code}", operation_id = "explainStatusCode", tag = "status codes",
    params(
        ("code" = String, Path, pattern = "^([245]\\.[0-9]{1,3}\\.[0-9]{1,3}|[2345][0-9]{2})$", example = "5.4.1",
            description = "An enhanced status code (5.4.1) or a reply code (550)"),
        Asked
    ),
    responses(
        (status = 200, description = "The explanation", body = Answer<'static>),
        (status = 404, description = "No code, or a reply code that has no explanation",
            body = Problem, content_type = "application/problem+json"),
    )
)]
async fn explain(
    State(api): State<Api>,
    Path(code): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<axum::response::Response, Problem> {
    let question = match Question::read(&code) {
        Ok(Question::Line { .. }) | Err(_) => {
            return Err(Problem::not_found(format!(
                "{code:?} is no code; write an enhanced status code (5.4.1) or a reply code (550)"
            )));
        }
        Ok(question) => question,
    };
    let current = api.current();
    let answer = Answer::of(&current.classifier, question, &code, asked.lang);
    let answer = answer.map_err(|error| Problem::not_found(error.to_string()))?;
    Ok(axum::response::IntoResponse::into_response(Json(answer)))
}
