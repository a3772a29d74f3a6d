//! The answer about an address in one sentence that a support person can read out: who said what, when, and what to do.

use jiff::Timestamp;

use super::super::evidence;
use super::super::output::counted;
use crate::classify::Class;
use crate::policy::{CounterKind, Policy, Reason, day_of};
use crate::store::{BounceEvent, CountedDay, Suppression, ToldEvent, Watched};

/// Days of a kind that are counted against an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(super) struct Counted {
    /// `soft`, `mailbox_full` or `unconfirmed`.
    pub(super) kind: &'static str,
    /// Days on which it bounced.
    pub(super) days: u32,
    /// So many suppress it.
    pub(super) of: u32,
}

/// How far an address is on the way to its threshold: in the stream in which that is farthest.
pub(super) fn progress(policy: &Policy, days: &[CountedDay], now: Timestamp) -> Vec<Counted> {
    let today = day_of(now);
    let of_kind = |kind: CounterKind| {
        let inside = |day: &&CountedDay| {
            day.kind == kind.as_str()
                && day.day <= today
                && today - day.day < i64::from(policy.window_days(kind))
        };
        let streams: Vec<i64> = days.iter().filter(inside).map(|day| day.stream).collect();
        let most = streams.chunk_by(|a, b| a == b).map(|days| days.len()).max()?;
        let of = match kind {
            CounterKind::Soft => policy.soft_count,
            CounterKind::MailboxFull => policy.mailbox_full_count,
            CounterKind::Unconfirmed => policy.unconfirmed_days,
        };
        Some(Counted { kind: kind.as_str(), days: u32::try_from(most).unwrap_or(u32::MAX), of })
    };
    [CounterKind::MailboxFull, CounterKind::Unconfirmed, CounterKind::Soft]
        .into_iter()
        .filter_map(of_kind)
        .collect()
}

/// Why an address is suppressed; `decided` is the report behind the entry, where it is still there.
pub(super) fn suppressed(entry: &Suppression, decided: Option<&BounceEvent>) -> String {
    let on = entry.changed_at.strftime("%Y-%m-%d");
    let why = match (entry.reason, entry.origin.as_str()) {
        (Reason::Complaint, _) => format!("the recipient complained on {on}"),
        (_, "import") => format!("an imported list put it here on {on}"),
        (_, "api") => format!("a program put it here on {on}"),
        (Reason::Manual, _) => format!("a person put it here on {on}"),
        _ => {
            let text = decided.map(reply).or_else(|| entry.evidence.clone()).unwrap_or_default();
            said(entry.remote_mta.as_deref(), &on.to_string(), &text, entry.class.as_deref())
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
pub(super) fn ok(watched: &Watched, counts: &[Counted], hold: Option<i64>) -> String {
    let mut parts = vec!["ok".to_owned()];
    if watched.unproven > 0 {
        let wait = if watched.unproven == 1 { "waits" } else { "wait" };
        let bounces = counted(watched.unproven, "unproven bounce");
        parts.push(format!("{bounces} {wait}: dsnd quarantine list"));
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
    parts.extend(watched.last_failure.as_ref().and_then(failing));
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
        text => format!("{host} said on {on}: \"{text}\""),
    }
}

/// The words of the host, on one line.
pub(super) fn reply(event: &BounceEvent) -> String {
    let whole = event.diagnostic_code.as_deref().map(evidence::folded).unwrap_or_default();
    if whole.contains(&event.evidence) { whole } else { event.evidence.clone() }
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
        assert_eq!(progress(&policy, &days, now), [Counted { kind: "mailbox_full", days: 3, of }]);
    }

    #[test]
    fn what_is_known_of_an_address_that_can_be_mailed_is_said_in_one_line() {
        let watched = |unproven| Watched { unproven, ..Watched::default() };
        assert_eq!(ok(&watched(0), &[], None), "ok");
        assert_eq!(ok(&watched(1), &[], None), "ok; 1 unproven bounce waits: dsnd quarantine list");
        let full = Counted { kind: "mailbox_full", days: 3, of: 5 };
        assert_eq!(
            ok(&watched(2), &[full], Some(4)),
            "ok; 2 unproven bounces wait: dsnd quarantine list; a bounce waits in hold 4: dsnd holds show 4; \
             3 of 5 days with a full mailbox"
        );
    }
}
