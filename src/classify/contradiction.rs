//! What speaks against a code: the text beside it, where it blames somebody else or says more than the code
//! does; and the guards, which have the last word before a suppression.

use super::built_in::BuiltIn;
use super::evidence::{EvidenceField, Source};
use super::rules::{Context, Rule, RuleMatch};
use super::{
    Asked, Basis, BounceType, Category, Class, Classification, Classifier, Codes, Decision, Severity,
    by_rule, category_of, deciding, excerpt, result, severity_of, words,
};
use crate::status::ReplyCode;

impl Classification {
    /// Whether it is counted until a second one on another day confirms it.
    pub(super) fn is_unconfirmed(&self) -> bool {
        Basis::of(&self.rule) == Basis::Unconfirmed
    }

    /// The same, counted until a second one on another day confirms it.
    fn unconfirmed(&self) -> Self {
        let code = self.rule.split_once('.').map_or(self.rule.as_str(), |(_, code)| code);
        let rule = BuiltIn::Unconfirmed.named(code);
        Self { rule, decision: Decision::Count, bounce_type: BounceType::Soft, ..self.clone() }
    }
}

/// A rule that is content with one word is not heard in prose.
pub(super) fn heard(rule: &Rule, source: &Source) -> bool {
    !rule.is_topic() || source.field != EvidenceField::Text
}

