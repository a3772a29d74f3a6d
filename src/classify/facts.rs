//! Facts that stand in a deciding text: which address is listed where, when to come back, who spoke and when.
//!
//! They explain a decision to the operator; the delivery phase also conditions rules. Nothing here decides.

use std::net::IpAddr;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use jiff::SignedDuration;
use memchr::memchr2_iter;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::class::{Class, names};
use super::evidence::Evidence;
use crate::address::Mailbox;

/// How far the delivery had come when the remote host refused (RFC 5321 §4.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No connection yet, or no greeting.
    Connect,
    /// EHLO or HELO.
    Ehlo,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// The DATA command.
    Data,
    /// After the message itself.
    EndOfData,
}

names!(Phase {
    Connect = "connect",
    Ehlo = "ehlo",
    Mail = "mail",
    Rcpt = "rcpt",
    Data = "data",
    EndOfData = "end_of_data",
});

/// What a text tells beyond its decision. Empty fields are left out of output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The address of ours that is listed or blocked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed_ip: Option<IpAddr>,
    /// The list it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocklist: Option<String>,
    /// Where to look it up, or what to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookup_url: Option<String>,
    /// Seconds after which the host wants to be asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<i64>,
    /// The recipient's new address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_address: Option<String>,
    /// The host that refused, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_host: Option<String>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<IpAddr>,
    /// When it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
}

impl Facts {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the facts that matter for a class out of the texts; `phase` is what [`phase()`] found in them.
    #[must_use]
    pub fn gather(evidence: &Evidence, class: Class, phase: Option<Phase>) -> Self {
        let mut facts = Self { phase, ..Self::default() };
        for source in &evidence.sources {
            let text = source.text.as_str();
            if facts.remote_host.is_none()
                && has_address_in_brackets(text)
                && let Some(found) = HOST_SAID.captures(text)
            {
                facts.remote_host =
                    found.get(1).map(|name| name.as_str().trim_end_matches('.').to_lowercase());
                facts.remote_ip = found.get(2).and_then(|address| ip(address.as_str()));
            }
            match class {
                Class::SenderBlocked => {
                    facts.lookup_url = facts.lookup_url.take().or_else(|| url(text));
                    facts.blocklist = facts.blocklist.take().or_else(|| blocklist(text));
                    let remote = facts.remote_ip;
                    facts.listed_ip =
                        facts.listed_ip.or_else(|| addresses(text).find(|address| Some(*address) != remote));
                }
                Class::RecipientMoved => {
                    facts.new_address = facts.new_address.take().or_else(|| new_address(text));
                }
                Class::RateLimited | Class::Greylisted | Class::RemoteSystem => {
                    facts.retry_after = facts.retry_after.or_else(|| retry_after(text));
                }
                _ => {}
            }
        }
        if facts.remote_host.is_none() {
            facts.remote_host = evidence.remote_mta.clone();
        }
        facts
    }
}

/// A pattern that is part of the program; the tests compile every one of them. Their words are ASCII: what only Unicode
/// knows of case and borders makes an automaton many times as large.
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

/// `host mx.example.org[192.0.2.1] said`, `mx.example.org (192.0.2.1)`, `remote host 192.0.2.1 said`.
static HOST_SAID: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i-u)\b(?:host|to|with|from|server)\s+([a-z0-9][a-z0-9.-]*\.[a-z0-9-]+\.?)\s*[\[(]([0-9a-f:.]{3,45})[\])]",
    )
});

/// Whether what [`HOST_SAID`] ends in is in a text: most have none.
fn has_address_in_brackets(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    memchr2_iter(b'[', b'(', bytes)
        .any(|at| bytes.get(at + 1..at + 4).is_some_and(|address| address.iter().all(is_part)))
}

static IP: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i-u)(?:^|(?u:[^0-9a-z.:]))((?:\d{1,3}\.){3}\d{1,3}|[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7})(?:$|(?u:[^0-9a-z.:])|\.(?:\s|$))",
    )
});

static URL: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(?i-u)\bhttps?://(?u:[^\s<>"'\])])+"#));

