//! `dsnd rules unknown`: what hosts said that no rule knows.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::super::{block_on, listing, open_store, output, progress};
use crate::classify::built_in::BuiltIn;
use crate::classify::unknown::{Unknown as Gathered, Wording};
use crate::config::Config;
use crate::store::sqlite::Access;
use crate::store::{BounceFilter, Filter, Page, Reclassify, Store};
use crate::when;

/// `unknown`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Unknown {
    /// Only bounces that came in since: a time, a day (UTC), or how long ago (7d).
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    since: Option<Timestamp>,
    /// At most this many wordings, those of most bounces first.
    #[arg(long, value_name = "N", default_value = "50")]
    limit: u32,
    /// One JSON object a wording.
    #[arg(long)]
    json: bool,
}

/// A wording, as it is shown.
#[derive(Debug, Serialize)]
struct Shown<'w> {
    count: u64,
    codes: &'w std::collections::BTreeMap<String, u64>,
    hosts: &'w std::collections::BTreeMap<String, u64>,
    example: &'w str,
    /// For the phrases of a rule; none where the texts are nothing but names and numbers.
    line: Option<String>,
}

impl<'w> From<&'w Wording> for Shown<'w> {
    fn from(wording: &'w Wording) -> Self {
        let Wording { example, pattern, count, codes, hosts } = wording;
        let line = |pattern: &String| format!("'{}' = {}", pattern.replace('\'', "."), quoted(example));
        let line = pattern.as_ref().map(line);
        Self { count: *count, codes, hosts, example, line }
    }
}

/// A text as a string of a TOML file, which has the escapes of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(super) fn run(config: Option<&Path>, arguments: &Unknown) -> anyhow::Result<ExitCode> {
    let classifier = super::super::classifier(config)?;
    let config = &Config::load_without_keys(config)?;
    let mut gathered = Gathered::default();
    block_on(async {
        let store = open_store(config, Access::Read).await?;
        let bar = progress::things(store.count_events(arguments.since).await?);
        let common = Filter { since: arguments.since, ..Filter::default() };
        let mut filter = BounceFilter { common, limit: listing::PAGE, ..BounceFilter::default() };
        loop {
            let Page { items, more } = store.bounces(&filter).await?;
            for event in items.iter().flat_map(|bounce| &bounce.recipients) {
                bar.inc(1);
                if !BuiltIn::of(&event.rule).is_some_and(BuiltIn::is_without_text) {
                    continue;
                }
                // What is no SMTP bounce has its words where they decided.
                let text = event.diagnostic_code.as_deref().unwrap_or(&event.evidence);
                gathered.add(&classifier, text, event.remote_mta.as_deref(), &event.recipient);
            }
            match items.last() {
                Some(last) if more => filter.before = Some(last.id),
                _ => break,
            }
        }
        bar.finish_and_clear();
        store.close().await;
        anyhow::Ok(())
    })?;
    tell(gathered, arguments)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(gathered: Gathered, arguments: &Unknown) -> anyhow::Result<()> {
    let mut out = output::stdout();
    let left_out = gathered.left_out;
    let wordings = gathered.most_frequent();
    let shown = wordings.iter().take(arguments.limit as usize).map(Shown::from);
    if arguments.json {
        shown.into_iter().try_for_each(|wording| output::json_line(&mut out, &wording))?;
    } else if wordings.is_empty() {
        writeln!(out, "Rules know the texts of all stored bounces.")?;
    } else {
        for wording in shown {
            let told = |counts: &std::collections::BTreeMap<String, u64>| {
                counts.iter().map(|(name, count)| format!("{name} ({count})")).collect::<Vec<_>>().join(", ")
            };
            writeln!(out, "{}, code {}", output::counted(wording.count, "bounce"), told(wording.codes))?;
            if !wording.hosts.is_empty() {
                writeln!(out, "  from {}", output::clean(&told(wording.hosts)))?;
            }
            let line = wording.line.as_deref().unwrap_or(wording.example);
            writeln!(out, "  {}\n", output::clean(line))?;
        }
    }
    out.flush()?;
    let beyond = wordings.len().saturating_sub(arguments.limit as usize);
    if beyond > 0 && !arguments.json {
        output::note(&format!("and {beyond} more wordings; --limit {} shows all", wordings.len()));
    }
    if left_out > 0 {
        output::note(&format!(
            "{left_out} texts of further wordings were not gathered; --since asks for fewer"
        ));
    }
    Ok(())
}
