//! The order of evidence, in the words of the field.

use super::*;

fn classifier() -> &'static Classifier {
    static CLASSIFIER: std::sync::OnceLock<Classifier> = std::sync::OnceLock::new();
    CLASSIFIER.get_or_init(|| Classifier::embedded().unwrap())
}

fn evidence(action: &str, status: &str, diagnostic: &str) -> Evidence {
    let mut evidence = Evidence {
        action: match action {
            "failed" => Some(Action::Failed),
            "delayed" => Some(Action::Delayed),
            "relayed" => Some(Action::Relayed),
            "delivered" => Some(Action::Delivered),
            _ => None,
        },
        status: status.parse().ok(),
        ..Evidence::default()
    };
    if !diagnostic.is_empty() {
        evidence.sources.push(Source::new(EvidenceField::DiagnosticCode, diagnostic));
    }
    evidence
}

fn decide(action: &str, status: &str, diagnostic: &str) -> Classification {
    classifier().decide(&evidence(action, status, diagnostic))
}

#[track_caller]
fn expect(action: &str, status: &str, diagnostic: &str, class: Class, decision: Decision) -> Classification {
    let result = decide(action, status, diagnostic);
    assert_eq!(
        (result.class, result.decision),
        (class, decision),
        "{action} {status} {diagnostic}: {result:?}"
    );
    result
}

#[test]
fn the_action_comes_first() {
    expect("delayed", "5.1.1", "550 5.1.1 no such user", Class::Delayed, Decision::Ignore);
    expect("relayed", "2.0.0", "", Class::Delivered, Decision::Ignore);
    expect("delivered", "5.1.1", "", Class::Delivered, Decision::Ignore);
    expect("", "2.1.5", "", Class::Delivered, Decision::Ignore);
}

#[test]
fn a_delayed_report_that_says_it_gave_up_is_expired() {
    let result = expect("delayed", "4.4.7", "Envelope expired", Class::Expired, Decision::Count);
    assert_eq!(result.rule, "delayed.given-up");
}

#[test]
fn failed_with_a_transient_code_is_soft() {
    for status in ["4.1.1", "4.4.1", "4.4.2", "4.1.2"] {
        let result = decide("failed", status, "");
        assert_eq!(
            (result.decision, result.bounce_type),
            (Decision::Count, BounceType::Soft),
            "{status}: {result:?}"
        );
    }
}

#[test]
fn the_more_precise_code_wins() {
    let result = expect("failed", "5.0.0", "550 5.1.1 gone", Class::RecipientUnknown, Decision::Suppress);
    assert_eq!(result.effective_status.unwrap().to_string(), "5.1.1");
    assert_eq!((result.rule.as_str(), result.evidence.as_str()), ("iana.5.1.1", "550 5.1.1"));
    assert_eq!(result.evidence_field, EvidenceField::DiagnosticCode);
    let result = expect("failed", "5.1.1", "550 5.0.0 x", Class::RecipientUnknown, Decision::Suppress);
    assert_eq!((result.evidence.as_str(), result.evidence_field), ("5.1.1", EvidenceField::Status));
}

#[test]
fn a_transient_reply_is_believed_whatever_the_status_claims() {
    expect("failed", "5.2.0", "450 4.2.0 try again", Class::Undetermined, Decision::Count);
    expect("failed", "5.4.2", "421 4.4.2 bad connection", Class::BadConnection, Decision::Count);
    expect("failed", "5.1.1", "450 mailbox unavailable", Class::RecipientUnknown, Decision::Count);
    expect("failed", "5.0.0", "450 4.1.1 unknown for now", Class::RecipientUnknown, Decision::Count);
}

#[test]
fn microsofts_access_denied_is_an_unknown_recipient_and_relaying_is_not() {
    let result = expect(
        "failed",
        "5.4.1",
        "550 5.4.1 Recipient address rejected: Access denied. [x.protection.outlook.com]",
        Class::RecipientUnknown,
        Decision::Suppress,
    );
    assert_eq!(result.rule, "microsoft.directory-edge-blocking");
    expect("failed", "5.4.1", "550 5.4.1 Relay Access Denied", Class::RelayDenied, Decision::Host);
}

#[test]
fn the_codes_of_the_guidance_suppress_and_their_transient_twins_count() {
    expect("failed", "5.4.1", "", Class::HostUnreachable, Decision::Suppress);
    expect("failed", "5.4.2", "", Class::BadConnection, Decision::Suppress);
    expect("failed", "4.4.2", "421 4.4.2 Bad connection", Class::BadConnection, Decision::Count);
}

#[test]
fn our_own_faults_are_the_operators_business() {
    expect(
        "failed",
        "5.7.1",
        "550 5.7.1 Client host [192.0.2.1] blocked using bl.example",
        Class::SenderBlocked,
        Decision::Sender,
    );
    expect("failed", "5.7.1", "550 5.7.1 This message looks like spam", Class::SpamContent, Decision::Sender);
    expect("failed", "5.7.26", "550 5.7.26 unauthenticated", Class::SenderAuth, Decision::Sender);
    expect("failed", "5.3.4", "552 5.3.4 too big", Class::MessageTooLarge, Decision::Ignore);
}

#[test]
fn a_full_mailbox_counts_even_with_a_permanent_code() {
    expect("failed", "5.2.2", "552 5.2.2 quota exceeded", Class::MailboxFull, Decision::Count);
    expect("failed", "5.0.0", "552 mailbox full", Class::MailboxFull, Decision::Count);
}

#[test]
fn without_a_code_the_reply_and_then_the_text_decide() {
    expect("failed", "", "550 no such user here", Class::RecipientUnknown, Decision::Suppress);
    expect("failed", "", "552 storage allocation", Class::MailboxFull, Decision::Count);
    expect("failed", "", "550 xyzzy", Class::Undetermined, Decision::Count);
    expect("failed", "", "user unknown", Class::RecipientUnknown, Decision::Suppress);
    let result = expect("failed", "", "", Class::Undetermined, Decision::Count);
    assert_eq!(result.evidence_field, EvidenceField::Nothing);
}

#[test]
fn an_unregistered_code_falls_back() {
    let result = expect("failed", "5.7.999", "", Class::Policy, Decision::Sender);
    assert_eq!(result.rule, "iana.5.7.0");
}

#[test]
fn prose_is_asked_only_where_the_diagnostic_says_nothing() {
    let mut evidence = evidence("failed", "5.2.2", "552 5.2.2 full");
    evidence.sources.push(Source::new(EvidenceField::Text, "550 5.1.1 no such user"));
    assert_eq!(classifier().decide(&evidence).class, Class::MailboxFull);
    evidence.status = "5.0.0".parse().ok();
    evidence.sources.remove(0);
    assert_eq!(classifier().decide(&evidence).class, Class::RecipientUnknown);
}

proptest::proptest! {
    #[test]
    fn nothing_said_makes_it_panic(status in "[245]\\.[0-9]{1,3}\\.[0-9]{1,3}|", diagnostic in "\\PC{0,300}") {
        let result = decide("failed", &status, &diagnostic);
        proptest::prop_assert!(!result.rule.is_empty());
    }
}
