//! The words around an explanation, in both languages.

use crate::classify::guide::Language;
use crate::classify::{BounceType, Category, Class, Decision};
use crate::status::{EnhancedStatusCode, StatusClass};

/// Everything that a guide's print-out says by itself.
#[allow(missing_docs, reason = "each is what its name says")]
pub(in crate::cli) struct Words {
    pub(in crate::cli) kind: &'static str,
    pub(in crate::cli) category: &'static str,
    pub(in crate::cli) class: &'static str,
    pub(in crate::cli) decision: &'static str,
    pub(in crate::cli) replies: &'static str,
    pub(in crate::cli) reference: &'static str,
    pub(in crate::cli) line: &'static str,
    pub(in crate::cli) provider: &'static str,
    pub(in crate::cli) meaning: &'static str,
    pub(in crate::cli) action: &'static str,
    pub(in crate::cli) causes: &'static str,
    pub(in crate::cli) senders: &'static str,
    pub(in crate::cli) developers: &'static str,
    pub(in crate::cli) investigate: &'static str,
    pub(in crate::cli) examples: &'static str,
    pub(in crate::cli) related: &'static str,
    pub(in crate::cli) providers: &'static str,
    pub(in crate::cli) unregistered: &'static str,
    pub(in crate::cli) only_provider: &'static str,
    pub(in crate::cli) conclusion: &'static str,
    pub(in crate::cli) rule: &'static str,
    pub(in crate::cli) evidence: &'static str,
}

const ENGLISH: Words = Words {
    kind: "type",
    category: "category",
    class: "class",
    decision: "decision",
    replies: "with replies",
    reference: "defined in",
    line: "line",
    provider: "provider",
    meaning: "What it means",
    action: "What to do",
    causes: "Common causes",
    senders: "What senders do",
    developers: "What developers do",
    investigate: "How to investigate",
    examples: "Example replies",
    related: "Related codes",
    providers: "What providers use it for",
    unregistered: "not registered; explained by",
    only_provider: "not registered; a code of",
    conclusion: "What dsnd concludes from this line",
    rule: "rule",
    evidence: "because of",
};

const GERMAN: Words = Words {
    kind: "Typ",
    category: "Kategorie",
    class: "Klasse",
    decision: "Entscheidung",
    replies: "Antwortcodes",
    reference: "Quelle",
    line: "Zeile",
    provider: "Anbieter",
    meaning: "Was es bedeutet",
    action: "Was zu tun ist",
    causes: "Häufige Ursachen",
    senders: "Was Versender tun",
    developers: "Was Entwickler tun",
    investigate: "Wie man der Sache nachgeht",
    examples: "Beispielantworten",
    related: "Verwandte Codes",
    providers: "Was Anbieter damit melden",
    unregistered: "nicht registriert; erklärt durch",
    only_provider: "nicht registriert; ein Code von",
    conclusion: "Was dsnd aus dieser Zeile schließt",
    rule: "Regel",
    evidence: "weil",
};

/// The words of a language.
pub(in crate::cli) const fn words(language: Language) -> &'static Words {
    match language {
        Language::En => &ENGLISH,
        Language::De => &GERMAN,
    }
}

/// Hard or soft, and what that says.
pub(in crate::cli) const fn bounce(kind: BounceType, success: bool, language: Language) -> &'static str {
    let german = matches!(language, Language::De);
    match (kind, success) {
        (_, true) if german => "keiner: zugestellt",
        (_, true) => "none: success",
        (BounceType::Hard, _) if german => "Hard Bounce (dauerhafter Fehler)",
        (BounceType::Hard, _) => "hard bounce (permanent failure)",
        (BounceType::Soft, _) if german => "Soft Bounce (kein Beweis, dass die Adresse tot ist)",
        (BounceType::Soft, _) => "soft bounce (no proof that the address is dead)",
        (BounceType::None, _) if german => "kein Bounce",
        (BounceType::None, _) => "no bounce",
    }
}

