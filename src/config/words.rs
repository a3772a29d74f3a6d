//! The right word where a wrong one is much like it.

use std::collections::BTreeMap;

/// The one of these words that another is much like, if it is.
pub(super) fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .map(|known| (strsim::jaro_winkler(known, word), known))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, known)| known)
}

/// What is said about a section that is not known; of those that are, some are tables of their own (`[[section]]`).
pub(super) fn unknown_section(section: &str, known: &BTreeMap<&'static str, bool>) -> String {
    match nearest(section, known.keys().copied()) {
        Some(meant) if known[meant] => format!("unknown section; did you mean [[{meant}]]?"),
        Some(meant) => format!("unknown section; did you mean [{meant}]?"),
        None => "unknown section; config/dsnd.toml shows them all".to_owned(),
    }
}
