//! MDaemon, MailEnable, SmarterMail and Mercury: a label a line, `Failed address:`, `Recipient:`, and the reason
//! or the session's transcript after it.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{address_in, pattern};
use super::{Family, Reading};

pub(super) struct MDaemon;

static OPENING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"the attached message had (?:permanent fatal|transient non-fatal) delivery errors|mailenable: message could not be delivered|could not deliver message to the following recipient\(s\):|could not deliver message to some recipients|this message is from the (?:mdaemon|mercury)",
    )
});

/// A label and the address after it.
static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(?:failed (?:address|recipient)|recipient|failed address\(es\))\s*:\s*(?P<rest>.*@.*)$")
});

impl Family for MDaemon {
    fn name(&self) -> &'static str {
        "mdaemon"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let start = OPENING.find(&letter.lower)?.start();
        let mut entries = Entries::default();
        let mut transcript = false;
        for line in letter.body[start..].lines() {
            let trimmed = line.trim();
            if trimmed.starts_with("---") {
                transcript = trimmed.to_lowercase().contains("session transcript");
            } else if LABEL.is_match(&trimmed.to_lowercase())
                && let Some(address) = address_in(trimmed)
            {
                entries.begin(&address, "");
            } else if let Some(reason) = trimmed.strip_prefix("Reason:") {
                entries.add(reason);
            } else if let Some((_, reply)) = trimmed.split_once("<-- ") {
                // of a transcript, what the remote host refused with
                if reply.starts_with(['4', '5']) {
                    entries.add(reply);
                }
            } else if !transcript {
                entries.add(trimmed);
            }
        }
        let reading = Reading::of(entries.finish());
        Some(if letter.lower.contains("transient non-fatal") { reading.delayed() } else { reading })
    }
}