static BLOCKLIST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix-u)(?:blocked\ using|listed\ (?:in|on|at|by)|rejected\ by|blocked\ by|found\ in|blacklisted\ (?:at|by|in))\s+
          (?:the\s+)?([a-z0-9-]+(?:\.[a-z0-9-]+)+|spamhaus|spamcop|barracuda|sorbs|proofpoint|cloudmark)",
    )
});

/// Names by which well-known lists are recognised wherever they stand.
static KNOWN_LIST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i-u)\b((?:[a-z0-9-]+\.)*(?:spamhaus|spamcop|barracudacentral|sorbs|uceprotect|surbl|uribl|mailspike|invaluement|abusix|psbl|cloudmark|senderscore|trustedsource)(?:\.[a-z]+)*)",
    )
});

static RETRY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix-u)(?:again|retry|back|wait|later|greylist\w*|deferred|delayed|rate|expires?)(?u:[^.;]){0,60}?
          \b(\d{1,6})\s*(s|sec|second|seconds|m|min|minute|minutes|h|hour|hours|day|days)\b",
    )
});

static CLOCK: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i-u)(?:in|for|after)\s+(\d{1,3}):(\d\d)(?::(\d\d))?\b"));

static NEW_ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i-u)(?:try|use|to|address(?: is|:)?|moved to|forward(?:ed)? to|contact|at)\s*:?\s*<?((?u:[^\s<>,;:()])+@(?u:[^\s<>,;:()])+(?u:[^\s<>,;:().]))>?",
    )
});

/// What MTAs write about the command that was refused, in the order in which it is looked for: the phase, words of which
/// one is in every text that the pattern is in, and the pattern.
const PHASES: [(Phase, &[&str], &str); 6] = [
    (
        Phase::EndOfData,
        &[
            "end of data",
            "end-of-data",
            "end-of data",
            "end of-data",
            "end of message",
            "failed after i sent",
            "after sending ",
            "sending message body",
        ],
        r"(?i-u)in reply to (the )?end of data|after (the )?end[- ]of[- ]data|after (pipelined )?end of (data|message)|failed after i sent the message|after sending (the )?(message|data|body)|response to end of data|sending message body",
    ),
    (
        Phase::Rcpt,
        &[
            "to rcpt",
            "after rcpt",
            "pipelined rcpt",
            ">rcpt",
            "> rcpt",
            "rcpt to",
            "sending rcpt",
            "does not like recipient",
        ],
        r"(?i-u)in reply to rcpt|after (pipelined )?rcpt|>>> ?rcpt|rcpt to response|while sending rcpt|does not like recipient|smtp;?[ -~]{0,20}rcpt to:?[ -~]{0,80}(failed|rejected)",
    ),
    (
        Phase::Data,
        &["data command", "after data", "pipelined data", ">data", "> data", "sending data"],
        r"(?i-u)in reply to (the )?data command|after (pipelined )?data\b|>>> ?data|while sending data|failed on data command",
    ),
    (
        Phase::Mail,
        &[
            "to mail",
            "after mail",
            "pipelined mail",
            ">mail",
            "> mail",
            "sending mail",
            "sender was rejected",
        ],
        r"(?i-u)in reply to mail|after (pipelined )?mail\b|>>> ?mail|while sending mail|but sender was rejected",
    ),
    (
        Phase::Ehlo,
        &["ehlo", "helo", "my name was rejected"],
        r"(?i-u)in reply to (ehlo|helo)|after (ehlo|helo)|>>> ?(ehlo|helo)|performing the (ehlo|helo) handshake|but my name was rejected",
    ),
    (
        Phase::Connect,
        &[
            "initial connection",
            "initial server greeting",
            "connect to ",
            "connection timed",
            "connection refused",
            "an smtp connection",
            "greeting failed",
        ],
        r"(?i-u)after initial connection|receiving the initial server greeting|connect to (?u:\S)|connection (timed out|refused)|able to establish an smtp connection|but greeting failed",
    ),
];

