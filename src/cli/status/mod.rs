//! `dsnd status CODE|LINE`.

mod query;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::guide::{self, Guide, Said, Verdict, words};
use super::paper::Paper;
use super::{Language, output};
use crate::classify::Classification;
use crate::classify::evidence::{EvidenceField, Source};
use crate::classify::registry::Registry;
use query::{LINE, Query};

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

/// What is said in answer.
#[derive(Debug, Serialize)]
struct Answer<'r> {
    query: &'r str,
    kind: &'static str,
    #[serde(flatten)]
    guide: Option<Guide<'r>>,
    /// What the classifier makes of a whole line, or of a bare reply code.
    conclusion: Option<Conclusion>,
}

#[derive(Debug, Serialize)]
struct Conclusion {
    #[serde(flatten)]
    verdict: Verdict,
    rule: String,
    evidence: String,
    effective_status: Option<String>,
    reply_code: Option<u16>,
}

impl From<Classification> for Conclusion {
    fn from(result: Classification) -> Self {
        Self {
            verdict: Verdict {
                bounce_type: result.bounce_type,
                category: result.category,
                class: result.class,
                decision: result.decision,
            },
            rule: result.rule,
            evidence: result.evidence,
            effective_status: result.effective_status.map(|code| code.to_string()),
            reply_code: result.reply_code.map(crate::status::ReplyCode::get),
        }
    }
}

/// Explains a code by the registry, and a line by the classifier too.
pub(super) fn run(config: Option<&Path>, arguments: &Status) -> anyhow::Result<ExitCode> {
    let asked = arguments.code.join(" ");
    let query = Query::read(&asked)?;
    let mut out = output::stdout();
    if let Query::Code(code) = query {
        let registry = Registry::embedded()?;
        let guide = Some(guide::of_code(&registry, code, None, arguments.lang));
        answer(&mut out, arguments, &Answer { query: &asked, kind: query.kind(), guide, conclusion: None })?;
    } else {
        let classifier = crate::cli::classifier(config)?;
        let registry = classifier.registry();
        let concluded = query.conclude(&classifier, &asked);
        let mut guide = match query.code() {
            Some(code) => {
                let said = concluded.as_ref().map(|result| Said { class: result.class, text: &asked });
                Some(guide::of_code(registry, code, said, arguments.lang))
            }
            None => {
                query.explained_reply(registry)?.map(|entry| guide::of_reply(registry, entry, arguments.lang))
            }
        };
        let conclusion = concluded.map(Conclusion::from);
        if let (Query::Reply(_), Some(guide), Some(conclusion)) = (query, &mut guide, &conclusion) {
            guide.verdict = Some(conclusion.verdict);
        }
        answer(&mut out, arguments, &Answer { query: &asked, kind: query.kind(), guide, conclusion })?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn answer(out: &mut impl Write, arguments: &Status, answer: &Answer<'_>) -> anyhow::Result<()> {
    if arguments.json {
        return output::json_line(out, answer);
    }
    let mut paper = Paper::new(out);
    // A bare code has nothing to mark: what is concluded from it stands in its card.
    if let Some(conclusion) = answer.conclusion.as_ref().filter(|_| answer.kind == LINE) {
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
