//! Lotus Domino and the Notes SMTP gateway before it.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{address_in, lone_address, pattern};
use super::{Family, Reading};

pub(super) struct Domino;

static LIST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\n\s*(?:was not delivered to|could not be delivered to|wurde nicht zugestellt an|n'a pas été remis à|n'a pu être remis à|no se entregó a|no fue entregado a|non è stato consegnato a|não foi entregue a|is niet bezorgd bij|は次の宛先に配信されませんでした)\s*[:：]",
    )
});

static BECAUSE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:because|weil|da|grund|car|en raison de|porque|debido a|perché|a causa di|omdat|理由)\s*[:：]$",
    )
});

static REASONS: LazyLock<Regex> = LazyLock::new(|| pattern(r"-+ *(?:failure reasons?|fehlerursachen?) *-+"));

static DIRECTORY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"\(((?:"(?:[^"\\\n]|\\.)+"|[^()\s]+)@[^()\s]+)\) not\s+listed in (?:domino directory|public name)"#,
    )
});

impl Family for Domino {
    fn name(&self) -> &'static str {
        "domino"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if let Some(list) = letter.after(&LIST) {
            return Some(Reading::of(delivered_to(list)));
        }
        if let Some(reasons) = letter.after(&REASONS) {
            return Some(Reading::of(failure_reasons(reasons)));
        }
        // The subject says it once more, and some gateways cut the text off.
        let subject = letter.subject();
        let found = DIRECTORY.captures(subject).filter(|_| subject.starts_with("delivery failure"))?;
        let mut entries = Entries::default();
        entries.begin(found.get(1)?.as_str(), subject);
        Some(Reading::of(entries.finish()))
    }
}

fn delivered_to(list: &str) -> Vec<super::RecipientFields> {
    let mut entries = Entries::default();
    let mut because = false;
    for line in list.lines() {
        let trimmed = line.trim();
        if BECAUSE.is_match(&trimmed.to_lowercase()) {
            because = true;
        } else if because {
            entries.add(trimmed);
        } else if let Some(address) = address_in(trimmed) {
            entries.begin(&address, "");
        }
    }
    // One "because" for several recipients: it was said about all of them.
    let mut recipients = entries.finish();
    let said = recipients.iter().find_map(|recipient| recipient.diagnostic_code.clone());
    for recipient in &mut recipients {
        recipient.diagnostic_code = recipient.diagnostic_code.take().or_else(|| said.clone());
    }
    recipients
}

/// The reason first, the address under it.
fn failure_reasons(reasons: &str) -> Vec<super::RecipientFields> {
    let mut entries = Entries::default();
    let mut reason = String::new();
    for line in reasons.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match lone_address(line) {
            Some(address) => entries.begin(&address, &std::mem::take(&mut reason)),
            None => {
                reason.push_str(line);
                reason.push(' ');
            }
        }
    }
    entries.finish()
}
