//! qmail's bounces, QSBMF: an opening line, a paragraph a recipient that begins with `<address>:`, a line of
//! three or more hyphens before the returned message. (The form its author published as "qmail-send bounce
//! message format".) Providers change the opening line or translate it; the paragraphs stay.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{lone_address, pattern};
use super::{Family, Reading};
use crate::status::EnhancedStatusCode;

pub(super) struct Qmail;

/// Opening lines that no letter of a person has, in lower case.
static OPENING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:hi\. (?:this is|the) \S.{0,60} (?:program|server|system|agent|daemon|mta)\b|(?:hello|hallo|bonjour|hola|olá|ciao)[.!,] .{0,80}(?:qmail|mailer|daemon|programm? auf)|this is the (?:qmail|machine generated|mail delivery agent))",
    )
});

/// Opening lines of those who wrote their own; enough where the header says the rest.
static WEAKER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:hi\. |message from +[a-z0-9. -]+$|i'm afraid i wasn't able to deliver|i (?:was not|wasn't) able to deliver|i am sorry to (?:have to )?inform you|we're sorry\. there's a problem with|(?:sorry, )?(?:i was|we were|unfortunately, we were)? ?(?:unable|not able) to deliver|su mensaje no pudo ser entregado|unfortunately, we were not able to deliver|es tut mir leid|(?:hallo|bonjour|hola|olá|ciao)[.!,] |こちらは)",
    )
});

/// The host behind "program at".
static HOST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?:program|agent|server|programm|programme|programa) (?:at|auf|à|en|em|su) ([a-z0-9._-]+)")
});

impl Family for Qmail {
    fn name(&self) -> &'static str {
        "qmail"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let known = letter.opening(8).any(|line| {
            let line = line.to_lowercase();
            OPENING.is_match(&line) || (letter.bounce && WEAKER.is_match(&line))
        });
        // An opening in words nobody listed, with the subject that qmail gives all of its bounces.
        let failure_notice = letter.bounce && letter.subject().starts_with("failure notice");
        if !known && !failure_notice {
            return None;
        }
        let mut entries = Entries::default();
        let mut loose = Vec::new();
        for (_, line) in letter.lines() {
            let trimmed = line.trim();
            let opens = trimmed.starts_with('<') && (!known || trimmed.ends_with(':'));
            if let Some(address) = opens.then(|| lone_address(trimmed)).flatten() {
                entries.begin(&address, "");
            } else if trimmed.starts_with("---") {
                break;
            } else if let Some((address, said)) = address_and_reason(trimmed) {
                entries.begin(&address, said);
            } else {
                entries.add(trimmed);
            }
            // Without brackets, as a web mailer's template writes it.
            if entries.is_empty() {
                loose.extend(lone_address(trimmed));
            }
        }
        if let (true, [address, ..]) = (entries.is_empty(), loose.as_slice()) {
            entries.begin(address, "");
            let said = letter.body.split_once(address.as_str()).map(|(_, said)| said).unwrap_or_default();
            said.lines().for_each(|line| entries.add(line));
        }
        let mut recipients = entries.finish();
        for recipient in &mut recipients {
            recipient.status =
                recipient.diagnostic_code.as_ref().and_then(|code| status_in_brackets(&code.text));
        }
        let host = HOST.captures(&letter.lower).and_then(|found| found.get(1)).map(|host| host.as_str());
        Some(Reading::of(recipients).reported_by(host))
    }
}

/// `<a@x.example>: reason` on one line.
fn address_and_reason(line: &str) -> Option<(String, &str)> {
    let (address, said) = line.strip_prefix('<')?.split_once(">:")?;
    Some((lone_address(address)?, said))
}

/// The code that qmail puts at the end of its own words: `(#5.1.1)`.
fn status_in_brackets(text: &str) -> Option<EnhancedStatusCode> {
    let at = text.rfind("(#")?;
    EnhancedStatusCode::prefix(&text[at + 2..]).map(|(code, _)| code)
}
