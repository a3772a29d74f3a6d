//! sendmail without its machine part, from version 5 on, and those that copied its headings: sections between
//! lines of hyphens, the addresses in one, the SMTP dialogue in another.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::{Letter, address_in, addresses_in, lone_address, pattern};
use super::{Family, Reading};

pub(super) struct Sendmail;

/// The heading over the addresses.
static ADDRESSES: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?m)^[ >|]*-{2,} *(?:the )?following addresse?s? (?:had|have|has|did|could)[^\n]{0,80}?-{2,}")
});

/// The heading over the dialogue.
static TRANSCRIPT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?m)^[ >|]*-{2,} *(?:transcript of (?:the )?session follows|non-delivered information)[^\n]{0,40}?-{2,}",
    )
});

/// `550 <a@x.example>... User unknown`: the code, the address, what happened.
static OUTCOME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(?:(?P<code>[45]\d\d) (?:[45]\.\d+\.\d+ )?)?(?P<who>\S[^.]*(?:\.[^.]+)*)\.\.\. (?P<said>.*)$")
});

/// `421 x.example (smtp)... Deferred: …`: version 5 names the domain.
static DOMAIN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[45]\d\d (?P<domain>[a-z0-9.-]+\.[a-z0-9-]+) \([a-z0-9]+\)\.\.\. "));

impl Family for Sendmail {
    fn name(&self) -> &'static str {
        "sendmail"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let addresses = ADDRESSES.find(&letter.lower);
        let transcript = TRANSCRIPT.find(&letter.lower);
        if addresses.is_none() && transcript.is_none() {
            return None;
        }
        let mut entries = Entries::default();
        if let Some(heading) = &addresses {
            section(&letter.body[heading.end()..], letter, &mut entries);
        }
        if let Some(heading) = &transcript {
            dialogue(&letter.body[heading.end()..], letter, addresses.is_none(), &mut entries);
        }
        if entries.is_empty() {
            let address = letter.only_recipient()?;
            entries.begin(&address, "");
            letter.lines().for_each(|(_, line)| entries.add(line));
        }
        let warning = addresses.is_some_and(|heading| heading.as_str().contains("transient"))
            || letter.lower.contains("warning: message still undelivered");
        let reading = Reading::of(entries.finish());
        Some(if warning { reading.delayed() } else { reading })
    }
}

/// The lines under the heading over the addresses.
fn section(text: &str, letter: &Letter<'_>, entries: &mut Entries) {
    for line in text.lines() {
        let trimmed = line.trim().trim_start_matches(['>', ' ']).trim();
        let lower = trimmed.to_ascii_lowercase();
        if trimmed.starts_with("--") {
            break;
        }
        if let Some(alias) = lower.strip_prefix("(expanded from:") {
            let alias = address_in(trimmed)
                .or_else(|| letter.whole_address(alias.trim_matches([' ', ')', '<', '>'])));
            match alias {
                Some(alias) if entries.is_empty() => entries.begin(&alias, ""),
                Some(alias) => entries.came_from(alias),
                None => {}
            }
        } else if lower.starts_with("(reason:") {
            entries.add(
                trimmed
                    .trim_start_matches('(')
                    .trim_end_matches(')')
                    .split_once(':')
                    .map_or("", |(_, said)| said),
            );
        } else if let Some(address) = lone_address(trimmed).filter(|_| !trimmed.starts_with('"')) {
            entries.begin(&address, "");
        } else if let Some(address) = first_word_address(trimmed) {
            // "a@x.example  (unrecoverable error)", "a@x.example [User unknown]"
            let said = trimmed.split_once([' ', '\t']).map_or("", |(_, said)| said);
            entries.begin(&address, said.trim().trim_matches(['(', ')', '[', ']']));
        } else if !trimmed.is_empty() && !trimmed.starts_with('"') && !trimmed.contains(' ') {
            if let Some(address) = letter.whole_address(trimmed.trim_matches(['<', '>'])) {
                entries.begin(&address, "");
            }
        } else {
            entries.add(trimmed);
        }
    }
}

fn first_word_address(line: &str) -> Option<String> {
    lone_address(line.split_whitespace().next()?).filter(|_| !line.starts_with('"'))
}

/// The SMTP dialogue: replies belong to the recipient they answer, outcomes to the one they name.
fn dialogue(text: &str, letter: &Letter<'_>, alone: bool, entries: &mut Entries) {
    let mut talking = String::new();
    let mut replies = String::new();
    let mut domains = Vec::new();
    let mut asked: Option<String> = None;
    let mut refused = Vec::new();
    let single = !alone && entries.len() == 1;
    for line in text.lines() {
        let trimmed = line.trim();
        let lower = trimmed.to_ascii_lowercase();
        if lower.contains("while talking to ") {
            trimmed.clone_into(&mut talking);
            replies.clear();
            if single {
                entries.add(trimmed);
            }
        } else if trimmed.starts_with(">>>") {
            replies.clear();
            asked = lower.contains("rcpt to:").then(|| address_in(trimmed)).flatten();
        } else if let Some(reply) = trimmed.strip_prefix("<<<") {
            replies.push_str(reply.trim());
            replies.push('\n');
            if reply.trim().starts_with(['4', '5']) && refused.len() < super::MAX_RECIPIENTS {
                refused.extend(asked.take().map(|address| (address, reply.trim().to_owned())));
            }
            if single {
                entries.add(reply);
            }
        } else if single {
            entries.add(trimmed);
        } else if let Some(domain) = DOMAIN.captures(&lower).and_then(|found| found.name("domain")) {
            domains.push((domain.as_str().to_owned(), trimmed.to_owned()));
        } else if let Some(outcome) = OUTCOME.captures(trimmed) {
            let who = outcome.name("who").map_or("", |who| who.as_str());
            let Some(address) =
                addresses_in(who).last().or_else(|| letter.whole_address(who.trim_matches(['<', '>'])))
            else {
                continue;
            };
            if alone || entries.has(&address) {
                entries.begin(&address, &talking);
                replies.lines().for_each(|reply| entries.add(reply));
                entries.add(trimmed);
            }
        }
    }
    // A refusal with no outcome told after it.
    if alone {
        for (address, reply) in refused {
            if !entries.has(&address) {
                entries.begin(&address, &reply);
            }
        }
    }
    // Version 5 that gave up on a whole domain: the recipients there are those of the returned message.
    if alone {
        let to = letter.original.iter().flat_map(|original| &original.to);
        for address in to.filter(|address| !entries.has(address)).cloned().collect::<Vec<_>>() {
            let there = |domain: &str| {
                address.rsplit_once('@').is_some_and(|(_, host)| host.eq_ignore_ascii_case(domain))
            };
            if let Some((_, said)) = domains.iter().find(|(domain, _)| there(domain)) {
                entries.begin(&address, said);
            }
        }
    }
}
