//! `dsnd rules test`: which patterns are in a reply line, and why one of them decides.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::output;
use super::super::paper::Paper;
use crate::classify::built_in::meaning;
use crate::classify::evidence::{Evidence, EvidenceField, Source};
use crate::classify::{Classification, Classifier, PatternFound};
use crate::status::ReplyCode;

/// `test`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Test {
    /// The reply line, as the host said it.
    #[arg(value_name = "REPLY LINE", required = true)]
    line: Vec<String>,
    /// The host that said it: some rules are for the hosts of one provider.
    #[arg(long, value_name = "HOST")]
    remote_mta: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    line: &'a str,
    class: &'static str,
    decision: &'static str,
    rule: &'a str,
    because: String,
    matches: Vec<Matched<'a>>,
}

/// A pattern that is in the line.
#[derive(Debug, Serialize)]
struct Matched<'a> {
    rule: &'a str,
    class: &'static str,
    pattern: &'a str,
    text: &'a str,
    /// The conditions of its rule that do not hold.
    but: Vec<(&'static str, String)>,
    decides: bool,
}

pub(super) fn run(classifier: &Classifier, arguments: &Test) -> anyhow::Result<ExitCode> {
    let line = arguments.line.join(" ");
    anyhow::ensure!(!line.trim().is_empty(), "the line is empty; give it as the host said it");
    if let Some(code) = ReplyCode::prefix(line.trim()).filter(|code| code.get() < 400) {
        anyhow::bail!("{code} is the reply of a host that takes the mail: there is no failure to judge");
    }
    let source = Source::new(EvidenceField::DiagnosticCode, &line);
    let hosts: Vec<String> = arguments.remote_mta.iter().map(|host| host.to_lowercase()).collect();
    let evidence = Evidence { sources: vec![source.clone()], hosts, ..Evidence::default() };
    let concluded = classifier.decide(&evidence);
    let found = classifier.patterns_in(&evidence);
    let matches: Vec<Matched<'_>> = found.iter().map(|found| matched(found, &concluded)).collect();
    let answer = Answer {
        line: &source.text,
        class: concluded.class.as_str(),
        decision: concluded.decision.as_str(),
        rule: &concluded.rule,
        because: because(&concluded, &matches),
        matches,
    };
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &answer)?;
    } else {
        print(&mut Paper::new(&mut out), &answer)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn matched<'a>(found: &'a PatternFound<'_>, concluded: &Classification) -> Matched<'a> {
    Matched {
        rule: &found.rule.id,
        class: found.rule.class.as_str(),
        pattern: found.pattern,
        text: &found.text,
        but: if found.holds { Vec::new() } else { found.rule.conditions() },
        decides: found.rule.id == concluded.rule,
    }
}

/// Why the line means what it means, in a sentence.
fn because(concluded: &Classification, matches: &[Matched<'_>]) -> String {
    let rule = &concluded.rule;
    match matches.iter().position(|found| found.decides) {
        Some(0) => format!("{rule} is the first rule with a pattern in the line"),
        Some(at) if matches[..at].iter().all(|found| !found.but.is_empty()) => {
            format!("{rule} is the first rule with a pattern in the line whose conditions hold")
        }
        Some(_) => format!(
            "{rule} says more of this code than the rules before it, which leave it in force or are overruled"
        ),
        None => meaning(rule).unwrap_or_else(|| format!("{rule} decides")),
    }
}

fn print<W: Write>(paper: &mut Paper<'_, W>, answer: &Answer<'_>) -> anyhow::Result<()> {
    paper.title(answer.class, answer.decision)?;
    paper.field("line", Some(answer.line))?;
    paper.field("rule", Some(answer.rule))?;
    paper.field("because", Some(&answer.because))?;
    for found in &answer.matches {
        paper.heading(&format!(
            "{} ({}){}",
            found.rule,
            found.class,
            if found.decides { ", decides" } else { "" }
        ))?;
        paper.field("pattern", Some(found.pattern))?;
        paper.field("found", Some(found.text))?;
        let but: Vec<String> = found.but.iter().map(|(name, value)| format!("{name} {value}")).collect();
        if !but.is_empty() {
            paper.field("not here", Some(&format!("it asks for {}", but.join(", "))))?;
        }
    }
    Ok(())
}
