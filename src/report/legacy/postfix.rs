//! Postfix without its machine part: the opening, then a paragraph a recipient that begins with `<address>`,
//! perhaps `(expanded from <alias>)`, a colon, and what happened, with further lines indented.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{address_in, pattern};
use super::{Family, Reading};

pub(super) struct Postfix;

/// Its opening line, or the sentence that templates keep.
static OPENING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"this is the (?:postfix program|mail system|[a-z0-9 .-]{1,40} (?:program|mail system|mail server)) at (?:host )?(?P<host>[a-z0-9._-]+)|i'm sorry to have to inform you that|(?m)^<(?:"(?:[^"\\\n]|\\.)+"|[^<>\s]+)@[^<>\s]+>: (?:host |connect to |delivery temporarily |unknown user|name service |host or domain name|lost connection |mail for |command )|the mail system\s*\n\s*\n?\s*<"#,
    )
});

/// Its two ways of saying that tries go on.
static WARNING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"this is a warning only|it will be retried until|warning only\.\s+you do not need")
});

/// What the SMTP server writes to the postmaster about a session of its own.
static SESSION: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^transcript of session follows\.\s*$"));

impl Family for Postfix {
    fn name(&self) -> &'static str {
        "postfix"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if SESSION.is_match(&letter.lower) && letter.lower.contains("\n out: ") {
            return session(letter);
        }
        let opening = OPENING.captures(&letter.lower)?;
        let mut entries = Entries::default();
        let mut open = false;
        for (_, line) in letter.lines() {
            let trimmed = line.trim();
            if let Some(entry) = line.strip_prefix('<') {
                let Some((address, rest)) = entry.split_once('>') else { continue };
                open = rest.starts_with(':') || rest.trim_start().starts_with("(expanded from");
                if let Some(address) = address_in(address).filter(|_| open) {
                    entries.begin(&address, rest.trim_start_matches(':'));
                }
            } else if trimmed.is_empty() || !line.starts_with([' ', '\t']) {
                open = false;
            } else if open {
                entries.add(trimmed);
            }
        }
        let mut recipients = entries.finish();
        for recipient in &mut recipients {
            let Some(code) = &mut recipient.diagnostic_code else { continue };
            if let Some(rest) = code.text.strip_prefix("(expanded from")
                && let Some((alias, said)) = rest.split_once("):")
            {
                recipient.original_recipient =
                    address_in(alias).map(|value| crate::address::TypedAddress { kind: None, value });
                code.text = said.trim().to_owned();
            }
        }
        let host = opening.name("host").map(|host| host.as_str());
        let reading = Reading::of(recipients).reported_by(host);
        Some(if letter.says(&WARNING) { reading.delayed() } else { reading })
    }
}

/// The recipients of a session that the server broke off, and its last refusal.
fn session(letter: &Letter<'_>) -> Option<Reading> {
    let mut entries = Entries::default();
    let mut refusal = "";
    for (_, line) in letter.lines() {
        let line = line.trim();
        if let Some(command) = line.strip_prefix("In:") {
            let command = command.trim();
            if command.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("rcpt to:")) {
                entries.begin(&address_in(command)?, "");
            }
        } else if let Some(reply) = line.strip_prefix("Out:").map(str::trim)
            && reply.starts_with(['4', '5'])
        {
            refusal = reply;
        }
    }
    entries.fill(refusal);
    Some(Reading::of(entries.finish()))
}
