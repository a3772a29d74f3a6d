//! What there is to say about an address that is asked about: the facts, and one sentence that a support person can read
//! out: who said what, when, and what to do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    ANY_STREAM, BounceEvent, CountedDay, Entries, Standing, StoreError, Streams, Suppression, ToldEvent,
};
use crate::address::{Mailbox, comparison_form};
use crate::classify::Class;
use crate::classify::evidence::{EvidenceField, Source};
use crate::policy::{CounterKind, Policy, Reason, Scope, day_of};

/// Addresses that the store is asked about at once.
const AT_ONCE: usize = 500;

/// Answers that have the whole last report. It may be long, and a question may have thousands of addresses.
const IN_FULL: usize = 100;

/// Characters of a host's reply that a sentence quotes.
const QUOTED: usize = 500;

/// The answer for one address.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = CheckedAddress)]
pub struct Checked {
    /// The address, as it was asked about.
    pub address: String,
    /// Whether it may not be mailed.
    pub suppressed: bool,
    /// What it comes to, in one sentence for a person: who said what, when, and what to do.
    #[schema(example = "ok; 3 of 5 days with a full mailbox")]
    pub summary: String,
    /// The weightiest entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<Suppression>,
    /// Those that suppress it as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub others: Vec<Suppression>,
    /// The hold that a bounce of it waits in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_in_hold: Option<i64>,
    /// How many unproven bounces of it wait for a person: `dsnd quarantine list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_unproven: Option<u64>,
    /// The days that are counted against it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub counted: Vec<Counted>,
    /// The last report that mail to it failed; left out where more than 100 addresses are asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<ToldEvent>,
    /// Why it is no address that mail can be sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid: Option<String>,
    /// The whole reply behind the weightiest entry, where the report is still there.
    #[serde(skip)]
    pub reply: Option<String>,
}

/// What there is to say about addresses, in the order of the question; in a stream, what counts in it.
///
/// # Errors
/// What the store says.
pub async fn check(
    store: &impl Entries,
    policy: &Policy,
    streams: &Streams,
    addresses: Vec<String>,
    stream: Option<i64>,
    now: Timestamp,
) -> Result<Vec<Checked>, StoreError> {
    let in_full = addresses.len() <= IN_FULL;
    let mut answers = Vec::with_capacity(addresses.len());
    for addresses in addresses.chunks(AT_ONCE) {
        let keys: Vec<String> = addresses.iter().map(|address| comparison_form(address)).collect();
        let standing = store.standing_of(&keys, stream, now).await?;
        for (address, standing) in addresses.iter().zip(standing) {
            let mut answer = answer(policy, streams, address, stream, standing, now);
            answer.last_failure = answer.last_failure.filter(|_| in_full);
            answers.push(answer);
        }
    }
    Ok(answers)
}

fn answer(
    policy: &Policy,
    streams: &Streams,
    address: &str,
    stream: Option<i64>,
    standing: Standing,
    now: Timestamp,
) -> Checked {
    let Standing { mut entries, reply, replied_at, hold, unproven, counted, mut last_failure } = standing;
    entries.iter_mut().for_each(|entry| streams.name_entry(entry));
    if let Some(told) = &mut last_failure {
        told.event.stream_name = streams.name(told.event.stream).map(str::to_owned);
    }
    let counted = progress(policy, &counted, stream, now);
    let mut entries = entries.into_iter();
    let entry = entries.next();
    let invalid = Mailbox::parse(address).err().map(|error| error.to_string());
    let summary = match (&entry, &invalid) {
        (Some(entry), _) => suppressed(entry, reply.as_deref(), replied_at),
        (None, Some(why)) => format!("no address that mail can be sent to: {why}"),
        (None, None) => ok(unproven, &counted, hold, last_failure.as_ref()),
    };
    Checked {
        address: address.to_owned(),
        suppressed: entry.is_some(),
        summary,
        entry,
        others: entries.collect(),
        waits_in_hold: hold,
        waits_unproven: Some(unproven).filter(|number| *number > 0),
        counted,
        last_failure,
        invalid,
        reply,
    }
}

