//! No known program, but one sentence or label that names the address beside the words of failure.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::generic::{Own, sent_by};
use super::letter::Letter;
use super::text::{address_in, pattern};
use super::words::{FAILURE, WARNING};
use super::{Confidence, Family, Reading};

pub(super) struct Stated;

/// The words before the address, in lower case; the address is what follows.
static BEFORE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?:\b(?:intended recipients?|error-for|unknown (?:user|recipient|address|mailbox|local part)|invalid (?:user|recipient|address|mailbox|final delivery userid)|no such (?:user|recipient|address|mailbox)|failed (?:recipients?|addresse?s?)|target mail address|rejected recipients?|undeliverable(?: address| recipients?| message)?(?: to)?|deliver(?:ed|y)?(?: (?:your|the|a|this|my))?(?: (?:e-?mail|message|mail))* (?:to|for)(?: the following)?(?: (?:recipients?|address|user|mailbox|e-?mail address(?: of)?))?|(?:message|mail|e-?mail)(?: that)?(?: you)?(?: sent| addressed)* (?:to|for)(?: (?:e-?mail )?address| user| recipient)?|sent (?:e-?)?mail to|did not reach(?: the following)?(?: recipients?)?|(?:user'?s? )?mail(?:box|folder) is (?:full|over quota)|quota (?:exceeded|violation) for|could not find (?:a gateway|user|mailbox)(?: for)?|returned permanent errors|(?:local )?mailbox|user|recipient(?: address)?|account|to address|addressed to|nicht zugestellt(?: werden)?(?: an)?|empfänger(?:adresse)?|destinataire|destinatario|destinatário|ontvanger)|(?:^|[\s"'(<\[*>:：、。，-])(?:получатель|宛先|收件人))(?:[ \t]+|[:：=]|\s*\n)[ \t]*(?:is|was)?[ \t]*[:：=]?[ \t\n]*(?:[-*>]+ *)*["'<(\[]*(?:mailto:|smtp:)?(?P<address>(?:"(?:[^"\\\n]|\\.)+"|[^\s@<>()\[\]"',;:]+)@[a-z0-9.-]+\.[a-z0-9-]+)"#,
    )
});

/// The words after the address.
static AFTER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?P<address>(?:"(?:[^"\\\n]|\\.)+"|[^\s@<>()\[\]"',;:=]+)@[a-z0-9.-]+\.[a-z0-9-]+)["'>)\]]*[ \t]*[:.,-]*[ \t]*(?:\([^)\n]*\) )?(?:(?:user|mailbox|account|address|recipient|e-?mail address)[ \t]+)?(?:is (?:not (?:a )?(?:valid|known|listed|found|recognized|available|active|in)|no longer|unknown|invalid|unavailable|over|full|undeliverable|disabled)|does(?: not|n't) exist|do not exist|not listed in|not found|unknown|has (?:exceeded|been (?:disabled|deleted|closed|suspended))|(?:could|can|has|was|is)(?: ?not|n't) (?:be |been )?(?:deliver|found|reach|accept)|is a deactivated|no such|mailbox (?:full|unavailable|not found)|user (?:unknown|not found)|over quota|quota exceeded|failed|rejected|wurde nicht|existiert nicht|ist (?:unbekannt|nicht)|n'existe pas|no existe|non esiste|não existe|не существует|не найден)"#,
    )
});

impl Family for Stated {
    fn name(&self) -> &'static str {
        "stated"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if !letter.is_by_machine() {
            return None; // people write such sentences, too: customers, couriers, newsletters about mail
        }
        if !letter.says(&FAILURE) && !FAILURE.is_match(letter.subject()) {
            return None;
        }
        let own = Own::of(letter);
        let mut entries = Entries::default();
        for pattern in [&*AFTER, &*BEFORE] {
            for found in pattern.captures_iter(&letter.lower).take(200) {
                let Some(at) = found.name("address") else { continue };
                let before =
                    &letter.body[letter.body.floor_char_boundary(at.start().saturating_sub(20))..at.end()];
                let address = address_in(&letter.body[at.range()]);
                if let Some(address) =
                    address.filter(|address| !own.has(address) && !sent_by(before, address))
                {
                    entries.begin(&address, "");
                }
            }
            if !entries.is_empty() {
                break;
            }
        }
        // What was said stands around the address, and with several nobody can tell about whom.
        if entries.len() == 1 {
            letter.body.lines().take(200).for_each(|line| entries.add(line));
        }
        let reading = Reading::of(entries.finish()).with(Confidence::Likely);
        Some(if letter.says(&WARNING) { reading.delayed() } else { reading })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_around_an_address_name_it_also_in_quotes() {
        for (pattern, text, named) in [
            (&BEFORE, "could not be delivered to some.body@example.net today", "some.body@example.net"),
            (&BEFORE, "could not be delivered to \"no body\"@example.net", "\"no body\"@example.net"),
            (&BEFORE, "unknown user: <\"no \\\" body\"@example.net>", "\"no \\\" body\"@example.net"),
            (&BEFORE, "unknown user: \"some.body@example.net\"", "some.body@example.net"),
            (&AFTER, "the mailbox \"no body\"@example.net is full", "\"no body\"@example.net"),
            (&AFTER, "they \"say\" that <\"no body\"@example.net> does not exist", "\"no body\"@example.net"),
            (&AFTER, "\"some.body@example.net\" is unknown", "some.body@example.net"),
        ] {
            let found = pattern.captures(text).unwrap_or_else(|| panic!("nothing in {text}"));
            assert_eq!(&found["address"], named, "{text}");
        }
    }
}
