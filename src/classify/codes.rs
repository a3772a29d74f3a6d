//! The codes of the evidence, and which of them counts.

use std::borrow::Borrow;

use super::class::{Class, Severity};
use super::evidence::{Evidence, EvidenceField, Source};
use super::facts::Phase;
use super::registry;
use super::rules::Context;
use crate::report::Action;
use crate::status::{EnhancedStatusCode, ReplyCode, StatusClass};

/// The codes that count, and where they stand.
#[derive(Debug, Clone)]
pub(super) struct Codes {
    pub(super) status: Option<EnhancedStatusCode>,
    pub(super) reply_code: Option<ReplyCode>,
    pub(super) field: EvidenceField,
    pub(super) shown: String,
}

impl Codes {
    /// What rules are asked with beside a text.
    pub(super) fn context<'e>(
        &self,
        evidence: &'e Evidence,
        action: Option<Action>,
        phase: Option<Phase>,
    ) -> Context<'e> {
        Context { status: self.status, reply_code: self.reply_code, hosts: &evidence.hosts, action, phase }
    }
}

/// Order of evidence 2: the more precise code wins, and a transient reply is believed whatever the Status says.
pub(super) fn effective_codes(evidence: &Evidence) -> Codes {
    let reported = evidence
        .status
        .filter(|code| code.class != StatusClass::Success || evidence.action != Some(Action::Failed));
    let mut codes = Codes {
        status: reported,
        reply_code: None,
        field: if reported.is_some() { EvidenceField::Status } else { EvidenceField::Nothing },
        shown: reported.map(|code| code.to_string()).unwrap_or_default(),
    };
    let Some(source) = deciding(&evidence.sources, reported)
        .find(|source| source.status.is_some() || source.reply_code.is_some())
    else {
        return codes;
    };
    codes.reply_code = source.reply_code;
    let shown = source.codes.clone().map(|range| source.text[range].to_owned()).unwrap_or_default();
    if let Some(said) = source.status
        && reported.is_none_or(|reported| said.precision() >= reported.precision())
    {
        (codes.status, codes.field, codes.shown) = (Some(said), source.field, shown.clone());
    }
    // A queue that gave up says so; what it gave up on is the better answer.
    let expired = codes.status.is_some_and(|code| code.subject == 4 && code.detail == 7);
    if let (true, Some(last)) = (expired, source.last_error) {
        (codes.status, codes.field, codes.shown) = (Some(last), source.field, last.to_string());
    }
    let said_transient = source.status.is_some_and(|code| code.class == StatusClass::PersistentTransient)
        || source.reply_code.is_some_and(|code| code.class() == Some(StatusClass::PersistentTransient));
    let said_permanent = source.reply_code.is_some_and(|code| code.class() == Some(StatusClass::Permanent));
    if let Some(status) = &mut codes.status {
        if said_transient && status.class == StatusClass::Permanent {
            status.class = StatusClass::PersistentTransient;
            (codes.field, codes.shown) = (source.field, shown);
        } else if said_permanent
            && !said_transient
            && status.is_vague()
            && status.class == StatusClass::PersistentTransient
        {
            status.class = StatusClass::Permanent;
            (codes.field, codes.shown) = (source.field, shown);
        }
    } else {
        (codes.field, codes.shown) = (source.field, shown);
    }
    codes
}

/// The texts that may decide. Prose is the MTA's boilerplate around the host's words: it is asked only where
/// no diagnostic speaks, or where the code says nothing.
pub(super) fn deciding<T: Borrow<Source>>(
    sources: &[T],
    status: Option<EnhancedStatusCode>,
) -> impl Iterator<Item = &T> {
    let is_prose = |source: &T| source.borrow().field == EvidenceField::Text;
    let vague = status.is_none_or(EnhancedStatusCode::is_vague);
    let diagnosed = !sources.iter().all(is_prose);
    sources.iter().filter(move |source| !is_prose(source) || vague || !diagnosed)
}

/// Permanent unless a code says otherwise; a failure without any code has only its text.
pub(super) fn severity_of(codes: &Codes) -> Severity {
    let class = codes.status.map(|code| code.class).or_else(|| codes.reply_code.and_then(ReplyCode::class));
    class.map_or(Severity::Permanent, registry::severity)
}

/// What a bare reply code means (RFC 5321 §4.2.2–4.2.3). 550 and 554 are used for everything: they mean nothing.
pub(super) const fn class_of_reply(reply: ReplyCode) -> Option<Class> {
    Some(match reply.get() {
        421 => Class::RateLimited,
        431 | 452 | 455 => Class::RemoteSystem,
        552 | 422 => Class::MailboxFull,
        551 => Class::RecipientMoved,
        556 => Class::DomainInvalid, // RFC 7504 §4; 521 is as often said to a client as of a domain
        525 => Class::RecipientInactive, // RFC 5248 §2.4
        530 | 533..=535 | 538 => Class::SenderAuth,
        500..=504 | 555 => Class::ProtocolError,
        _ => return None,
    })
}