/// Days of a kind that are counted against an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CountedDays)]
pub struct Counted {
    /// `soft`, `mailbox_full` or `unconfirmed`.
    pub kind: &'static str,
    /// Days on which it bounced.
    pub days: u32,
    /// So many suppress it.
    pub of: u32,
}

/// How far an address is on the way to its threshold: in the stream in which that is farthest, where streams count by
/// themselves.
fn progress(policy: &Policy, days: &[CountedDay], stream: Option<i64>, now: Timestamp) -> Vec<Counted> {
    let today = day_of(now);
    let of_kind = |kind: CounterKind| {
        let mut streams: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        let together = policy.counted_in(kind) == Scope::Global;
        let counts = |day: &&CountedDay| {
            day.kind == kind.as_str()
                && (together || stream.is_none_or(|stream| [stream, ANY_STREAM].contains(&day.stream)))
        };
        for day in days.iter().filter(counts) {
            streams.entry(if together { ANY_STREAM } else { day.stream }).or_default().push(day.day);
        }
        let most = streams.into_values().map(|days| policy.inside(kind, days.into_iter(), today).len()).max();
        let days = most.filter(|days| *days > 0)?;
        let days = u32::try_from(days).unwrap_or(u32::MAX);
        Some(Counted { kind: kind.as_str(), days, of: policy.needed(kind) })
    };
    [CounterKind::MailboxFull, CounterKind::Unconfirmed, CounterKind::Soft]
        .into_iter()
        .filter_map(of_kind)
        .collect()
}

/// Why an address is suppressed; `reply` is what the report behind the entry says, where it is still there, and when it
/// came in.
fn suppressed(entry: &Suppression, reply: Option<&str>, replied_at: Option<Timestamp>) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let on = day(entry.changed_at);
    // What a person brings or lets through later was said before.
    let said_on = day(replied_at.unwrap_or_else(|| entry.changed_at.min(entry.last_seen)));
    let why = match (entry.reason, entry.origin.as_str()) {
        (Reason::Complaint, _) => format!("the recipient complained on {said_on}"),
        (_, "import") => format!("an imported list put it here on {on}"),
        (_, "api") => format!("a program put it here on {on}"),
        (Reason::Manual, _) => format!("a person put it here on {on}"),
        _ => {
            let text = in_full(reply, entry.evidence.as_deref().unwrap_or_default());
            said(entry.remote_mta.as_deref(), &said_on, &text, entry.class.as_deref())
        }
    };
    let note = entry.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    let todo = match entry.expires_at {
        Some(end) => format!("do not mail it before {}", end.strftime("%Y-%m-%d")),
        None => "do not mail it again".to_owned(),
    };
    format!("suppressed; {why}{note}; {todo}")
}

/// What there is to say of an address that is not suppressed.
fn ok(unproven: u64, counts: &[Counted], hold: Option<i64>, last_failure: Option<&ToldEvent>) -> String {
    let mut parts = vec!["ok".to_owned()];
    match unproven {
        0 => {}
        1 => parts.push("1 unproven bounce waits: dsnd quarantine list".to_owned()),
        many => parts.push(format!("{many} unproven bounces wait: dsnd quarantine list")),
    }
    parts.extend(hold.map(|id| format!("a bounce waits in hold {id}: dsnd holds show {id}")));
    for count in counts {
        let what = match count.kind {
            "soft" => "soft bounces",
            "unconfirmed" => "a code for dead addresses beside words that no rule knows",
            _ => "a full mailbox",
        };
        parts.push(format!("{} of {} days with {what}", count.days, count.of));
    }
    parts.extend(last_failure.and_then(failing));
    parts.join("; ")
}

/// What the last report says, and whose fault that is, where the address is watched for it or is not at fault.
fn failing(told: &ToldEvent) -> Option<String> {
    let event = &told.event;
    let on = told.received_at.strftime("%Y-%m-%d").to_string();
    let said = said(event.remote_mta.as_deref(), &on, &reply(event), Some(&event.class));
    match event.decision.as_str() {
        "sender" => {
            let ip = event.facts.as_ref().and_then(|facts| facts["listed_ip"].as_str());
            let ip = ip.map(|ip| format!(" (your IP {ip})")).unwrap_or_default();
            let todo = todo(&event.class);
            Some(format!("mail to it fails, and the address is not at fault: {said}{ip}{todo}"))
        }
        "count" | "host" => Some(said),
        _ => None,
    }
}