impl Classifier {
    /// Order of evidence 4 and 6: what the text says where the code alone decided. A text of another party's class
    /// contradicts a code of the recipient's, unless it also says that the recipient is unknown or inactive; a vague
    /// code leaves the decision to the text; and what no rule knows does not confirm a code that suppresses.
    pub(super) fn by_contradiction(
        &self,
        texts: &[Asked<'_>],
        context: Context<'_>,
        codes: &Codes,
        by_code: &Classification,
    ) -> Option<Classification> {
        let texts: Vec<&Asked<'_>> = deciding(texts, codes.status).collect();
        let decided = |(found, source)| by_rule(found, source, severity_of(codes), codes);
        if by_code.class.decision(Severity::Permanent) == Decision::Suppress {
            return self.against_the_recipient(&texts, context, codes, by_code);
        }
        if codes.status.is_some_and(|code| code.subject == 7 && code.detail <= 1) {
            // "Delivery not authorized" is said of dead addresses, too; a domain in it may be any.
            let dead = |rule: &Rule| rule.class.blames_recipient() && rule.class != Class::DomainInvalid;
            return replies(&texts).find_map(|text| said(text, context, dead)).map(decided);
        }
        if by_code.class == Class::MailboxFull {
            return against_a_full_mailbox(&texts, context, codes);
        }
        let vague = matches!(by_code.class, Class::Undetermined | Class::ProtocolError);
        if !vague && codes.status.is_some() {
            return None;
        }
        texts.iter().find_map(|text| {
            let said = said(text, context, |rule| heard(rule, text.source)).map(decided);
            said.or_else(|| about_the_sender(text, codes))
        })
    }

    /// A code that suppresses, and the texts beside it.
    fn against_the_recipient(
        &self,
        texts: &[&Asked<'_>],
        context: Context<'_>,
        codes: &Codes,
        by_code: &Classification,
    ) -> Option<Classification> {
        let network =
            codes.status.is_some_and(|code| Category::of_subject(code.subject) == Category::Network);
        let agrees = |class: Class| match class {
            Class::HostUnreachable | Class::BadConnection => network,
            class => class.decision(Severity::Permanent) == Decision::Suppress,
        };
        if network && severity_of(codes) == Severity::Transient {
            return None; // what passes by itself is counted whatever is said of it
        }
        let name = codes.status.map_or("", |code| self.registry().lookup(code).entry.name.as_str());
        let decided = |(found, source)| by_rule(found, source, severity_of(codes), codes);
        for text in texts {
            if let Some(found) = said(text, context, |rule| agrees(rule.class)) {
                // A host that says that it does not know the recipient did answer.
                let class = found.0.rule.class;
                let answered = network && class != by_code.class && category_of(class) != Category::Network;
                return answered.then(|| decided(found));
            }
            if words::says_nothing(&text.source.text, name) {
                continue;
            }
            // "Scanned for viruses" is what gateways write below everything.
            let footer = |rule: &Rule| rule.class == Class::Virus && text.source.field == EvidenceField::Text;
            let other = |rule: &Rule| heard(rule, text.source) && !agrees(rule.class) && !footer(rule);
            let said = said(text, context, other).map(decided);
            if let Some(result) = said.or_else(|| about_the_sender(text, codes)) {
                return Some(result);
            }
        }
        let unknown = replies(texts).any(|text| !words::says_nothing(&text.source.text, name));
        (unknown && by_code.decision == Decision::Suppress).then(|| by_code.unconfirmed())
    }
}

/// A code of a full mailbox, and texts about a rate, a size or the sender's own quota.
fn against_a_full_mailbox(
    texts: &[&Asked<'_>],
    context: Context<'_>,
    codes: &Codes,
) -> Option<Classification> {
    let full = |rule: &Rule| rule.class == Class::MailboxFull;
    if texts.iter().any(|text| said(text, context, full).is_some()) {
        return None;
    }
    let other = |rule: &Rule| {
        matches!(rule.class, Class::RateLimited | Class::Greylisted | Class::MessageTooLarge)
            || rule.class.decision(Severity::Permanent) == Decision::Sender
    };
    replies(texts).find_map(|text| {
        let said = said(text, context, other);
        let decided = said.map(|(found, source)| by_rule(found, source, severity_of(codes), codes));
        decided.or_else(|| about_the_sender(text, codes))
    })
}

/// The first rule that is `wanted` and finds its words in a text, whatever the code.
fn said<'a>(
    text: &Asked<'a>,
    context: Context<'_>,
    wanted: impl Fn(&Rule) -> bool,
) -> Option<(RuleMatch<'a>, &'a Source)> {
    Some((text.search().find_for_any_code(context, wanted)?, text.source))
}

/// What a guard says against a suppression: words that leave no doubt that the recipient is not at fault
/// (contract 5).
pub(super) fn objection(
    texts: &[Asked<'_>],
    context: Context<'_>,
    codes: &Codes,
    suppressing: &Classification,
) -> Option<Classification> {
    if let Some(reply) = codes.reply_code.filter(speaks_of_our_login) {
        let (severity, rule) = (severity_of(codes), BuiltIn::Reply.named(reply));
        return Some(result(Class::SenderAuth, severity, rule, codes.field, &codes.shown, codes));
    }
    // Prose may speak of other recipients, too: it is heard only where it decided.
    let heard = |text: &&Asked<'_>| {
        text.source.field != EvidenceField::Text || suppressing.evidence_field == EvidenceField::Text
    };
    deciding(texts, suppressing.effective_status).filter(heard).find_map(|text| {
        let found = text.search().find_guard(context)?;
        Some(by_rule(found, text.source, severity_of(codes), codes))
    })
}
/// The texts without the prose around them, in which there is always something that no rule knows.
fn replies<'t, 'a>(texts: &[&'t Asked<'a>]) -> impl Iterator<Item = &'t Asked<'a>> {
    texts.iter().copied().filter(|text| text.source.field != EvidenceField::Text)
}

/// RFC 4954 §6: the login at our own host failed, whatever user is unknown.
fn speaks_of_our_login(reply: &ReplyCode) -> bool {
    matches!(reply.get(), 534 | 535 | 538)
}

/// What follows where a reply speaks of the sender in words that no rule knows.
fn about_the_sender(text: &Asked<'_>, codes: &Codes) -> Option<Classification> {
    let source = text.source;
    if source.field == EvidenceField::Text {
        return None;
    }
    let found = text.search().senders().first()?;
    let (shown, rule) = (excerpt(source, found.start, found.end), BuiltIn::AboutTheSender.named(""));
    Some(result(Class::SenderAuth, severity_of(codes), rule, source.field, &shown, codes))
}
