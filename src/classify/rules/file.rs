//! A rule file: from TOML to checked rules.

use std::sync::OnceLock;

use serde::Deserialize;

use super::super::class::{Class, Severity};
use super::super::facts::Phase;
use super::{Flaw, Rule, lower_char};
use crate::status::{EnhancedStatusCode, ReplyCode};

/// One rule as it stands in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub(super) id: String,
    class: Class,
    pattern: String,
    #[serde(default)]
    status: Vec<String>,
    #[serde(default)]
    reply: Vec<u16>,
    /// Only where one of these hosts speaks, or the recipient is at one of these domains.
    #[serde(default)]
    hosts: Vec<String>,
    /// Only where a host of the file's provider speaks.
    #[serde(default)]
    provider: bool,
    action: Option<RawAction>,
    /// Asked only when the recipient would be suppressed; then it has the last word.
    #[serde(default)]
    guard: bool,
    /// Only where the text tells that it was said at one of these points.
    #[serde(default)]
    phase: Vec<Phase>,
    severity: Option<Severity>,
    examples: Vec<String>,
    #[serde(default)]
    counter_examples: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawAction {
    Delayed,
}

/// A status condition: `5.4.1`, `x.4.1`, `x.7.x`, or `none` for evidence without any code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatusPattern {
    Code { class: Option<u8>, subject: Option<u16>, detail: Option<u16> },
    None,
}

impl StatusPattern {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [class, subject, detail] = parts[..] else {
            return Err(format!("status {text:?}: write it as 5.4.1, x.4.1, 5.7.x or none"));
        };
        let number = |part: &str| match part {
            "x" => Ok(None),
            digits => {
                digits.parse::<u16>().map(Some).map_err(|_| format!("status {text:?}: {part:?} is no number"))
            }
        };
        let class = match number(class)? {
            None => None,
            Some(digit @ (2 | 4 | 5)) => Some(digit as u8),
            Some(other) => return Err(format!("status {text:?}: {other} is no status class")),
        };
        Ok(Self::Code { class, subject: number(subject)?, detail: number(detail)? })
    }

    pub(super) fn matches(self, status: Option<EnhancedStatusCode>) -> bool {
        match (self, status) {
            (Self::None, None) => true,
            (Self::Code { class, subject, detail }, Some(code)) => {
                class.is_none_or(|class| class == code.class.digit())
                    && subject.is_none_or(|subject| subject == code.subject)
                    && detail.is_none_or(|detail| detail == code.detail)
            }
            _ => false,
        }
    }
}

/// A pattern for texts in lower case: its letters lowered, its escapes (`\S`, `\B`) left alone.
fn lower_pattern(pattern: &str) -> String {
    let mut escaped = false;
    pattern
        .chars()
        .map(|c| {
            let keep = escaped;
            escaped = c == '\\' && !keep;
            if keep { c } else { lower_char(c) }
        })
        .collect()
}

/// A rule as read, and where.
pub(super) struct Draft {
    pub(super) file: String,
    pub(super) raw: RawRule,
}

pub(super) fn flaw(file: &str, id: &str, what: impl Into<String>) -> Flaw {
    Flaw { file: file.to_owned(), id: id.to_owned(), what: what.into() }
}

pub(super) fn read_file(name: &str, text: &str, drafts: &mut Vec<Draft>, flaws: &mut Vec<Flaw>) {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        /// Hosts of the provider that all rules of the file speak of.
        #[serde(default)]
        provider: Option<Provider>,
        #[serde(default)]
        rule: Vec<RawRule>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Provider {
        hosts: Vec<String>,
    }
    match toml::from_str::<File>(text) {
        Ok(file) => {
            let hosts = file.provider.map(|provider| provider.hosts).unwrap_or_default();
            drafts.extend(file.rule.into_iter().map(|mut raw| {
                if raw.provider {
                    raw.hosts.extend(hosts.iter().cloned());
                }
                Draft { file: name.to_owned(), raw }
            }));
        }
        Err(cause) => {
            let line =
                cause.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            flaws.push(flaw(&format!("{name}:{line}"), "", cause.message()));
        }
    }
}

pub(super) fn check(raw: RawRule) -> Result<Rule, String> {
    if raw.provider && raw.hosts.is_empty() {
        return Err("provider = true, but the file names no [provider] hosts".to_owned());
    }
    if raw.examples.is_empty() {
        return Err("it has no example".to_owned());
    }
    let status = raw.status.iter().map(|text| StatusPattern::parse(text)).collect::<Result<_, _>>()?;
    let reply = raw
        .reply
        .iter()
        .map(|code| ReplyCode::new(*code).ok_or(format!("reply {code} is no SMTP reply code")))
        .collect::<Result<_, _>>()?;
    Ok(Rule {
        id: raw.id,
        class: raw.class,
        severity: raw.severity,
        pattern: lower_pattern(&raw.pattern),
        status,
        reply,
        hosts: raw.hosts.into_iter().map(|host| host.to_lowercase()).collect(),
        phase: raw.phase,
        delayed: raw.action == Some(RawAction::Delayed),
        guard: raw.guard,
        by_operator: false,
        examples: raw.examples,
        counter_examples: raw.counter_examples,
        regex: OnceLock::new(),
    })
}
