//! Whose meaning of a code a text has: the registered one, or a provider's.

use std::collections::BTreeSet;

use crate::classify::Class;
use crate::classify::registry::ProviderCode;
use crate::status::EnhancedStatusCode;

/// What was said with a code, and what was concluded from it.
#[derive(Debug, Clone, Copy)]
pub struct Said<'t> {
    /// What was concluded.
    pub class: Class,
    /// What was said.
    pub text: &'t str,
}

/// How much of an example's wording must stand in the text.
const ENOUGH: f64 = 0.75;

/// Words that an example needs to be told from a chance likeness, where it means something else than the
/// registered code does.
const TELLING: usize = 4;

/// The same where it means what the code means anyway: "no such user" is nobody's own wording.
const TELLING_ALIKE: usize = 7;

/// The entry whose wording the text has, if it is one that leads to the same conclusion.
pub(super) fn wording_of(
    entries: &[&ProviderCode],
    code: EnhancedStatusCode,
    registered: Option<Class>,
    said: Said<'_>,
) -> Option<usize> {
    let least = if registered == Some(said.class) { TELLING_ALIKE } else { TELLING };
    let spoken = words(said.text);
    let likeness = |entry: &ProviderCode| {
        let examples = entry.examples.iter().map(|example| words(example));
        let telling = examples.filter(|example| example.len() >= least);
        telling
            .map(|example| example.intersection(&spoken).count() as f64 / example.len() as f64)
            .fold(0.0, f64::max)
    };
    let alike = entries.iter().enumerate().filter(|(_, entry)| entry.class(code.class) == Some(said.class));
    let scored = alike.map(|(at, entry)| (at, likeness(entry))).filter(|(_, likeness)| *likeness >= ENOUGH);
    scored.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
}

/// The words of a text that carry meaning, without numbers and names of hosts' parts of three letters.
fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() >= 4 && word.chars().all(char::is_alphabetic))
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(provider: &str, class: &str, example: &str) -> ProviderCode {
        let text = format!(
            "provider='{provider}'\ncode='5.4.1'\nname='n'\npermanent='{class}'\nexamples=['{example}']\nen={{}}\nde={{}}"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_provider_is_known_by_its_words_only() {
        let edge = entry("M", "recipient_unknown", "550 5.4.1 Recipient address rejected: Access denied");
        let short = entry("S", "recipient_unknown", "550 5.4.1 user unknown");
        let entries = [&short, &edge];
        let code: EnhancedStatusCode = "5.4.1".parse().unwrap();
        let choose = |registered, class, text| wording_of(&entries, code, registered, Said { class, text });
        let registered = Some(Class::HostUnreachable);
        let edge_text = "550 5.4.1 <a@b.example>: recipient address rejected: access denied [x.example]";
        assert_eq!(choose(registered, Class::RecipientUnknown, edge_text), Some(1));
        // Another conclusion, another wording, or words that anybody uses: nobody's.
        assert_eq!(choose(registered, Class::HostUnreachable, edge_text), None);
        assert_eq!(choose(registered, Class::RecipientUnknown, "550 5.4.1 user unknown"), None);
        assert_eq!(choose(Some(Class::RecipientUnknown), Class::RecipientUnknown, edge_text), None);
        assert_eq!(choose(registered, Class::RecipientUnknown, ""), None);
    }
}
