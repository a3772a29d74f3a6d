//! What decides where no rule of a file does, by the names that decisions have for it.

use crate::status::{EnhancedStatusCode, ReplyCode};

/// What stands behind a name, in a sentence; `None` where no decision has that name.
pub(super) fn told(id: &str) -> Option<String> {
    let (kind, rest) = id.split_once('.').unwrap_or((id, ""));
    let code = || rest.parse::<EnhancedStatusCode>().is_ok();
    let reply = || rest.parse().ok().and_then(ReplyCode::new).is_some();
    let said = match (kind, rest) {
        ("iana", _) if code() => {
            format!("the code {rest} decides, by its registered meaning: see `dsnd explain {rest}`")
        }
        ("reply", _) if reply() => {
            format!("the reply code {rest} decides, as there is no better one: see `dsnd explain {rest}`")
        }
        ("unconfirmed", _) if code() || reply() => format!(
            "the code {rest} says that the address is dead, beside a text that no rule knows: it is counted, and \
             suppresses when another day confirms it (policy.unconfirmed_days)"
        ),
        ("action", "delivered" | "delayed" | "relayed" | "expanded") => {
            format!("the report itself says \"{rest}\", in its Action field or by its code")
        }
        ("feedback", "abuse" | "fraud" | "opt-out" | "virus" | "auth-failure" | "not-spam" | "other") => {
            format!("a feedback report of the type {rest}")
        }
        ("automatic", "reply") => "an automatic reply, and no bounce".to_owned(),
        ("automatic", "challenge") => "a request to confirm the message, and no bounce".to_owned(),
        ("automatic", "disposition") => "a disposition notification, and no bounce".to_owned(),
        ("text", "about-the-sender") => {
            "the code speaks of the address and the text of the sender, so nobody is suppressed".to_owned()
        }
        ("none", "") => "neither a code nor a text that a rule knows".to_owned(),
        _ => return None,
    };
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn what_decides_without_a_rule_file_is_told_by_its_name() {
        for (id, said) in [
            ("iana.5.1.1", "the code 5.1.1 decides"),
            ("reply.550", "the reply code 550 decides"),
            ("unconfirmed.5.1.1", "another day confirms it"),
            ("unconfirmed.550", "another day confirms it"),
            ("action.relayed", "\"relayed\""),
            ("feedback.abuse", "the type abuse"),
            ("automatic.reply", "an automatic reply"),
            ("text.about-the-sender", "the text of the sender"),
            ("none", "neither a code"),
        ] {
            assert!(told(id).is_some_and(|told| told.contains(said)), "{id}");
        }
        for id in ["iana.x", "iana", "reply.99", "action.other", "text.blocklist", "none.x", ""] {
            assert_eq!(told(id), None, "{id}");
        }
    }
}
