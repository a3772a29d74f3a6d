//! What must hold under every code: a fault of ours never suppresses, and a dead address is found however little its
//! code says. The texts stand in `tests/data`, a line each.

use super::*;

const OUR_OWN_FAULT: &str = include_str!("../../tests/data/our-own-fault.txt");
const DEAD_RECIPIENT: &str = include_str!("../../tests/data/dead-recipient.txt");
const QUEUE: &str = include_str!("../../tests/data/queue-texts.txt");

/// Every code that suppresses by itself, with the reply it comes with.
const SUPPRESSING: &[&str] = &[
    "550 5.1.1",
    "550 5.1.2",
    "553 5.1.3",
    "550 5.1.6",
    "556 5.1.10",
    "550 5.2.1",
    "550 5.4.1",
    "550 5.4.2",
    "550 5.4.4",
    "525 5.7.13",
    "556",
    "551",
];

/// Codes that say nothing of the recipient, or next to nothing.
const VAGUE: &[&str] =
    &["550", "554", "553", "550 5.0.0", "550 5.1.0", "550 5.2.0", "554 5.5.0", "550 5.7.1", "554 5.7.0"];

fn lines(text: &'static str) -> Vec<&'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

fn say(classifier: &Classifier, code: &str, text: &str) -> Classification {
    let source = Source::new(EvidenceField::DiagnosticCode, &format!("{code} {text}"));
    classifier.decide(&Evidence { sources: vec![source], ..Evidence::default() })
}

#[test]
fn a_fault_of_our_own_never_suppresses_under_any_code() {
    let classifier = Classifier::embedded().unwrap();
    let texts = lines(OUR_OWN_FAULT);
    assert!(texts.len() >= 60);
    let mut wrong = Vec::new();
    for text in texts {
        for code in SUPPRESSING {
            let result = say(&classifier, code, text);
            // What is unconfirmed suppresses on the second day.
            if result.decision == Decision::Suppress || result.is_unconfirmed() {
                wrong.push(format!("{code} {text}: {} by {}", result.class, result.rule));
            }
        }
    }
    assert!(wrong.is_empty(), "{} suppressed:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_a_guard_knows_costs_no_recipient_on_any_day() {
    let classifier = Classifier::embedded().unwrap();
    let guards = classifier.rules().iter().filter(|rule| rule.is_guard());
    let lines: Vec<&String> =
        guards.flat_map(|rule| &rule.phrases).flat_map(|phrase| &phrase.examples).collect();
    assert!(lines.len() > 20);
    for line in lines {
        let source = Source::new(EvidenceField::DiagnosticCode, line);
        let result = classifier.decide(&Evidence { sources: vec![source], ..Evidence::default() });
        assert!(result.decision != Decision::Suppress && !result.is_unconfirmed(), "{line}: {}", result.rule);
    }
}

#[test]
fn a_signature_below_a_reply_speaks_of_nobody() {
    let classifier = Classifier::embedded().unwrap();
    for signature in ["Your mail server", "Ihr Mailserver-Team", "Votre serveur de messagerie"] {
        let result = say(&classifier, "550 5.1.1", &format!("<a@example.org>: User unknown\n\n{signature}"));
        assert_eq!(
            (result.class, result.decision),
            (Class::RecipientUnknown, Decision::Suppress),
            "{signature}"
        );
    }
}

#[test]
fn a_guess_needs_three_days_whatever_stands_beside_it() {
    let classifier = Classifier::embedded().unwrap();
    let source = Source::new(EvidenceField::DiagnosticCode, "550 5.1.1 zyx qwv");
    let evidence = Evidence { sources: vec![source], guessed: true, ..Evidence::default() };
    let result = classifier.decide(&evidence);
    assert!(result.decision == Decision::Count && !result.is_unconfirmed(), "{}", result.rule);
}

#[test]
fn a_dead_recipient_suppresses_however_little_the_code_says() {
    let classifier = Classifier::embedded().unwrap();
    let texts = lines(DEAD_RECIPIENT);
    assert!(texts.len() >= 60);
    let mut wrong = Vec::new();
    for text in texts {
        for code in VAGUE {
            let result = say(&classifier, code, text);
            if result.decision != Decision::Suppress {
                wrong.push(format!("{code} {text}: {} {} by {}", result.class, result.decision, result.rule));
            }
        }
    }
    assert!(wrong.is_empty(), "{} kept:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_queue_that_gave_up_says_expired_or_what_it_met_last() {
    let classifier = Classifier::embedded().unwrap();
    let texts = lines(QUEUE);
    assert!(texts.len() >= 60);
    let mut wrong = Vec::new();
    for line in texts {
        let (class, text) = line.split_once(' ').unwrap();
        let source = Source::new(EvidenceField::DiagnosticCode, text);
        let result = classifier.decide(&Evidence { sources: vec![source], ..Evidence::default() });
        if result.class.as_str() != class || result.decision == Decision::Suppress {
            wrong.push(format!("{line}: {} {} by {}", result.class, result.decision, result.rule));
        }
    }
    assert!(wrong.is_empty(), "{} are otherwise:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_code_that_suppresses_is_unconfirmed_beside_a_text_that_no_rule_knows() {
    let classifier = Classifier::embedded().unwrap();
    for text in ["The purple hedgehog sleeps on tuesdays", "Zyx qwv", "gräme dich nicht"] {
        let result = say(&classifier, "550 5.1.1", text);
        assert!(
            Basis::of(&result.rule) == Basis::Unconfirmed && result.decision == Decision::Count,
            "{text}: {result:?}"
        );
        assert_eq!(
            (result.class, result.rule.as_str()),
            (Class::RecipientUnknown, "unconfirmed.5.1.1"),
            "{text}"
        );
    }
}

#[test]
fn a_text_that_says_nothing_beside_the_code_leaves_it_in_force() {
    let classifier = Classifier::embedded().unwrap();
    for text in [
        "",
        "<jane@example.org>",
        "Bad destination mailbox address",
        "<jane@example.org>: Recipient address rejected",
        "<jane@example.org>... Rejected (in reply to RCPT TO command)",
        "host mx.example.org[192.0.2.7] said: sorry, see https://help.example.org/?id=17",
    ] {
        let result = say(&classifier, "550 5.1.1", text);
        assert!(
            Basis::of(&result.rule) == Basis::Stated && result.decision == Decision::Suppress,
            "{text}: {result:?}"
        );
    }
}

#[test]
fn a_scanners_footer_takes_nothing_back() {
    let classifier = Classifier::embedded().unwrap();
    let code = Source::new(EvidenceField::Status, "5.1.1");
    let prose = Source::new(EvidenceField::Text, "Delivery failed. This mail was scanned for all viruses.");
    let result = classifier.decide(&Evidence { sources: vec![code, prose], ..Evidence::default() });
    assert_eq!((result.class, result.decision), (Class::RecipientUnknown, Decision::Suppress), "{result:?}");
}

#[test]
fn names_are_no_words_of_a_reply() {
    let classifier = Classifier::embedded().unwrap();
    for name in ["dmarc", "spf", "spam", "virus", "full", "greylist", "blocked", "quota", "relay", "policy"] {
        for line in [
            format!("550 5.1.1 <{name}@example.com>: Recipient address rejected: User unknown"),
            format!("550 No such user jane@{name}.example"),
            format!("550 <{name}@{name}-{name}.example> mailbox unavailable"),
            format!("550 5.1.1 {name}.example.org: user unknown"),
            format!("550 5.0.0 jane@{name}.example...User unknown"),
        ] {
            let result = say(&classifier, "", &line);
            assert_eq!(
                (result.class, result.decision),
                (Class::RecipientUnknown, Decision::Suppress),
                "{line}"
            );
        }
    }
}

/// The table explains a code to people; where it says another thing than the rules do, one of the two is wrong.
#[test]
fn the_providers_table_says_what_is_concluded_from_its_own_examples() {
    let classifier = Classifier::embedded().unwrap();
    let registry = classifier.registry();
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for entry in registry.provider_entries() {
        for line in &entry.examples {
            let source = Source::new(EvidenceField::DiagnosticCode, line);
            let class = source.status.map(|code| code.class);
            let class = class.or_else(|| source.reply_code.and_then(ReplyCode::class)).unwrap();
            let code = source.status.unwrap_or(EnhancedStatusCode::new(class, 0, 0));
            let told = entry.class(class).unwrap_or_else(|| registry.lookup(code).entry.class(class));
            let result = say(&classifier, "", line);
            asked += 1;
            if result.class != told {
                let said = format!("{line}: the table says {told}, {} says {}", result.rule, result.class);
                wrong.push(format!("{} {}: {said}", entry.provider, entry.code));
            }
        }
    }
    assert!(asked >= 100, "{asked} examples");
    assert!(wrong.is_empty(), "{} disagree:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_failed_login_says_nothing_of_the_recipient() {
    let classifier = Classifier::embedded().unwrap();
    for line in
        ["535 5.7.8 Authentication failed: user unknown", "535 5.1.1 User unknown", "535 No such user"]
    {
        let result = say(&classifier, "", line);
        assert_eq!(
            (result.class, result.decision),
            (Class::SenderAuth, Decision::Sender),
            "{line}: {result:?}"
        );
    }
}

#[test]
fn an_answer_of_the_host_contradicts_that_there_was_none() {
    let classifier = Classifier::embedded().unwrap();
    for (line, decision) in [
        ("550 5.4.1 Mail refused by the recipient's organization", Decision::Sender),
        ("550 5.4.1 No answer from host", Decision::Suppress),
        ("550 5.4.1 connect to mx.example.org[192.0.2.9]:25: Connection timed out", Decision::Suppress),
        ("550 5.4.2 Bad connection", Decision::Suppress),
        ("550 5.4.1 User unknown", Decision::Suppress),
        ("550 5.4.2 Your IP is blocked", Decision::Sender),
    ] {
        let result = say(&classifier, "", line);
        assert_eq!(result.decision, decision, "{line}: {result:?}");
    }
}
