//! What of an event matters to the list.

use super::{ANY_STREAM, EventChange, NewEvent};
use crate::address::{domain_of, host_name};
use crate::classify::{Basis, Class, Decision};
use crate::policy::{Change, KeyKind, Scope, Verdict};

/// What of an event matters to the list.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The address, as written.
    pub recipient: String,
    /// Its stored form.
    pub recipient_key: String,
    /// The sending stream.
    pub stream: i64,
    /// The host that said it.
    pub remote_mta: Option<String>,
    /// Our conclusion.
    pub class: Class,
    /// What it does.
    pub decision: Decision,
    /// The code that decided.
    pub effective_status: Option<String>,
    /// The rule that decided.
    pub rule: String,
    /// The text that decided.
    pub evidence: String,
}

impl Subject {
    /// That of an event on its way in.
    #[must_use]
    pub fn of(event: &NewEvent) -> Self {
        let result = &event.classification;
        Self {
            recipient: event.recipient.clone(),
            recipient_key: event.recipient_key.clone(),
            stream: event.stream,
            remote_mta: event.remote_mta.as_deref().and_then(host_name),
            class: result.class,
            decision: result.decision,
            effective_status: result.effective_status.map(|status| status.to_string()),
            rule: result.rule.clone(),
            evidence: result.evidence.clone(),
        }
    }

    /// What was concluded, as far as the list goes by it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict { class: self.class, decision: self.decision, basis: Basis::of(&self.rule) }
    }

    /// The domain of the address; empty where it has none.
    #[must_use]
    pub fn domain(&self) -> &str {
        domain_of(&self.recipient_key).unwrap_or_default()
    }

    /// What decided, in words.
    #[must_use]
    pub fn why(&self) -> String {
        let status = self.effective_status.as_ref().map(|status| format!(" {status}")).unwrap_or_default();
        format!("{}{status}: {} (rule {})", self.class.as_str(), self.evidence, self.rule)
    }

    /// The stream of an entry that reaches so far.
    #[must_use]
    pub const fn stream_of(&self, scope: Scope) -> i64 {
        match scope {
            Scope::Global => ANY_STREAM,
            Scope::Stream => self.stream,
        }
    }

    /// The stream of the counters that reach so far; `None` is all of them.
    pub(super) fn counters_of(&self, scope: Scope) -> Option<i64> {
        (scope == Scope::Stream).then_some(self.stream)
    }

    /// What the breaker counts it by, in the order in which that is asked.
    pub(super) fn rate_keys(&self) -> impl Iterator<Item = (KeyKind, &str)> {
        let name = |kind| match kind {
            KeyKind::Domain => self.domain(),
            KeyKind::RemoteMta => self.remote_mta.as_deref().unwrap_or_default(),
            KeyKind::Rule => &self.rule,
        };
        KeyKind::ALL.into_iter().map(move |kind| (kind, name(kind))).filter(|(_, name)| !name.is_empty())
    }
}

/// The word for what a change does.
#[must_use]
pub const fn said(change: &Change) -> EventChange {
    match change {
        Change::None => EventChange::None,
        Change::Count(_) => EventChange::Counted,
        Change::Suppress(_) => EventChange::Suppressed,
        Change::Seen(_) => EventChange::Seen,
        Change::Clear { .. } => EventChange::Cleared,
    }
}

/// What an event does that a person lets through.
#[derive(Debug)]
pub struct LetThrough {
    /// Decided as of its own time, by what stands now.
    pub change: Change,
    /// It would have suppressed, for a term that is over by now; the change is none then.
    pub over: bool,
    /// It puts an address on the list that was not on it.
    pub new: bool,
}
