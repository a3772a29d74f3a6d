//! Our own lists: the fields of an entry, as `suppressions list --json` names them.

use jiff::SignedDuration;

use super::judge::ListSettings;
use super::line::Line;
use super::time;
use crate::classify::Class;
use crate::policy::Reason;
use crate::store::{Entry, is_hashed};

/// The fields in the order in which they are written.
pub(super) const FIELDS: [&str; 16] = [
    "address",
    "stream",
    "stream_name",
    "reason",
    "class",
    "status",
    "rule",
    "remote_mta",
    "evidence",
    "note",
    "first_seen",
    "last_seen",
    "count",
    "expires_at",
    "recheckable",
    "soft_term_days",
];

/// Longest text of a field, in octets.
const MAX_TEXT: usize = 8 * 1024;

/// Most events under an entry that is imported, so that those to come can still be added.
const MAX_COUNT: i64 = u32::MAX as i64;

/// Reads an entry. Only the address has to be there; how the entry came to where it was exported (`origin`,
/// `changed_at`, `bounce`, `trust`) is passed over.
pub(super) fn entry(line: &Line<'_>, settings: &ListSettings) -> Result<Entry, String> {
    let address = line.text("address").ok_or("no address")?;
    // What was exported where addresses are hashed stands for the same person wherever the same key is used.
    let address_key = match is_hashed(address) {
        true if settings.hashed => address.to_owned(),
        true => return Err("a hashed address, and store.hash_key_file names no key".to_owned()),
        false => ListSettings::address(Some(address))?.comparison_form(),
    };
    let reason = match (settings.reason, line.text("reason")) {
        (Some(reason), _) => reason,
        (None, None) => Reason::Manual,
        (None, Some(word)) => {
            Reason::from_name(word).ok_or_else(|| wrong("reason", word, "soft, hard, manual or complaint"))?
        }
    };
    let last_seen = moment(line, "lastseen")?;
    let first_seen = moment(line, "firstseen")?;
    let last_seen = last_seen.or(first_seen).unwrap_or(settings.now);
    let first_seen = first_seen.unwrap_or(last_seen);
    if first_seen > last_seen {
        return Err("first_seen is after last_seen".to_owned());
    }
    // The clock of another machine may be a little ahead.
    if last_seen > settings.now + SignedDuration::from_hours(24) {
        return Err("last_seen is still to come".to_owned());
    }
    let recheckable = match line.text("recheckable") {
        None | Some("false" | "0") => false,
        Some("true" | "1") => true,
        Some(word) => return Err(wrong("recheckable", word, "true or false")),
    };
    // A column without a value says "for ever"; a list without the column says nothing.
    let expires_at = match moment(line, "expiresat")? {
        None if !line.has("expiresat") => settings.end(reason, recheckable, last_seen),
        end => end,
    };
    let fresh = settings.fresh(address.to_owned(), address_key, reason, last_seen);
    Ok(Entry {
        stream: stream(line, settings)?.unwrap_or(fresh.stream),
        class: class(line)?,
        status: text(line, "status")?,
        rule: text(line, "rule")?,
        remote_mta: text(line, "remotemta")?,
        evidence: text(line, "evidence")?,
        note: text(line, "note")?,
        first_seen,
        count: number(line, "count", MAX_COUNT)?.unwrap_or(1).max(1),
        expires_at,
        recheckable,
        soft_term_days: number(line, "softtermdays", 36_500)?
            .and_then(|days| u32::try_from(days).ok())
            .unwrap_or(fresh.soft_term_days),
        ..fresh
    })
}

fn stream(line: &Line<'_>, settings: &ListSettings) -> Result<Option<i64>, String> {
    let Some(named) = line.first(&["stream", "streamname"]) else { return Ok(None) };
    if settings.stream.is_some() {
        return Ok(None);
    }
    let number = (settings.streams)(named);
    number.map(Some).ok_or_else(|| {
        format!("{named:?} is no stream: [streams] names none so, and numbers go up to 16777215")
    })
}

fn text(line: &Line<'_>, name: &str) -> Result<Option<String>, String> {
    match line.get(name) {
        Some(text) if text.len() > MAX_TEXT => Err(format!("{name} is longer than {MAX_TEXT} octets")),
        text => Ok(text.map(str::to_owned)),
    }
}

fn class(line: &Line<'_>) -> Result<Option<String>, String> {
    match line.text("class") {
        Some(word) if Class::from_name(word).is_none() => Err(wrong("class", word, "a class of dsnd's")),
        class => Ok(class.map(str::to_owned)),
    }
}

fn moment(line: &Line<'_>, name: &str) -> Result<Option<jiff::Timestamp>, String> {
    let Some(text) = line.text(name) else { return Ok(None) };
    time::parse(text).map(Some).ok_or_else(|| wrong(name, text, "a time such as 2026-11-21T20:00:00Z"))
}

fn number(line: &Line<'_>, name: &str, most: i64) -> Result<Option<i64>, String> {
    let Some(text) = line.text(name) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (0..=most).contains(number));
    number.map(Some).ok_or_else(|| wrong(name, text, "a number"))
}

/// What stands where something else should.
pub(super) fn wrong(name: &str, found: &str, expected: &str) -> String {
    let found: String = found.chars().take(80).collect();
    format!("{name} is {found:?} and not {expected}")
}
