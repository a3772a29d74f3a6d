//! Patterns for local parts that are ours without a signature.

use std::str::FromStr;

/// A pattern for local parts: a name, or a beginning followed by `*`, in any case.
///
/// `bounces` is one fixed address, `bounces+*` is every VERP address below it, `*` takes everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPartPattern {
    text: String,
    open: bool,
}

/// A text that is no local-part pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no local-part pattern; write a local part without \"@\", with at most one \"*\", at its end"
)]
pub struct PatternError(pub String);

impl FromStr for LocalPartPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (prefix, open) = text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true));
        let fine = !prefix.contains(['*', '@'])
            && !prefix.chars().any(char::is_whitespace)
            && (open || !prefix.is_empty());
        fine.then(|| Self { text: prefix.to_lowercase(), open }).ok_or_else(|| PatternError(text.to_owned()))
    }
}

impl LocalPartPattern {
    /// Whether a local part fits, without regard to case.
    #[must_use]
    pub fn matches(&self, local_part: &str) -> bool {
        let local_part = local_part.to_lowercase();
        if self.open { local_part.starts_with(&self.text) } else { local_part == self.text }
    }

    /// The beginning of an open pattern, in lower case, without its `*`.
    #[must_use]
    pub fn beginning(&self) -> Option<&str> {
        self.open.then_some(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_mean_nothing_are_refused() {
        for text in ["", "a*b", "a@b", "**", "a b"] {
            assert!(text.parse::<LocalPartPattern>().is_err(), "{text:?}");
        }
        assert!("*".parse::<LocalPartPattern>().unwrap().matches("anything"));
    }
}
