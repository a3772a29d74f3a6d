//! What is asked: a code, a reply code, or a line with codes in it.

use crate::classify::evidence::{Evidence, EvidenceField, Source};
use crate::classify::registry::{Registry, Reply};
use crate::classify::{Classification, Classifier};
use crate::status::{EnhancedStatusCode, ReplyCode, StatusClass};

/// The word for a line in JSON.
pub(super) const LINE: &str = "reply_line";

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// `5.4.2`.
    Code(EnhancedStatusCode),
    /// `550`.
    Reply(ReplyCode),
    /// `421 4.4.2 Bad connection`: at least one of the two is there.
    Line {
        /// The enhanced code.
        code: Option<EnhancedStatusCode>,
        /// The reply code.
        reply: Option<ReplyCode>,
    },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No code was given.
    #[error(
        "{0:?} holds no status code; give an enhanced code (5.4.2), a reply code (550) or a whole reply line \
         (\"421 4.4.2 Bad connection\")"
    )]
    NoCode(String),
    /// A reply code that nobody has explained.
    #[error("{reply} is not among the reply codes that dsnd explains: {known}")]
    Unexplained {
        /// Which.
        reply: ReplyCode,
        /// Those that are explained.
        known: String,
    },
}

impl Query {
    /// Reads what was asked.
    ///
    /// # Errors
    /// [`QueryError::NoCode`] where there is no code in it.
    pub fn read(text: &str) -> Result<Self, QueryError> {
        let text = text.trim();
        if let Ok(code) = text.parse() {
            return Ok(Self::Code(code));
        }
        let whole_number = text.parse().ok().filter(|_| text.len() == 3).and_then(ReplyCode::new);
        if let Some(reply) = whole_number {
            return Ok(Self::Reply(reply));
        }
        let source = Source::new(EvidenceField::DiagnosticCode, text);
        let code = source.status.or_else(|| EnhancedStatusCode::find(text).map(|(code, _)| code));
        let reply = source.reply_code.or_else(|| ReplyCode::prefix(text));
        if code.is_none() && reply.is_none() {
            return Err(QueryError::NoCode(text.to_owned()));
        }
        Ok(Self::Line { code, reply })
    }

    /// The word for it in JSON.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Code(_) => "enhanced_code",
            Self::Reply(_) => "reply_code",
            Self::Line { .. } => LINE,
        }
    }

    /// The enhanced code asked about.
    pub(super) const fn code(self) -> Option<EnhancedStatusCode> {
        match self {
            Self::Code(code) => Some(code),
            Self::Reply(_) => None,
            Self::Line { code, .. } => code,
        }
    }

    const fn reply(self) -> Option<ReplyCode> {
        match self {
            Self::Code(_) => None,
            Self::Reply(reply) => Some(reply),
            Self::Line { reply, .. } => reply,
        }
    }

    /// The entry of the reply code; an error only where it is all that was asked about.
    pub(super) fn explained_reply(self, registry: &Registry) -> Result<Option<&Reply>, QueryError> {
        let Some(reply) = self.reply() else { return Ok(None) };
        let entry = registry.reply(reply);
        if entry.is_none() && matches!(self, Self::Reply(_)) {
            let known: Vec<String> =
                registry.reply_entries().iter().map(|entry| entry.code.to_string()).collect();
            return Err(QueryError::Unexplained { reply, known: known.join(", ") });
        }
        Ok(entry)
    }

    /// What the classifier makes of it, as if a remote host had said nothing else. Nothing for a reply of
    /// success or one that only asks for more.
    pub(super) fn conclude(self, classifier: &Classifier, text: &str) -> Option<Classification> {
        let failure = |class: Option<StatusClass>| {
            matches!(class, Some(StatusClass::Permanent | StatusClass::PersistentTransient))
        };
        let class = self.code().map(|code| code.class).or_else(|| self.reply().and_then(ReplyCode::class));
        let evidence = Evidence {
            sources: vec![Source::new(EvidenceField::DiagnosticCode, text.trim())],
            ..Evidence::default()
        };
        failure(class).then(|| classifier.decide(&evidence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_replies_and_lines_are_told_apart() {
        let code = |text: &str| text.parse::<EnhancedStatusCode>().ok();
        for (text, query) in [
            ("5.4.2", Query::Code(code("5.4.2").unwrap())),
            (" 550 ", Query::Reply(ReplyCode::new(550).unwrap())),
            ("421 4.4.2 Bad connection", Query::Line { code: code("4.4.2"), reply: ReplyCode::new(421) }),
            ("550-5.1.1 no\n550 5.1.1 user", Query::Line { code: code("5.1.1"), reply: ReplyCode::new(550) }),
            ("550 gone", Query::Line { code: None, reply: ReplyCode::new(550) }),
            ("smtp; 5.7.1 refused", Query::Line { code: code("5.7.1"), reply: None }),
            ("250 2.1.5 fine", Query::Line { code: code("2.1.5"), reply: ReplyCode::new(250) }),
        ] {
            assert_eq!(Query::read(text).unwrap(), query, "{text}");
        }
        for text in ["", "hello", "5.1", "6.1.1", "999", "192.0.2.1"] {
            assert!(Query::read(text).is_err(), "{text}");
        }
    }
}
