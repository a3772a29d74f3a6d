//! Lists of sending services, and plain ones.

use jiff::Timestamp;

use super::Format;
use super::judge::{ListSettings, Skip};
use super::line::Line;
use super::ours::wrong;
use super::time;
use crate::address::Mailbox;
use crate::classify::evidence::{Evidence, EvidenceField, Source};
use crate::classify::{Basis, Class, Classification, Decision};
use crate::policy::Reason;
use crate::status::{EnhancedStatusCode, ReplyCode};
use crate::store::Entry;

/// Longest text that is kept as evidence, in octets.
const MAX_EVIDENCE: usize = 1_024;

/// What a record of one of these lists comes to.
pub(super) fn entry(
    format: Format,
    line: &Line<'_>,
    settings: &ListSettings,
) -> Result<Result<Entry, Skip>, String> {
    let mailbox = ListSettings::address(line.first(format.address_columns().0))?;
    let at = created(line, settings)?;
    let fresh = |reason: Reason, note: Option<String>| {
        let reason = settings.reason.unwrap_or(reason);
        Entry { note, ..settings.fresh(mailbox.to_string(), mailbox.comparison_form(), reason, at) }
    };
    let noted = |reason, note: &str| Ok(Ok(fresh(reason, Some(note.to_owned()))));
    match format {
        Format::Csv | Format::Ndjson | Format::Plain => Ok(Ok(fresh(Reason::Manual, None))),
        Format::Ses => match word(line, "reason").as_str() {
            "bounce" => noted(Reason::Hard, "Amazon SES: bounce"),
            "complaint" => noted(Reason::Complaint, "Amazon SES: complaint"),
            // Other lists with these two columns have our words.
            word => match Reason::from_name(word) {
                Some(reason) => Ok(Ok(fresh(reason, None))),
                None => Err(wrong("reason", line.text("reason").unwrap_or_default(), "BOUNCE or COMPLAINT")),
            },
        },
        Format::Postmark => match word(line, "suppressionreason").as_str() {
            "hardbounce" => noted(Reason::Hard, "Postmark: hard bounce"),
            "spamcomplaint" => noted(Reason::Complaint, "Postmark: spam complaint"),
            "manualsuppression" if word(line, "origin") == "recipient" => {
                noted(Reason::Manual, "Postmark: unsubscribed")
            }
            "manualsuppression" => noted(Reason::Manual, "Postmark: suppressed by hand"),
            _ => {
                let found = line.text("suppressionreason").unwrap_or_default();
                Err(wrong("SuppressionReason", found, "HardBounce, SpamComplaint or ManualSuppression"))
            }
        },
        Format::SendgridSpamReports => noted(Reason::Complaint, "SendGrid: spam report"),
        Format::MailgunComplaints => noted(Reason::Complaint, "Mailgun: complaint"),
        Format::SendgridInvalidEmails => {
            // It was never mailed, so that nothing here is the sending side's: its words tell the class at the most.
            let said = line.text("reason").map(bounded).unwrap_or_default();
            let judged = judged(&said, settings);
            let mut entry = fresh(Reason::Hard, Some("SendGrid: invalid address".to_owned()));
            if judged.decision == Decision::Suppress {
                class_by(&mut entry, judged, settings, at);
            }
            entry.evidence = Some(said).filter(|said| !said.is_empty());
            Ok(Ok(entry))
        }
        Format::SendgridUnsubscribes => {
            // SendGrid gives the addresses of one group as an array, and none of those that left everything.
            let group = line.first(&["groupname", "groupid"]).or(line.bare.then_some("of the list"));
            unsubscribed("SendGrid", "group", group, settings)
                .map_or(Ok(Err(Skip::OneGroup)), |note| noted(Reason::Manual, &note))
        }
        Format::MailgunUnsubscribes => {
            // "*" is everything.
            let tags = line.first(&["tags", "tag"]).map(|tags| tags.trim_matches(['[', ']', '"', '\'', ' ']));
            let tags = tags.filter(|tags| !tags.is_empty() && *tags != "*");
            unsubscribed("Mailgun", "tag", tags, settings)
                .map_or(Ok(Err(Skip::OneGroup)), |note| noted(Reason::Manual, &note))
        }
        Format::SendgridBlocks if settings.reason.is_none() => Ok(Err(Skip::Sender)),
        Format::SendgridBounces | Format::SendgridBlocks => {
            Ok(bounce("SendGrid", line, "status", "reason", settings, &mailbox, at))
        }
        Format::MailgunBounces => Ok(bounce("Mailgun", line, "code", "error", settings, &mailbox, at)),
    }
}

