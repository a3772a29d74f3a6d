//! The explanation of a code for a person, gathered from the registry in one language.

mod answer;
mod choose;
mod query;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use answer::{Answer, Conclusion};
pub use choose::Said;
pub use query::{Query, QueryError};

use super::registry::{CodePattern, Explanation, ProviderCode, Registry, Reply, severity};
use super::{BounceType, Category, Class, Decision};
use crate::status::{EnhancedStatusCode, ReplyCode, StatusClass};

/// The language of explanations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
}

/// What there is to say about a code. The field names are those of `dsnd status --json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatusCodeGuide)]
pub struct Guide<'r> {
    /// The enhanced status code, or the reply code.
    pub code: String,
    /// Whether this very code is registered.
    pub registered: bool,
    /// The code whose entry explains it, where that is another.
    pub explained_by: Option<String>,
    /// Whose entry explains it, where that is a provider's.
    pub provider: Option<&'r str>,
    /// What it is called.
    pub name: &'r str,
    /// What dsnd concludes where the text says no more than the code; a bare reply code has it from the
    /// classifier, not from here.
    #[serde(flatten)]
    pub verdict: Option<Verdict>,
    /// What it means.
    pub meaning: &'r str,
    /// What to do.
    pub action: &'r str,
    /// Common causes.
    pub causes: &'r [String],
    /// What senders do.
    pub senders: &'r [String],
    /// What developers do.
    pub developers: &'r [String],
    /// How to look into it, step by step.
    pub investigate: &'r [String],
    /// Replies with it.
    pub examples: Vec<&'r str>,
    /// Codes worth a look.
    pub related: Vec<Related<'r>>,
    /// The reply codes that it comes with.
    pub replies: &'r [u16],
    /// Where it is defined.
    pub reference: &'r str,
    /// What providers use the code for, beside what it says above.
    #[schema(no_recursion)]
    pub providers: Vec<Guide<'r>>,
}

/// What follows from a code.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = StatusCodeVerdict)]
pub struct Verdict {
    /// Hard, soft or none.
    pub bounce_type: BounceType,
    /// What the code is about.
    pub category: Category,
    /// What is concluded.
    pub class: Class,
    /// What it does.
    pub decision: Decision,
}

/// A code worth a look.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RelatedStatusCode)]
pub struct Related<'r> {
    /// The code.
    pub code: String,
    /// What it is called.
    pub name: Option<&'r str>,
}

impl Verdict {
    fn new(code: EnhancedStatusCode, class: Class) -> Self {
        let severity = severity(code.class);
        Self {
            bounce_type: class.bounce_type(severity),
            category: Category::of_subject(code.subject),
            class,
            decision: class.decision(severity),
        }
    }
}

/// The guide to an enhanced status code. Where a text was `said` with it in a provider's own wording, the
/// provider's explanation is the one that helps.
pub fn of_code<'r>(
    registry: &'r Registry,
    code: EnhancedStatusCode,
    said: Option<Said<'_>>,
    language: Language,
) -> Guide<'r> {
    let mut providers = registry.by_providers(code);
    let registered = registry.registered(code);
    let class = registered.map(|entry| entry.class(code.class));
    let chosen = said.and_then(|said| choose::wording_of(&providers, code, class, said));
    let chosen =
        chosen.or_else(|| if registered.is_none() && !providers.is_empty() { Some(0) } else { None });
    let mut guide = match chosen {
        Some(at) => {
            let mut guide = of_provider(registry, providers.remove(at), code, language);
            guide.registered = registered.is_some();
            guide
        }
        None => of_registered(registry, code, language),
    };
    guide.providers =
        providers.into_iter().map(|entry| of_provider(registry, entry, code, language)).collect();
    guide
}

fn of_registered(registry: &Registry, code: EnhancedStatusCode, language: Language) -> Guide<'_> {
    let lookup = registry.lookup(code);
    let (entry, found) = (lookup.entry, lookup.found);
    let exact = registry.exact(found);
    let base = in_language(&entry.en, &entry.de, language);
    let own = exact.map(|exact| in_language(&exact.en, &exact.de, language));
    let mut guide = new(code.to_string(), &entry.name, base, own);
    guide.registered = found == code;
    guide.explained_by = (found != code).then(|| found.to_string());
    guide.verdict = Some(Verdict::new(code, entry.class(code.class)));
    let own = |list: Option<&'_ Vec<String>>| list.is_some_and(|list| !list.is_empty());
    let (examples, related) = (exact.map(|exact| &exact.examples), exact.map(|exact| &exact.related));
    guide.examples =
        for_class(if own(examples) { examples.unwrap_or(&entry.examples) } else { &entry.examples }, code);
    let related = if own(related) { related.unwrap_or(&entry.related) } else { &entry.related };
    guide.related = named(registry, related, code.class, language);
    guide.replies = &entry.replies;
    guide.reference = &entry.reference;
    guide
}

