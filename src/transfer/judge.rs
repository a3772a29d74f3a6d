//! What a record of a list comes to: an entry, something that is passed over, or a mistake.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::line::Line;
use super::{Format, ours, providers};
use crate::address::Mailbox;
use crate::classify::Classifier;
use crate::policy::{Policy, Reason};
use crate::store::{ANY_STREAM, AuditOrigin, Entry};

/// Numbers of streams by their names, or in digits.
pub type StreamNumbers = Arc<dyn Fn(&str) -> Option<i64> + Send + Sync>;

/// How a list is read.
#[derive(Clone)]
pub struct ListSettings {
    /// What it is; `None` where it tells itself.
    pub format: Option<Format>,
    /// Now.
    pub now: Timestamp,
    /// Terms, where the list gives none.
    pub policy: Policy,
    /// What judges the texts of bounces.
    pub classifier: Arc<Classifier>,
    /// Numbers of streams that lists name.
    pub streams: StreamNumbers,
    /// Puts every entry in this stream, whatever the list says.
    pub stream: Option<i64>,
    /// Gives every entry this reason, whatever the list says.
    pub reason: Option<Reason>,
    /// Gives every entry but complaints this end, whatever the list says.
    pub until: Option<Timestamp>,
    /// What entries are noted with that have no note.
    pub note: Option<String>,
    /// Addresses that dsnd's own lists have hashed can be kept: there is a key.
    pub hashed: bool,
}

impl std::fmt::Debug for ListSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListSettings")
            .field("format", &self.format)
            .field("now", &self.now)
            .field("stream", &self.stream)
            .field("reason", &self.reason)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// Records that were understood and make no entry, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportSkipped)]
pub struct Skipped {
    /// Their term is over.
    pub over: u64,
    /// A matter of the sending side: blocks, spam verdicts, failed authentication. They cost no recipient.
    pub sender: u64,
    /// Soft bounces: one does not suppress.
    pub soft: u64,
    /// Unsubscribed from one group or tag only, and no stream was named for it.
    pub one_group: u64,
    /// Bounces whose words no rule knows, without a code.
    pub unclear: u64,
}

impl std::ops::AddAssign for Skipped {
    fn add_assign(&mut self, other: Self) {
        self.over += other.over;
        self.sender += other.sender;
        self.soft += other.soft;
        self.one_group += other.one_group;
        self.unclear += other.unclear;
    }
}

impl Skipped {
    /// All of them.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.over + self.sender + self.soft + self.one_group + self.unclear
    }
}

/// Why a record makes no entry though nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skip {
    Over,
    Sender,
    Soft,
    OneGroup,
    Unclear,
}

impl Skipped {
    pub(super) fn count(&mut self, skip: Skip) {
        match skip {
            Skip::Over => self.over += 1,
            Skip::Sender => self.sender += 1,
            Skip::Soft => self.soft += 1,
            Skip::OneGroup => self.one_group += 1,
            Skip::Unclear => self.unclear += 1,
        }
    }
}

/// Judges a record of a list of that format; an error says what is wrong with it.
pub(super) fn judge(
    format: Format,
    line: &Line<'_>,
    settings: &ListSettings,
) -> Result<Result<Entry, Skip>, String> {
    let mut entry = if format.is_ours() {
        ours::entry(line, settings)?
    } else {
        match providers::entry(format, line, settings)? {
            Ok(entry) => entry,
            Err(skip) => return Ok(Err(skip)),
        }
    };
    if let Some(stream) = settings.stream {
        entry.stream = stream;
    }
    if let Some(until) = settings.until.filter(|_| entry.reason != Reason::Complaint) {
        entry.expires_at = Some(until);
    }
    if entry.expires_at.is_some_and(|end| end <= settings.now) {
        return Ok(Err(Skip::Over));
    }
    if entry.note.is_none() {
        entry.note.clone_from(&settings.note);
    }
    Ok(Ok(entry))
}

impl ListSettings {
    /// The address of a record, and its comparison form.
    pub(super) fn address(text: Option<&str>) -> Result<Mailbox, String> {
        let text = text.ok_or("no address")?;
        Mailbox::parse(text).map_err(|error| error.to_string())
    }

    /// An entry for that reason that began then, with the term that policy gives it.
    pub(super) fn fresh(&self, address: String, address_key: String, reason: Reason, at: Timestamp) -> Entry {
        Entry {
            address,
            address_key,
            stream: ANY_STREAM,
            reason,
            class: None,
            status: None,
            rule: None,
            remote_mta: None,
            evidence: None,
            note: None,
            first_seen: at,
            last_seen: at,
            count: 1,
            expires_at: self.end(reason, false, at),
            recheckable: false,
            soft_term_days: if reason == Reason::Soft { self.policy.soft_days } else { 0 },
            origin: AuditOrigin::Import,
            event: None,
            changed_at: self.now,
            ended: false,
        }
    }

    /// When an entry for a reason ends by policy that began then.
    pub(super) fn end(&self, reason: Reason, recheckable: bool, at: Timestamp) -> Option<Timestamp> {
        let days = match reason {
            Reason::Manual | Reason::Complaint => return None,
            Reason::Hard if recheckable => self.policy.recheckable_days,
            Reason::Hard => self.policy.hard_days,
            Reason::Soft => self.policy.soft_days,
        };
        at.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok()
    }
}
