//! How far a report is believed.

/// What the return path proves about a report (contract 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// The token is valid and a recipient matches its tag.
    Proven,
    /// The token is valid and no recipient in the report matches it.
    TokenOnly,
    /// A fixed address or unsigned VERP: anybody could have sent it.
    Unsigned,
}

impl Trust {
    /// The word used in output and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::TokenOnly => "token_only",
            Self::Unsigned => "unsigned",
        }
    }

    /// Whether decisions apply, given what the operator said about unsigned reports.
    #[must_use]
    pub const fn applies(self, trust_unsigned: bool) -> bool {
        match self {
            Self::Proven => true,
            Self::TokenOnly => false,
            Self::Unsigned => trust_unsigned,
        }
    }
}
