//! The answer to a question about a code, a reply code or a whole line, as `dsnd status --json` gives it.

use serde::Serialize;
use utoipa::ToSchema;

use super::query::LINE;
use super::{Guide, Language, Query, QueryError, Said, Verdict, of_code, of_reply};
use crate::classify::registry::Registry;
use crate::classify::{Basis, Classification, Classifier};
use crate::status::{EnhancedStatusCode, ReplyCode};

/// What is said in answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatusCode)]
pub struct Answer<'r> {
    /// What was asked.
    pub query: &'r str,
    /// `enhanced_code`, `reply_code` or `reply_line`.
    pub kind: &'static str,
    /// The explanation of the code.
    #[serde(flatten)]
    pub guide: Option<Guide<'r>>,
    /// What the classifier makes of a whole line, or of a bare reply code.
    pub conclusion: Option<Conclusion>,
}

/// What the classifier makes of a text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatusCodeConclusion)]
pub struct Conclusion {
    /// What follows.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The rule that decided.
    pub rule: String,
    /// The code suppresses, and no rule knows the text beside it: it counts until a second one on another day.
    pub unconfirmed: bool,
    /// The text that decided.
    pub evidence: String,
    /// The code that decided.
    pub effective_status: Option<String>,
    /// The reply code.
    pub reply_code: Option<u16>,
}

impl From<Classification> for Conclusion {
    fn from(result: Classification) -> Self {
        Self {
            verdict: Verdict {
                bounce_type: result.bounce_type,
                category: result.category,
                class: result.class,
                decision: result.decision,
            },
            unconfirmed: Basis::of(&result.rule) == Basis::Unconfirmed,
            rule: result.rule,
            evidence: result.evidence,
            effective_status: result.effective_status.map(|code| code.to_string()),
            reply_code: result.reply_code.map(ReplyCode::get),
        }
    }
}

impl<'r> Answer<'r> {
    /// What the registry says about a code by itself.
    #[must_use]
    pub fn of_code(
        registry: &'r Registry,
        code: EnhancedStatusCode,
        asked: &'r str,
        language: Language,
    ) -> Self {
        let guide = Some(of_code(registry, code, None, language));
        Self { query: asked, kind: Query::Code(code).kind(), guide, conclusion: None }
    }

    /// What there is to say about anything that was asked.
    ///
    /// # Errors
    /// [`QueryError::Unexplained`] for a bare reply code that has no explanation.
    pub fn of(
        classifier: &'r Classifier,
        query: Query,
        asked: &'r str,
        language: Language,
    ) -> Result<Self, QueryError> {
        let registry = classifier.registry();
        if let Query::Code(code) = query {
            return Ok(Self::of_code(registry, code, asked, language));
        }
        let concluded = query.conclude(classifier, asked);
        let mut guide = match query.code() {
            Some(code) => {
                let said = concluded.as_ref().map(|result| Said { class: result.class, text: asked });
                Some(of_code(registry, code, said, language))
            }
            None => query.explained_reply(registry)?.map(|entry| of_reply(registry, entry, language)),
        };
        let conclusion = concluded.map(Conclusion::from);
        if let (Query::Reply(_), Some(guide), Some(conclusion)) = (query, &mut guide, &conclusion) {
            guide.verdict = Some(conclusion.verdict);
        }
        Ok(Self { query: asked, kind: query.kind(), guide, conclusion })
    }

    /// Whether a whole line was asked about.
    #[must_use]
    pub fn is_line(&self) -> bool {
        self.kind == LINE
    }
}
