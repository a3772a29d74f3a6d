//! `dsnd rules list|show|test|unknown`.

mod test;
mod unknown;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::filter::class;
use super::output;
use super::paper::Paper;
use crate::classify::built_in::meaning;
use crate::classify::rules::Rule;
use crate::classify::{Class, Classifier};

/// Verbs.
#[derive(Debug, Subcommand)]
pub(super) enum RulesVerb {
    /// List all rules in the order in which they are tried: your own first, then those of dsnd.
    ///
    /// Where none of them decides, a code or the kind of the message does: `dsnd rules show iana.5.1.1`, or any other name
    /// that a decision has, says how.
    List(List),
    /// Show one rule: its conditions, and its patterns with their examples; or what else decides under that name.
    Show(Show),
    /// Try a reply line: which patterns are in it, in order, and which rule decides and why.
    Test(test::Test),
    /// List the texts of stored bounces that no rule knows, gathered by their wording, with a line for a rule file.
    Unknown(unknown::Unknown),
}

/// `list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only rules that conclude this.
    #[arg(long, value_name = "CLASS", value_parser = class(), hide_possible_values = true)]
    class: Option<Class>,
    /// One JSON object a rule.
    #[arg(long)]
    json: bool,
}

/// `show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The rule's id, as `list` and every decision name it.
    id: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// A rule, as it is shown.
#[derive(Debug, Serialize)]
struct Shown<'r> {
    id: &'r str,
    class: &'static str,
    file: &'r str,
    line: usize,
    conditions: Vec<(&'static str, String)>,
    phrases: Vec<ShownPhrase<'r>>,
    counter_examples: &'r [String],
}

/// One of its patterns.
#[derive(Debug, Serialize)]
struct ShownPhrase<'r> {
    pattern: &'r str,
    examples: &'r [String],
}

impl<'r> From<&'r Rule> for Shown<'r> {
    fn from(rule: &'r Rule) -> Self {
        let phrase = |phrase: &'r crate::classify::rules::Phrase| ShownPhrase {
            pattern: &phrase.pattern,
            examples: &phrase.examples,
        };
        Self {
            id: &rule.id,
            class: rule.class.as_str(),
            file: &rule.file,
            line: rule.line,
            conditions: rule.conditions(),
            phrases: rule.phrases.iter().map(phrase).collect(),
            counter_examples: &rule.counter_examples,
        }
    }
}

/// Runs a verb.
pub(super) fn run(config: Option<&Path>, verb: &RulesVerb) -> anyhow::Result<ExitCode> {
    match verb {
        RulesVerb::List(arguments) => list(&super::classifier(config)?, arguments),
        RulesVerb::Show(arguments) => show(&super::classifier(config)?, arguments),
        RulesVerb::Test(arguments) => test::run(&super::classifier(config)?, arguments),
        RulesVerb::Unknown(arguments) => unknown::run(config, arguments),
    }
}

fn list(classifier: &Classifier, arguments: &List) -> anyhow::Result<ExitCode> {
    let mut out = output::stdout();
    let wanted = |rule: &&Rule| arguments.class.is_none_or(|class| class == rule.class);
    let rules = classifier.rules().iter().filter(wanted);
    if arguments.json {
        rules.map(Shown::from).try_for_each(|rule| output::json_line(&mut out, &rule))?;
    } else {
        let row = |rule: &Rule| {
            let conditions = rule.conditions().into_iter().map(|(name, value)| format!("{name} {value}"));
            vec![
                rule.id.clone(),
                rule.class.as_str().to_owned(),
                rule.phrases.len().to_string(),
                format!("{}:{}", rule.file, rule.line),
                conditions.collect::<Vec<_>>().join("; "),
            ]
        };
        output::rows(
            &mut out,
            &["id", "class", "patterns", "file", "conditions"],
            rules.map(row).collect(),
            true,
        )?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The rule with a name that is most like this one.
pub(super) fn nearest<'a>(id: &str, ids: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    ids.max_by(|a, b| strsim::jaro_winkler(a, id).total_cmp(&strsim::jaro_winkler(b, id)))
}

fn show(classifier: &Classifier, arguments: &Show) -> anyhow::Result<ExitCode> {
    if let Some(said) = meaning(&arguments.id) {
        let mut out = output::stdout();
        if arguments.json {
            output::json_line(&mut out, &serde_json::json!({ "id": arguments.id, "built_in": said }))?;
        } else {
            writeln!(out, "{}: {said}", arguments.id)?;
        }
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(rule) = classifier.rules().iter().find(|rule| rule.id == arguments.id) else {
        let ids = classifier.rules().iter().map(|rule| rule.id.as_str());
        let near = nearest(&arguments.id, ids);
        let near = near.map(|near| format!("; do you mean {near}?")).unwrap_or_default();
        anyhow::bail!("no rule is called {:?}{near} `dsnd rules list` shows all", arguments.id);
    };
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &Shown::from(rule))?;
    } else {
        let mut paper = Paper::new(&mut out);
        paper.title(&rule.id, rule.class.as_str())?;
        paper.field("file", Some(&format!("{}, line {}", rule.file, rule.line)))?;
        for (name, value) in rule.conditions() {
            paper.field(name, Some(&value))?;
        }
        for phrase in &rule.phrases {
            paper.heading(&phrase.pattern)?;
            paper.bullets(&phrase.examples)?;
        }
        if !rule.counter_examples.is_empty() {
            paper.heading("Not this rule")?;
            paper.bullets(&rule.counter_examples)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