fn of_provider<'r>(
    registry: &'r Registry,
    entry: &'r ProviderCode,
    code: EnhancedStatusCode,
    language: Language,
) -> Guide<'r> {
    let mut guide = new(code.to_string(), &entry.name, in_language(&entry.en, &entry.de, language), None);
    let german = entry.provider_de.as_ref().filter(|_| language == Language::De);
    guide.provider = Some(german.unwrap_or(&entry.provider));
    let class = entry.class(code.class).unwrap_or_else(|| registry.lookup(code).entry.class(code.class));
    guide.verdict = Some(Verdict::new(code, class));
    guide.examples = for_class(&entry.examples, code);
    guide.related = named(registry, &entry.related, code.class, language);
    guide.replies = &entry.replies;
    guide.reference = &entry.reference;
    guide
}

/// The guide to a bare reply code.
pub fn of_reply<'r>(registry: &'r Registry, entry: &'r Reply, language: Language) -> Guide<'r> {
    let mut guide =
        new(entry.code.to_string(), &entry.name, in_language(&entry.en, &entry.de, language), None);
    guide.registered = true;
    guide.examples = entry.examples.iter().map(String::as_str).collect();
    guide.related =
        named(registry, &entry.related, entry.code.class().unwrap_or(StatusClass::Permanent), language);
    guide.reference = &entry.reference;
    guide
}

/// A guide with the text of an entry, or with the text that refines it.
fn new<'r>(code: String, name: &'r str, base: &'r Explanation, own: Option<&'r Explanation>) -> Guide<'r> {
    let text = |part: fn(&Explanation) -> &String| {
        own.map(part).filter(|text| !text.is_empty()).unwrap_or_else(|| part(base)).as_str()
    };
    let list = |part: fn(&Explanation) -> &Vec<String>| {
        own.map(part).filter(|list| !list.is_empty()).unwrap_or_else(|| part(base)).as_slice()
    };
    Guide {
        code,
        registered: false,
        explained_by: None,
        provider: None,
        name: own.and_then(|own| own.name.as_deref()).or(base.name.as_deref()).unwrap_or(name),
        verdict: None,
        meaning: text(|text| &text.meaning),
        action: text(|text| &text.action),
        causes: list(|text| &text.causes),
        senders: list(|text| &text.senders),
        developers: list(|text| &text.developers),
        investigate: list(|text| &text.investigate),
        examples: Vec::new(),
        related: Vec::new(),
        replies: &[],
        reference: "",
        providers: Vec::new(),
    }
}

const fn in_language<'r>(en: &'r Explanation, de: &'r Explanation, language: Language) -> &'r Explanation {
    match language {
        Language::En => en,
        Language::De => de,
    }
}

/// The examples of this class; all of them where there is none.
fn for_class(examples: &[String], code: EnhancedStatusCode) -> Vec<&str> {
    let of_class = |example: &&str| {
        ReplyCode::prefix(example).and_then(ReplyCode::class).is_none_or(|class| class == code.class)
    };
    let all = || examples.iter().map(String::as_str);
    let fitting: Vec<&str> = all().filter(of_class).collect();
    if fitting.is_empty() { all().collect() } else { fitting }
}

fn named<'r>(
    registry: &'r Registry,
    related: &'r [String],
    class: StatusClass,
    language: Language,
) -> Vec<Related<'r>> {
    let one = |related: &'r String| {
        if let Some(reply) = related.parse().ok().and_then(ReplyCode::new) {
            let entry = registry.reply(reply);
            let name = entry.map(|entry| name(&entry.name, in_language(&entry.en, &entry.de, language)));
            return Related { code: related.clone(), name };
        }
        let Some(code) = CodePattern::read(related).map(|pattern| pattern.beside(class)) else {
            return Related { code: related.clone(), name: None };
        };
        let registered = registry.registered(code).map(|entry| (&entry.name, &entry.en, &entry.de));
        let by_provider =
            || registry.by_providers(code).first().map(|entry| (&entry.name, &entry.en, &entry.de));
        let found = registered.or_else(by_provider);
        Related {
            code: code.to_string(),
            name: found.map(|(registered, en, de)| name(registered, in_language(en, de, language))),
        }
    };
    related.iter().map(one).collect()
}

fn name<'r>(registered: &'r str, text: &'r Explanation) -> &'r str {
    text.name.as_deref().unwrap_or(registered)
}