/// What the sender does about a fault of its own.
fn todo(class: &str) -> String {
    let todo = match Class::from_name(class) {
        Some(Class::SenderBlocked) => "have the block lifted",
        Some(Class::SenderAuth) => "check SPF, DKIM and DMARC of your mail",
        Some(Class::SpamContent | Class::ContentRejected | Class::Virus) => {
            "look at what the message contains"
        }
        _ => return String::new(),
    };
    format!("; {todo}")
}

/// `mx.example.org said on 2026-11-20: "550 5.1.1 User unknown"`; what the class means where there are no words.
fn said(host: Option<&str>, on: &str, text: &str, class: Option<&str>) -> String {
    let host = host.and_then(|host| host.split_whitespace().next()).unwrap_or("the mail host");
    let meaning = class.and_then(Class::from_name).map_or("it failed", Class::describe);
    match text {
        "" => format!("{host} on {on}: {}", meaning.trim_end_matches('.')),
        text => {
            let cut = text.char_indices().nth(QUOTED).map_or("", |_| "…");
            let text: String = text.chars().take(QUOTED).collect();
            format!("{host} said on {on}: \"{text}{cut}\"")
        }
    }
}

/// The words of the host, on one line.
#[must_use]
pub fn reply(event: &BounceEvent) -> String {
    in_full(event.diagnostic_code.as_deref(), &event.evidence)
}

/// The whole text that the deciding words stand in, on one line as the classifier reads it; else these alone.
fn in_full(text: Option<&str>, words: &str) -> String {
    let whole = text.map(|text| Source::new(EvidenceField::DiagnosticCode, text).text).unwrap_or_default();
    if whole.contains(words) { whole } else { words.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(kind: &str, stream: i64, day: i64) -> CountedDay {
        CountedDay { kind: kind.to_owned(), stream, day }
    }

    #[test]
    fn days_count_within_their_window_and_in_one_stream() {
        let policy = Policy::default();
        let now = "2026-11-21T20:00:00Z".parse().unwrap();
        let today = day_of(now);
        let days = [
            day("mailbox_full", 0, today),
            day("mailbox_full", 7, today - 2),
            day("mailbox_full", 7, today - 1),
            day("mailbox_full", 7, today),
            day("soft", 0, today - 300),
        ];
        let of = policy.mailbox_full_count;
        assert_eq!(progress(&policy, &days, None, now), [Counted { kind: "mailbox_full", days: 3, of }]);
        // Codes without words that are known count in all streams together, as they suppress in all.
        let codes =
            [day("unconfirmed", 7, today), day("unconfirmed", 9, today), day("unconfirmed", 9, today - 1)];
        let of = 3;
        let policy = Policy { unconfirmed_days: of, ..Policy::default() };
        assert_eq!(progress(&policy, &codes, Some(7), now), [Counted { kind: "unconfirmed", days: 2, of }]);
        let codes = [day("unconfirmed", 7, today), day("unconfirmed", 9, today - 1)];
        assert_eq!(progress(&policy, &codes, Some(7), now), [Counted { kind: "unconfirmed", days: 2, of }]);
    }

    #[test]
    fn what_is_known_of_an_address_that_can_be_mailed_is_said_in_one_line() {
        assert_eq!(ok(0, &[], None, None), "ok");
        assert_eq!(ok(1, &[], None, None), "ok; 1 unproven bounce waits: dsnd quarantine list");
        let full = Counted { kind: "mailbox_full", days: 3, of: 5 };
        assert_eq!(
            ok(2, &[full], Some(4), None),
            "ok; 2 unproven bounces wait: dsnd quarantine list; a bounce waits in hold 4: dsnd holds show 4; \
             3 of 5 days with a full mailbox"
        );
    }
}