/// When the service put the address on its list; now where it does not say. Times ahead of us are not believed.
fn created(line: &Line<'_>, settings: &ListSettings) -> Result<Timestamp, String> {
    let Some(text) = line.first(&["created", "createdat", "lastupdatetime", "lastupdate"]) else {
        return Ok(settings.now);
    };
    let at = time::parse(text).ok_or_else(|| wrong("the time", text, "one that is understood"))?;
    Ok(at.min(settings.now))
}

fn word(line: &Line<'_>, name: &str) -> String {
    line.text(name).unwrap_or_default().to_ascii_lowercase()
}

/// The note of who unsubscribed; none where that was from one group only and nobody said which stream that is.
fn unsubscribed(service: &str, sort: &str, group: Option<&str>, settings: &ListSettings) -> Option<String> {
    match group {
        None => Some(format!("{service}: unsubscribed")),
        Some(group) if settings.stream.is_some() => {
            let group: String = group.chars().take(200).collect();
            Some(format!("{service}: unsubscribed from {sort} {group}"))
        }
        Some(_) => None,
    }
}

/// A bounce, which is judged by its own words as any other: whether it is one that costs the recipient anything. Where
/// there are none, or a code of a failure, the service's word counts; words alone that no rule knows may mean anything.
fn bounce(
    service: &str,
    line: &Line<'_>,
    code: &str,
    text: &str,
    settings: &ListSettings,
    mailbox: &Mailbox,
    at: Timestamp,
) -> Result<Entry, Skip> {
    let (code, said) = (line.text(code).unwrap_or_default(), line.text(text).unwrap_or_default());
    // The code is the service's own summary; where the text has one as well, that is more precise.
    let whole = if said.is_empty() || !said.starts_with(|c: char| c.is_ascii_digit()) {
        format!("{code} {said}")
    } else {
        said.to_owned()
    };
    let whole = bounded(whole.trim());
    if settings.reason.is_none() && ReplyCode::prefix(&whole).is_some_and(|code| code.get() < 400) {
        return Err(Skip::Soft); // it was delivered
    }
    let judged = judged(&whole, settings);
    let mut entry = {
        let reason = settings.reason.unwrap_or(Reason::Hard);
        settings.fresh(mailbox.to_string(), mailbox.comparison_form(), reason, at)
    };
    entry.note = Some(format!("{service}: bounce"));
    entry.evidence = Some(whole).filter(|text| !text.is_empty());
    let unclear = judged.class == Class::Undetermined || Basis::of(&judged.rule) == Basis::Unconfirmed;
    let coded = code.bytes().any(|byte| byte.is_ascii_digit())
        || ReplyCode::find_failure(said).is_some()
        || EnhancedStatusCode::find(said).is_some();
    if settings.reason.is_none() && unclear && !coded && entry.evidence.is_some() {
        return Err(Skip::Unclear);
    }
    if settings.reason.is_none() && !unclear {
        match judged.decision {
            Decision::Suppress => {}
            Decision::Complaint => entry.reason = Reason::Complaint,
            Decision::Count => return Err(Skip::Soft),
            Decision::Host | Decision::Sender | Decision::Ignore => return Err(Skip::Sender),
        }
    }
    if !unclear {
        class_by(&mut entry, judged, settings, at);
    }
    Ok(entry)
}

/// What a text comes to, judged as that of any bounce.
fn judged(text: &str, settings: &ListSettings) -> Classification {
    let source = Source::new(EvidenceField::DiagnosticCode, text);
    settings.classifier.decide(&Evidence { sources: vec![source], ..Evidence::default() })
}

/// Gives an entry what its text was judged to say, with the end that goes with it.
fn class_by(entry: &mut Entry, judged: Classification, settings: &ListSettings, at: Timestamp) {
    entry.class = Some(judged.class.as_str().to_owned());
    entry.status = judged.effective_status.map(|status| status.to_string());
    entry.rule = Some(judged.rule);
    if entry.reason == Reason::Hard {
        entry.recheckable = judged.class.recheckable();
    }
    entry.expires_at = settings.end(entry.reason, entry.recheckable, at);
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_EVIDENCE)].to_owned()
}
