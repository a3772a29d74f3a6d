//! What is said about a section that is not known.

use std::collections::BTreeMap;

use crate::nearest::nearest;

/// What is said about a section that is not known; of those that are, some are tables of their own (`[[section]]`).
pub(super) fn unknown_section(section: &str, known: &BTreeMap<&'static str, bool>) -> String {
    match nearest(section, known.keys().copied()) {
        Some(meant) if known[meant] => format!("unknown section; did you mean [[{meant}]]?"),
        Some(meant) => format!("unknown section; did you mean [{meant}]?"),
        None => "unknown section; config/dsnd.toml shows them all".to_owned(),
    }
}
