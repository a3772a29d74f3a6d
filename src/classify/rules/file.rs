//! From what a rule file says to a rule.

use super::super::built_in::BuiltIn;
use super::source::{Flaw, RuleText, unknown};
use super::{Class, Phase, Phrase, Rule, Severity, StatusPattern};
use crate::status::ReplyCode;

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
}

impl Rule {
    /// The rule that a text stands for, and everything that is wrong with it; there is none where something is.
    pub(super) fn new(text: RuleText, by_operator: bool) -> Result<Self, Vec<Flaw>> {
        let mut flaws = Vec::new();
        if let Some(own) = BuiltIn::of(&text.id) {
            // A rule of such a name would be taken for what decides without one.
            let what = format!("ids that begin with {} are dsnd's own: give it another one", own.prefix());
            flaws.push(text.flaw("id", what));
        }
        // What is no string was named before.
        let class = Some(text.class.as_str()).filter(|class| !(class.is_empty() && text.is_flawed));
        let class =
            class.and_then(|word| one_of(&text, "class", word, Class::ALL, Class::as_str, &mut flaws));
        let severity = text.severity.as_deref();
        let severity = severity
            .and_then(|word| one_of(&text, "severity", word, Severity::ALL, Severity::as_str, &mut flaws));
        let phase = text.phase.iter();
        let phase = phase
            .filter_map(|word| one_of(&text, "phase", word, Phase::ALL, Phase::as_str, &mut flaws))
            .collect();
        let action = text.action.as_deref();
        let action =
            action.and_then(|word| one_of(&text, "action", word, &["delayed"], |word| word, &mut flaws));
        let status = text.status.iter().map(|code| StatusPattern::parse(code));
        let status = good(&text, "status", status, &mut flaws);
        let reply = text
            .reply
            .iter()
            .map(|code| ReplyCode::new(*code).ok_or_else(|| format!("reply {code} is no SMTP reply code")));
        let reply = good(&text, "reply", reply, &mut flaws);
        let RuleText {
            id, file, line, phrases, counter_examples, hosts, guard, names, topic, is_flawed, ..
        } = text;
        let rule = Self {
            id,
            class: class.unwrap_or(Class::Undetermined),
            severity,
            file,
            line,
            phrases: phrases.into_iter().map(Phrase::from).collect(),
            counter_examples,
            status,
            reply,
            hosts,
            phase,
            delayed: action.is_some(),
            guard,
            names,
            topic,
            by_operator,
        };
        if by_operator {
            flaws.extend(rule.check_patterns());
        }
        if !is_flawed && flaws.is_empty() {
            return Ok(rule);
        }
        flaws.extend(rule.check_matches());
        Err(flaws)
    }
}

/// The value that a word stands for; a flaw where it stands for none.
fn one_of<T: Copy>(
    text: &RuleText,
    key: &str,
    word: &str,
    all: &[T],
    name: fn(T) -> &'static str,
    flaws: &mut Vec<Flaw>,
) -> Option<T> {
    let found = all.iter().copied().find(|value| name(*value) == word);
    if found.is_none() {
        let known: Vec<&str> = all.iter().copied().map(name).collect();
        flaws.push(text.flaw(key, unknown(key, word, &known)));
    }
    found
}

/// Those that can be read; each of the others becomes a flaw.
fn good<T>(
    text: &RuleText,
    key: &str,
    read: impl Iterator<Item = Result<T, String>>,
    flaws: &mut Vec<Flaw>,
) -> Vec<T> {
    let mut good = Vec::new();
    for item in read {
        match item {
            Ok(item) => good.push(item),
            Err(what) => flaws.push(text.flaw(key, what)),
        }
    }
    good
}

#[cfg(test)]
mod tests {
    use super::super::source::Reader;
    use super::*;

    #[test]
    fn a_rule_cannot_pass_for_a_code() {
        for (id, good) in [
            ("iana.5.1.1", false),
            ("reply.550", false),
            ("unconfirmed.x", false),
            ("action.relayed", false),
            ("feedback.abuse", false),
            ("automatic.own", false),
            ("text.about-the-sender", false),
            ("none", false),
            ("text.about-the-senders", true),
            ("own.iana.5.1.1", true),
        ] {
            let mut reader = Reader::default();
            let rule = format!(
                "[[rule]]\nid = \"{id}\"\nclass = \"policy\"\n[rule.phrases]\n'zorblax' = \"550 zorblax\"\n"
            );
            reader.read_rules("own.toml", &rule);
            assert!(reader.flaws.is_empty());
            assert_eq!(Rule::new(reader.rules.remove(0), true).is_ok(), good, "{id}");
        }
    }
}
