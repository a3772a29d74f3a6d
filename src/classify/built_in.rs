//! What decides where no rule of a file does, by the names that decisions have for it.

use crate::status::{EnhancedStatusCode, ReplyCode};

/// What decides without a rule of a file. A decision names it by its [`prefix`](Self::prefix) and what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    /// An enhanced status code, by its registered meaning: `iana.5.1.1`.
    Status,
    /// A reply code, as there is no better one: `reply.550`.
    Reply,
    /// A code that says that the address is dead, beside a text that no rule knows: `unconfirmed.5.1.1`.
    Unconfirmed,
    /// The report's Action field: `action.relayed`.
    Action,
    /// A feedback report, by its type: `feedback.abuse`.
    Feedback,
    /// A message that a machine wrote and that is no bounce: `automatic.reply`.
    Automatic,
    /// A code of the recipient's beside a text that speaks of the sender.
    AboutTheSender,
    /// Nothing that dsnd knows.
    Nothing,
}

impl BuiltIn {
    const ALL: [Self; 8] = [
        Self::Status,
        Self::Reply,
        Self::Unconfirmed,
        Self::Action,
        Self::Feedback,
        Self::Automatic,
        Self::AboutTheSender,
        Self::Nothing,
    ];

    /// What its names begin with: up to a dot, or the whole name.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Status => "iana.",
            Self::Reply => "reply.",
            Self::Unconfirmed => "unconfirmed.",
            Self::Action => "action.",
            Self::Feedback => "feedback.",
            Self::Automatic => "automatic.",
            Self::AboutTheSender => "text.about-the-sender",
            Self::Nothing => "none",
        }
    }

    /// What decides under this name; `None` where a rule of a file does.
    #[must_use]
    pub fn of(rule: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| match own.prefix() {
            prefix if prefix.ends_with('.') => rule.starts_with(prefix),
            name => rule == name,
        })
    }

    /// The name of a decision.
    pub(super) fn named(self, found: impl std::fmt::Display) -> String {
        format!("{}{found}", self.prefix())
    }

    /// Whether no text was understood: only a code decided, or nothing did.
    #[must_use]
    pub fn is_without_text(self) -> bool {
        matches!(self, Self::Status | Self::Reply | Self::Unconfirmed | Self::Nothing)
    }
}

/// What a name stands for, in a sentence; `None` where no decision has that name.
#[must_use]
pub fn meaning(rule: &str) -> Option<String> {
    let own = BuiltIn::of(rule)?;
    let found = &rule[own.prefix().len()..];
    let code = || found.parse::<EnhancedStatusCode>().is_ok();
    let reply = || found.parse().ok().and_then(ReplyCode::new).is_some();
    let said = match (own, found) {
        (BuiltIn::Status, _) if code() => {
            format!("the code {found} decides, by its registered meaning: see `dsnd explain {found}`")
        }
        (BuiltIn::Reply, _) if reply() => {
            format!("the reply code {found} decides, as there is no better one: see `dsnd explain {found}`")
        }
        (BuiltIn::Unconfirmed, _) if code() || reply() => format!(
            "the code {found} says that the address is dead, beside a text that no rule knows: it is counted, and \
             suppresses when another day confirms it (policy.unconfirmed_days)"
        ),
        (BuiltIn::Action, "delivered" | "delayed" | "relayed" | "expanded") => {
            format!("the report itself says \"{found}\", in its Action field or by its code")
        }
        (
            BuiltIn::Feedback,
            "abuse" | "fraud" | "opt-out" | "virus" | "auth-failure" | "not-spam" | "other",
        ) => format!("a feedback report of the type {found}"),
        (BuiltIn::Automatic, "reply") => "an automatic reply, and no bounce".to_owned(),
        (BuiltIn::Automatic, "challenge") => "a request to confirm the message, and no bounce".to_owned(),
        (BuiltIn::Automatic, "disposition") => "a disposition notification, and no bounce".to_owned(),
        (BuiltIn::AboutTheSender, _) => {
            "the code speaks of the address and the text of the sender, so nobody is suppressed".to_owned()
        }
        (BuiltIn::Nothing, _) => "neither a code nor a text that a rule knows".to_owned(),
        _ => return None,
    };
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::{BuiltIn, meaning};

    #[test]
    fn every_name_that_is_not_a_rule_s_has_a_meaning() {
        for (rule, own, said) in [
            ("iana.5.1.1", BuiltIn::Status, "the code 5.1.1 decides"),
            ("reply.550", BuiltIn::Reply, "the reply code 550 decides"),
            ("unconfirmed.5.1.1", BuiltIn::Unconfirmed, "another day confirms it"),
            ("unconfirmed.550", BuiltIn::Unconfirmed, "another day confirms it"),
            ("action.relayed", BuiltIn::Action, "\"relayed\""),
            ("feedback.abuse", BuiltIn::Feedback, "the type abuse"),
            ("automatic.reply", BuiltIn::Automatic, "an automatic reply"),
            ("text.about-the-sender", BuiltIn::AboutTheSender, "the text of the sender"),
            ("none", BuiltIn::Nothing, "neither a code"),
        ] {
            assert_eq!(BuiltIn::of(rule), Some(own), "{rule}");
            assert!(meaning(rule).is_some_and(|meaning| meaning.contains(said)), "{rule}");
        }
        for rule in ["iana.x", "iana", "reply.99", "action.other", "text.blocklist", "none.x", ""] {
            assert_eq!(meaning(rule), None, "{rule}");
        }
    }
}
