//! What today's rules say of an event that was stored: from the raw message where it is kept, else from the fields that
//! were read from it.

use super::{add_nameless, assess, digest, event_key};
use crate::address::domain_of;
use crate::classify::evidence::{Evidence, EvidenceField, Source};
use crate::classify::{Basis, Class, Classification, Classifier, Decision, Severity};
use crate::report::{Action, Report};
use crate::returnpath::{ReturnPath, ReturnPaths};
use crate::smtp::PeerAddress;
use crate::smtp::command::forward_path;
use crate::store::{NewEvent, StoredEvent};

/// A raw message that was read anew: the key of each of its recipient groups, and what it means.
#[derive(Debug, Clone, Default)]
pub struct Reread(Vec<([u8; 32], Classification)>);

impl Reread {
    /// Reads the message of a stored event.
    #[must_use]
    pub fn of(classifier: &Classifier, return_paths: &ReturnPaths, event: &StoredEvent, raw: &[u8]) -> Self {
        let content = digest(raw, event.received_at);
        let paths: Vec<ReturnPath> = event
            .return_paths
            .iter()
            .filter_map(|path| forward_path(path))
            .map(|path| return_paths.accepted(&path))
            .collect();
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // As it was read when it came in.
            let from_file = event.peer == PeerAddress::File.to_string();
            let mut report =
                if from_file { Report::parse(raw) } else { Report::received(raw, &event.reverse_path) };
            add_nameless(&mut report, &paths);
            let groups = report.recipients.iter().enumerate();
            let judged = groups.map(|(index, fields)| {
                (event_key(&content, index), assess(classifier, &report, fields).classification)
            });
            judged.collect()
        }));
        Self(read.unwrap_or_default())
    }

    /// What it means for an event of it; `None` where it has no such group any more.
    fn find(&self, event: &StoredEvent) -> Option<&Classification> {
        let digest: Option<[u8; 32]> = event.digest.as_slice().try_into().ok();
        let is_of = |group: &[u8; 32]| {
            let attributed = NewEvent::attributed_key(group, &event.recipient_key);
            // Schema 1 kept an event under the key of its group alone.
            let mut keys = vec![*group, attributed, NewEvent::applied_key(&attributed)];
            keys.extend(digest.map(|digest| NewEvent::repeated_key(&attributed, &digest)));
            keys.iter().any(|key| key.as_slice() == event.key)
        };
        self.0.iter().find(|(group, _)| is_of(group)).map(|(_, classification)| classification)
    }
}

/// What an event means by today's rules, where that can be told: from its message, else from its fields where they hold
/// all that it was concluded from.
#[must_use]
pub fn reassess(
    classifier: &Classifier,
    event: &StoredEvent,
    reread: Option<&Reread>,
) -> Option<Classification> {
    match reread.and_then(|reread| reread.find(event)) {
        Some(classification) => Some(classification.clone()),
        None => Some(classifier.decide(&evidence(event)?)),
    }
}

/// The evidence that is stored with an event. `None` where the conclusion rests on what is not: the text for people, an
/// extension field, the fields of a complaint.
fn evidence(stored: &StoredEvent) -> Option<Evidence> {
    let event = &stored.event;
    let told = [EvidenceField::Action, EvidenceField::Status, EvidenceField::DiagnosticCode];
    if stored.kind != "dsn" || !told.iter().any(|field| field.as_str() == event.evidence_field) {
        return None;
    }
    let host = |name: &Option<String>| {
        let name = name.as_deref()?.split_whitespace().next()?.trim_end_matches('.').to_lowercase();
        (!name.is_empty()).then_some(name)
    };
    let domain = domain_of(&stored.recipient_key).map(str::to_owned);
    let diagnostic = event.diagnostic_code.as_deref().filter(|text| !text.trim().is_empty());
    let action = event.action.as_deref().and_then(action_of);
    Some(Evidence {
        action,
        status: event.status.as_deref().and_then(|status| status.parse().ok()),
        // The field itself is not stored; what was concluded from it is.
        will_retry: action.is_none() && event.class == Class::Delayed.as_str(),
        sources: diagnostic
            .map(|text| Source::new(EvidenceField::DiagnosticCode, text))
            .into_iter()
            .collect(),
        hosts: [host(&event.remote_mta), host(&stored.reporting_mta), domain].into_iter().flatten().collect(),
        guessed: was_guessed(stored),
        remote_mta: host(&event.remote_mta),
    })
}

/// Whether permanent evidence was only counted, as it is where the recipient was guessed. A code beside a text that no rule
/// knew is counted, too.
fn was_guessed(stored: &StoredEvent) -> bool {
    let event = &stored.event;
    let suppresses = Class::from_name(&event.class)
        .is_some_and(|class| class.decision(Severity::Permanent) == Decision::Suppress);
    let permanent = event.effective_status.as_deref().is_some_and(|status| status.starts_with('5'));
    let guessed = event.decision == Decision::Count.as_str() && Basis::of(&event.rule) != Basis::Unconfirmed;
    suppresses && permanent && guessed
}

fn action_of(keyword: &str) -> Option<Action> {
    let all = [Action::Failed, Action::Delayed, Action::Delivered, Action::Relayed, Action::Expanded];
    all.into_iter().find(|action| action.as_str() == keyword)
}
