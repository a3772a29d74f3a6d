//! `dsnd status CODE`.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Language, output};
use crate::classify::registry::{Registry, severity};
use crate::classify::{BounceType, Category, Class, Decision};
use crate::status::{EnhancedStatusCode, StatusClass};

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// An enhanced status code, such as 5.4.1.
    code: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// The language of the explanation.
    #[arg(long, value_enum, default_value = "en")]
    lang: Language,
}

/// What is said about a code.
#[derive(Debug, Serialize)]
struct Answer<'r> {
    code: String,
    registered: bool,
    name: &'r str,
    bounce_type: BounceType,
    category: Category,
    class: Class,
    decision: Decision,
    meaning: &'r str,
    action: &'r str,
    replies: &'r [u16],
    reference: &'r str,
}

/// Explains a code by the registry.
pub(super) fn run(arguments: &Status) -> anyhow::Result<ExitCode> {
    let registry = Registry::embedded()?;
    let code: EnhancedStatusCode = arguments.code.parse()?;
    let lookup = registry.lookup(code);
    let entry = lookup.entry;
    let text = match arguments.lang {
        Language::En => &entry.en,
        Language::De => &entry.de,
    };
    let class = entry.class(code.class);
    let severity = severity(code.class);
    let answer = Answer {
        code: code.to_string(),
        registered: registry.registered(code).is_some(),
        name: text.name.as_deref().unwrap_or(&entry.name),
        bounce_type: class.bounce_type(severity),
        category: Category::of_subject(code.subject),
        class,
        decision: class.decision(severity),
        meaning: &text.meaning,
        action: &text.action,
        replies: &entry.replies,
        reference: &entry.reference,
    };
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &answer)?;
    } else {
        print(&mut out, &answer, code, &lookup.found.to_string(), arguments.lang)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn print(
    out: &mut impl Write,
    answer: &Answer<'_>,
    code: EnhancedStatusCode,
    found: &str,
    language: Language,
) -> anyhow::Result<()> {
    let german = language == Language::De;
    let word = |english: &'static str, deutsch: &'static str| if german { deutsch } else { english };
    let bold = anstyle::Style::new().bold();
    writeln!(out, "{bold}{}  {}{bold:#}", answer.code, answer.name)?;
    if !answer.registered {
        let note = word("not registered; explained by", "nicht registriert; erklärt durch");
        writeln!(out, "  {note} {found}")?;
    }
    let bounce = match (code.class, answer.bounce_type) {
        (StatusClass::Success, _) => word("none: success", "keiner: zugestellt"),
        (_, BounceType::Hard) => word("hard", "hart"),
        (_, BounceType::Soft) => word("soft", "weich"),
        (_, BounceType::None) => word("none", "keiner"),
    };
    let decision = output::style_of(answer.decision.as_str());
    output::field(out, word("type", "Typ"), Some(bounce))?;
    output::field(out, word("category", "Kategorie"), Some(answer.category.as_str()))?;
    output::field(out, word("class", "Klasse"), Some(answer.class.as_str()))?;
    let dim = anstyle::Style::new().dimmed();
    writeln!(
        out,
        "  {dim}{:<16}{dim:#} {decision}{}{decision:#}",
        word("decision", "Entscheidung"),
        answer.decision
    )?;
    output::field(out, word("meaning", "Bedeutung"), Some(answer.meaning))?;
    output::field(out, word("what to do", "Was tun"), Some(answer.action))?;
    let replies: Vec<String> = answer.replies.iter().map(ToString::to_string).collect();
    output::field(out, word("with replies", "Antwortcodes"), Some(&replies.join(", ")))?;
    output::field(out, word("defined in", "Quelle"), Some(answer.reference))?;
    Ok(())
}