/// The words of all phases, each with the number of its phase, and the patterns: one pass over a text says which of them
/// can be in it.
static PHASE_WORDS: LazyLock<(AhoCorasick, Vec<usize>)> = LazyLock::new(|| {
    let words =
        || PHASES.iter().enumerate().flat_map(|(at, (_, words, _))| words.iter().map(move |word| (at, word)));
    let found = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(words().map(|(_, word)| word));
    (found.expect("a few short words"), words().map(|(at, _)| at).collect())
});

static PHASE_PATTERNS: [LazyLock<Regex>; PHASES.len()] = [
    LazyLock::new(|| pattern(PHASES[0].2)),
    LazyLock::new(|| pattern(PHASES[1].2)),
    LazyLock::new(|| pattern(PHASES[2].2)),
    LazyLock::new(|| pattern(PHASES[3].2)),
    LazyLock::new(|| pattern(PHASES[4].2)),
    LazyLock::new(|| pattern(PHASES[5].2)),
];

/// The phase that the last refused command of the texts names.
#[must_use]
pub fn phase(evidence: &Evidence) -> Option<Phase> {
    evidence.sources.iter().find_map(|source| {
        let (words, phase_of) = &*PHASE_WORDS;
        let mut can_be = [false; PHASES.len()];
        words.find_overlapping_iter(&source.text).for_each(|word| can_be[phase_of[word.pattern()]] = true);
        let asked = (0..PHASES.len()).filter(|at| can_be[*at]);
        let found = asked.filter_map(|at| {
            Some((PHASE_PATTERNS[at].find_iter(&source.text).last()?.start(), PHASES[at].0))
        });
        found.max_by_key(|(at, _)| *at).map(|(_, phase)| phase)
    })
}

fn ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// Addresses that could be a sending host of ours: none from ranges that no mail comes from.
fn addresses(text: &str) -> impl Iterator<Item = IpAddr> + '_ {
    IP.captures_iter(text)
        .filter_map(|found| ip(found.get(1)?.as_str()))
        .filter(|address| !address.is_loopback() && !address.is_unspecified())
}

fn url(text: &str) -> Option<String> {
    URL.find(text).map(|found| found.as_str().trim_end_matches(['.', ',', ';']).to_owned())
}

fn blocklist(text: &str) -> Option<String> {
    let without_urls = URL.replace_all(text, " ");
    let found = BLOCKLIST.captures(&without_urls).or_else(|| KNOWN_LIST.captures(text));
    found.and_then(|found| Some(found.get(1)?.as_str().trim_end_matches('.').to_lowercase()))
}

fn retry_after(text: &str) -> Option<i64> {
    if let Some(found) = RETRY.captures(text) {
        let number: i64 = found.get(1)?.as_str().parse().ok()?;
        let unit = match found.get(2)?.as_str().to_ascii_lowercase().as_bytes()[0] {
            b's' => SignedDuration::from_secs(1),
            b'm' => SignedDuration::from_mins(1),
            b'h' => SignedDuration::from_hours(1),
            _ => SignedDuration::from_hours(24),
        };
        return Some(number.saturating_mul(unit.as_secs()));
    }
    let found = CLOCK.captures(text)?;
    let part = |at: usize| found.get(at).and_then(|part| part.as_str().parse::<i64>().ok());
    match part(3) {
        Some(seconds) => Some(part(1)? * 3_600 + part(2)? * 60 + seconds),
        None => Some(part(1)? * 60 + part(2)?),
    }
}

fn new_address(text: &str) -> Option<String> {
    NEW_ADDRESS
        .captures_iter(text)
        .filter_map(|found| Some(found.get(1)?.as_str().to_owned()))
        .filter(|address| Mailbox::parse(address).is_ok())
        .last()
}

#[cfg(test)]
mod tests {
    use super::super::evidence::{EvidenceField, Source};
    use super::*;

    fn gather(class: Class, text: &str) -> Facts {
        let source = Source::new(EvidenceField::DiagnosticCode, text);
        let evidence = Evidence { sources: vec![source], ..Evidence::default() };
        Facts::gather(&evidence, class, phase(&evidence))
    }