/// What a code is about.
pub(in crate::cli) const fn category(category: Category, language: Language) -> &'static str {
    match (category, language) {
        (Category::Other, Language::En) => "other",
        (Category::Other, Language::De) => "sonstiges",
        (Category::Addressing, Language::En) => "addressing",
        (Category::Addressing, Language::De) => "Adressierung",
        (Category::Mailbox, Language::En) => "mailbox",
        (Category::Mailbox, Language::De) => "Postfach",
        (Category::System, Language::En) => "receiving mail system",
        (Category::System, Language::De) => "empfangendes Mailsystem",
        (Category::Network, Language::En) => "network/routing",
        (Category::Network, Language::De) => "Netz/Routing",
        (Category::Protocol, Language::En) => "SMTP dialogue",
        (Category::Protocol, Language::De) => "SMTP-Dialog",
        (Category::Content, Language::En) => "content",
        (Category::Content, Language::De) => "Inhalt",
        (Category::Policy, Language::En) => "security and policy",
        (Category::Policy, Language::De) => "Sicherheit und Richtlinien",
    }
}

/// What a decision does, behind its own word.
pub(in crate::cli) fn decision(decision: Decision, class: Class, language: Language) -> String {
    let german = language == Language::De;
    let does = match decision {
        Decision::Suppress if class.recheckable() && german => {
            "keine Mail mehr an diese Adresse; mit Wiedervorlage, falls der Host zurückkommt"
        }
        Decision::Suppress if class.recheckable() => {
            "no more mail to this address; recheckable, in case the host comes back"
        }
        Decision::Suppress if german => "keine Mail mehr an diese Adresse",
        Decision::Suppress => "no more mail to this address",
        Decision::Count if class.counts_host() && german => {
            "zählt für Adresse und Host; gesperrt wird erst bei Wiederholung"
        }
        Decision::Count if class.counts_host() => {
            "counts for address and host; suppresses only when it repeats"
        }
        Decision::Count if german => "zählt; gesperrt wird erst bei Wiederholung",
        Decision::Count => "counts; suppresses only when it repeats",
        Decision::Host if german => "wird nur Domain und Host angelastet",
        Decision::Host => "held against domain and host only",
        Decision::Sender if german => "liegt auf der eigenen Seite; die Adresse bleibt",
        Decision::Sender => "a matter of the sending side; the address stays",
        Decision::Complaint if german => "eine Beschwerde: keine Mail mehr an diese Adresse",
        Decision::Complaint => "a complaint: no more mail to this address",
        Decision::Ignore if german => "wird nur festgehalten",
        Decision::Ignore => "only recorded",
    };
    format!("{decision} ({does})")
}

/// Who uses a code for what: `Microsoft 365 uses it for: …`.
pub(in crate::cli) fn uses_it_for(provider: &str, name: &str, language: Language) -> String {
    let several = [" and ", " und "].iter().any(|and| provider.contains(and));
    match (language, several) {
        (Language::En, false) => format!("{provider} uses it for: {name}"),
        (Language::En, true) => format!("{provider} use it for: {name}"),
        (Language::De, false) => format!("{provider} meldet damit: {name}"),
        (Language::De, true) => format!("{provider} melden damit: {name}"),
    }
}

/// The code, number by number: `5 = permanent failure, 4 = network/routing, 2 = Bad connection`.
pub(in crate::cli) fn anatomy(code: EnhancedStatusCode, name: Option<&str>, language: Language) -> String {
    let german = language == Language::De;
    let class = match code.class {
        StatusClass::Success if german => "Erfolg",
        StatusClass::Success => "success",
        StatusClass::PersistentTransient if german => "vorübergehender Fehler",
        StatusClass::PersistentTransient => "temporary failure",
        StatusClass::Permanent if german => "dauerhafter Fehler",
        StatusClass::Permanent => "permanent failure",
    };
    let subject = category(Category::of_subject(code.subject), language);
    let detail = name.map(|name| format!(", {} = {name}", code.detail)).unwrap_or_default();
    format!("{} = {class}, {} = {subject}{detail}", code.class.digit(), code.subject)
}

/// The German label of a fact, from its English one; the same where there is none.
pub(in crate::cli) fn fact(label: &str) -> &str {
    match label {
        "listed ip" => "gelistete IP",
        "blocklist" => "Sperrliste",
        "lookup url" => "nachzusehen bei",
        "retry after" => "erneut nach",
        "new address" => "neue Adresse",
        "remote host" => "Gegenstelle",
        "remote ip" => "IP Gegenstelle",
        "phase" => "Phase",
        other => other,
    }
}
