//! `dsnd status CODE|LINE`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::guide::{self, words};
use super::output;
use super::paper::Paper;
use crate::classify::evidence::{EvidenceField, Source};
use crate::classify::guide::{Answer, Conclusion, Language, Query};
use crate::classify::registry::Registry;

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// An enhanced status code (5.4.1), a reply code (550), or a whole reply line ("421 4.4.2 Bad connection").
    #[arg(required = true, value_name = "CODE|LINE")]
    code: Vec<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// The language of the explanation.
    #[arg(long, value_enum, default_value = "en")]
    lang: Language,
}

/// Explains a code by the registry, and a line by the classifier too.
pub(super) fn run(config: Option<&Path>, arguments: &Status) -> anyhow::Result<ExitCode> {
    let asked = arguments.code.join(" ");
    let query = Query::read(&asked)?;
    let mut out = output::stdout();
    if let Query::Code(code) = query {
        // Needs no rules, and so no configuration that is right.
        let registry = Registry::embedded();
        print_answer(&mut out, arguments, &Answer::of_code(&registry, code, &asked, arguments.lang))?;
    } else {
        let classifier = super::classifier(config)?;
        print_answer(&mut out, arguments, &Answer::of(&classifier, query, &asked, arguments.lang)?)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn print_answer(out: &mut impl Write, arguments: &Status, answer: &Answer<'_>) -> anyhow::Result<()> {
    if arguments.json {
        return output::json_line(out, answer);
    }
    let mut paper = Paper::new(out);
    // A bare code has nothing to mark: what is concluded from it stands in its card.
    if let Some(conclusion) = answer.conclusion.as_ref().filter(|_| answer.is_line()) {
        print_conclusion(&mut paper, answer.query, conclusion, arguments.lang)?;
        paper.gap()?;
    }
    if let Some(guide) = &answer.guide {
        guide::print(&mut paper, guide, arguments.lang)?;
    }
    Ok(())
}

/// What the classifier makes of the line, with the deciding words marked in it.
fn print_conclusion<W: Write>(
    paper: &mut Paper<'_, W>,
    line: &str,
    conclusion: &Conclusion,
    language: Language,
) -> std::io::Result<()> {
    let words = words::words(language);
    let line = Source::new(EvidenceField::DiagnosticCode, line).text;
    let mark = line.find(&conclusion.evidence).map_or(0..0, |at| at..at + conclusion.evidence.len());
    paper.title(words.conclusion, "")?;
    paper.marked_field(words.line, &line, mark)?;
    guide::print_verdict(paper, conclusion.verdict, false, language)?;
    paper.field(words.rule, Some(&conclusion.rule))?;
    paper.field(words.evidence, Some(&format!("{:?}", conclusion.evidence)))
}
