//! sendmail without its machine part, from version 5 on, and those that copied its headings: sections between
//! lines of hyphens, the addresses in one, the SMTP dialogue in another.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{address_in, addresses_in, lone_address, pattern};
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
            let text = &letter.body[heading.end()..];
            match entries.len() {
                1 if addresses.is_some() => Dialogue::about_one(text, &mut entries),
                _ => Dialogue::new(letter, addresses.is_none()).read(text, &mut entries),
            }
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
        } else if let Some(address) = lone_address(trimmed).filter(|address| is_no_program(trimmed, address))
        {
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
    lone_address(line.split_whitespace().next()?).filter(|address| is_no_program(line, address))
}

/// Whether a line that names an address is not `"|program address"`.
fn is_no_program(line: &str, address: &str) -> bool {
    !line.starts_with('"') || address.starts_with('"')
}

/// The SMTP dialogue: replies belong to the recipient they name or answer, outcomes to the one they name.
struct Dialogue<'l, 'a> {
    letter: &'l Letter<'a>,
    /// No section names the recipients: the dialogue does.
    alone: bool,
    /// Who speaks: `... while talking to mx.x.example.:`.
    talking: String,
    /// Replies to the last command.
    replies: String,
    /// An outcome followed on them, so that the next reply is about something else.
    told: bool,
    /// The last RCPT command's address.
    asked: Option<String>,
    /// What was answered to RCPT commands.
    refused: Vec<(String, String)>,
    /// Domains that version 5 gave up on, and what it says of them.
    domains: Vec<(String, String)>,
}

impl<'l, 'a> Dialogue<'l, 'a> {
    fn new(letter: &'l Letter<'a>, alone: bool) -> Self {
        let (talking, replies) = (String::new(), String::new());
        let (refused, domains) = (Vec::new(), Vec::new());
        Self { letter, alone, talking, replies, told: false, asked: None, refused, domains }
    }

    /// The dialogue of a letter with one recipient: all of it is about that one.
    fn about_one(text: &str, entries: &mut Entries) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(">>>")) {
            entries.add(line.trim_start_matches("<<<"));
        }
    }

    fn read(mut self, text: &str, entries: &mut Entries) {
        for line in text.lines().map(str::trim) {
            let lower = line.to_ascii_lowercase();
            if lower.contains("while talking to ") {
                line.clone_into(&mut self.talking);
                self.replies.clear();
            } else if line.starts_with(">>>") {
                self.replies.clear();
                self.asked = lower.contains("rcpt to:").then(|| address_in(line)).flatten();
            } else if let Some(reply) = line.strip_prefix("<<<") {
                self.reply(reply.trim(), entries);
            } else if let Some(domain) = DOMAIN.captures(&lower).and_then(|found| found.name("domain")) {
                self.domains.push((domain.as_str().to_owned(), line.to_owned()));
            } else if let Some(outcome) = OUTCOME.captures(line) {
                self.outcome(line, outcome.name("who").map_or("", |who| who.as_str()), entries);
            }
        }
        if self.alone {
            self.rest(entries);
        }
    }

    fn reply(&mut self, reply: &str, entries: &mut Entries) {
        if std::mem::take(&mut self.told) {
            self.replies.clear();
        }
        if reply.starts_with(['4', '5']) && self.refused.len() < super::MAX_RECIPIENTS {
            self.refused.extend(self.asked.take().map(|address| (address, reply.to_owned())));
        }
        match address_in(reply).filter(|address| entries.has(address)) {
            // Another's reply says nothing about this one.
            Some(address) => entries.begin(&address, reply),
            None => {
                self.replies.push_str(reply);
                self.replies.push('\n');
            }
        }
    }

    fn outcome(&mut self, line: &str, who: &str, entries: &mut Entries) {
        let bare = || self.letter.whole_address(who.trim_matches(['<', '>']));
        let Some(address) = addresses_in(who).last().or_else(bare) else { return };
        self.told = true;
        if self.alone || entries.has(&address) {
            entries.begin(&address, &self.talking);
            self.replies.lines().for_each(|reply| entries.add(reply));
            entries.add(line);
        }
    }

    /// What no outcome was told of: refusals, and of version 5 that gave up on a whole domain those of the returned
    /// message's recipients who are there.
    fn rest(self, entries: &mut Entries) {
        for (address, reply) in self.refused {
            if !entries.has(&address) {
                entries.begin(&address, &reply);
            }
        }
        let to = self.letter.original.iter().flat_map(|original| &original.to);
        for address in to.filter(|address| !entries.has(address)).cloned().collect::<Vec<_>>() {
            let there = |domain: &str| {
                address.rsplit_once('@').is_some_and(|(_, host)| host.eq_ignore_ascii_case(domain))
            };
            if let Some((_, said)) = self.domains.iter().find(|(domain, _)| there(domain)) {
                entries.begin(&address, said);
            }
        }
    }
}