    #[test]
    fn a_block_names_our_address_the_list_and_where_to_look() {
        let facts = gather(
            Class::SenderBlocked,
            "host mx.example.org[198.51.100.7] said: 554 5.7.1 Service unavailable; Client host [192.0.2.44] blocked using \
             zen.spamhaus.example; https://www.spamhaus.example/query/ip/192.0.2.44 (in reply to RCPT TO command)",
        );
        assert_eq!(facts.listed_ip, "192.0.2.44".parse().ok());
        assert_eq!(facts.blocklist.as_deref(), Some("zen.spamhaus.example"));
        assert_eq!(facts.lookup_url.as_deref(), Some("https://www.spamhaus.example/query/ip/192.0.2.44"));
        assert_eq!(facts.remote_host.as_deref(), Some("mx.example.org"));
        assert_eq!(facts.remote_ip, "198.51.100.7".parse().ok());
        assert_eq!(facts.phase, Some(Phase::Rcpt));
        let facts =
            gather(Class::SenderBlocked, "550 5.7.606 Access denied, banned sending IP [2001:db8::25].");
        assert_eq!(facts.listed_ip, "2001:db8::25".parse().ok());
    }

    #[test]
    fn hints_when_to_come_back_are_seconds() {
        for (text, seconds) in [
            ("450 4.2.0 Greylisted, try again in 5 minutes", Some(300)),
            ("451 4.7.1 Please retry after 90 seconds", Some(90)),
            ("450 Greylisting in effect, please come back in 00:04:30", Some(270)),
            ("421 4.7.0 rate limited, wait 2 hours", Some(7_200)),
            ("450 4.7.1 try again later", None),
        ] {
            assert_eq!(gather(Class::Greylisted, text).retry_after, seconds, "{text}");
        }
    }

    #[test]
    fn a_move_names_the_new_address() {
        let facts = gather(
            Class::RecipientMoved,
            "551 5.1.6 <old@example.org> has moved; please try <new.name@example.com>",
        );
        assert_eq!(facts.new_address.as_deref(), Some("new.name@example.com"));
        assert_eq!(gather(Class::RecipientMoved, "551 User has moved").new_address, None);
    }

    #[test]
    fn the_phase_is_that_of_the_last_refused_command() {
        for (text, phase) in [
            ("550 no (in reply to RCPT TO command)", Some(Phase::Rcpt)),
            ("550 no (in reply to end of DATA command)", Some(Phase::EndOfData)),
            ("SMTP error from remote mail server after MAIL FROM:<a@b.example>: 550 no", Some(Phase::Mail)),
            (">>> RCPT To:<a@b.example> <<< 250 ok >>> DATA <<< 550 unknown user", Some(Phase::Data)),
            ("lost connection with mx.example while performing the EHLO handshake", Some(Phase::Ehlo)),
            ("connect to mx.example[192.0.2.1]:25: Connection refused", Some(Phase::Connect)),
            ("550 no", None),
        ] {
            assert_eq!(gather(Class::Policy, text).phase, phase, "{text}");
        }
    }

    proptest::proptest! {
        /// The words that are looked for first keep no pattern from being found.
        #[test]
        fn words_of_a_phase_are_in_every_text_of_it(
            text in "((in reply to|after|while sending|>>>|smtp; |the|pipelined|end|-|of|data|message|rcpt|to|mail|ehlo|helo|command|failed|rejected|i sent|connect|connection|refused|handshake|performing|but|sender was) ?){1,8}",
        ) {
            for (number, (phase, words, _)) in PHASES.iter().enumerate() {
                if PHASE_PATTERNS[number].is_match(&text) {
                    proptest::prop_assert!(words.iter().any(|word| text.contains(word)), "{:?}: {}", phase, text);
                }
            }
        }

        #[test]
        fn any_text_may_be_searched_for_facts(text in "\\PC{0,300}") {
            for class in [Class::SenderBlocked, Class::RecipientMoved, Class::RateLimited] {
                let _ = gather(class, &text);
            }
        }
    }
}
