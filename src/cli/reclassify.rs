//! `dsnd reclassify`: stored bounces by today's rules.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::person::{confirmed, is_at_terminal, person};
use super::{block_on, open_store, output, progress};
use crate::classify::{Classification, Classifier, Decision};
use crate::config::Config;
use crate::ingest::{Reread, reassess};
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{
    NewConclusion, Reclassified, ReclassifiedEntry, Reclassify, Reclassifying, Store, StoredEvent,
};
use crate::when;

/// Events read at once.
const PAGE: u32 = 500;

/// Events changed in one transaction, as far as they are not all of one address: mail that comes in meanwhile waits no
/// longer than for these.
const AT_ONCE: usize = 100;

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct ReclassifyArguments {
    /// Say what would be changed, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Only bounces that came in since: a time, a date, or how long ago (90m, 2h, 3d).
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    since: Option<Timestamp>,
    /// Change without asking, also where a rule would put many addresses on the list at once.
    #[arg(long)]
    yes: bool,
    /// One JSON object an address.
    #[arg(long)]
    json: bool,
}

/// An event that means something else today.
#[derive(Debug, Clone, Serialize)]
struct Judged {
    event: i64,
    bounce: i64,
    received_at: Timestamp,
    #[serde(skip)]
    recipient: String,
    before: Conclusion,
    after: Conclusion,
    /// What it had done to the list, and does now.
    change_before: String,
    change: String,
}

/// What a bounce means, in short.
#[derive(Debug, Clone, Serialize)]
struct Conclusion {
    class: String,
    decision: String,
    rule: String,
    evidence: String,
}

/// What became of one address.
#[derive(Debug, Serialize)]
struct Told<'a> {
    recipient: &'a str,
    dry_run: bool,
    events: &'a [Judged],
    entries: &'a [ReclassifiedEntry],
}

/// What a run did, in numbers.
#[derive(Debug, Default)]
struct Totals {
    judged: u64,
    changed: u64,
    added: u64,
    altered: u64,
    removed: u64,
}

/// Judges everything, then changes what is to be changed.
pub(super) fn run(config: Option<&Path>, arguments: &ReclassifyArguments) -> anyhow::Result<ExitCode> {
    let config = Config::load(config)?;
    let classifier = Classifier::with_rules(&config.rules)?;
    block_on(async {
        let store = open_store(&config, Access::Write).await?;
        let result = reclassify(&config, &classifier, &store, arguments).await;
        store.close().await;
        let totals = result?;
        if !arguments.json {
            writeln!(output::stdout(), "{}", totals.told(arguments.dry_run))?;
        }
        Ok(ExitCode::from(u8::from(arguments.dry_run && totals.changed > 0)))
    })
}

async fn reclassify(
    config: &Config,
    classifier: &Classifier,
    store: &SqliteStore,
    arguments: &ReclassifyArguments,
) -> anyhow::Result<Totals> {
    let mut totals = Totals::default();
    let (found, newly) = judge_all(config, classifier, store, arguments.since, &mut totals).await?;
    let changes = found.values().map(|(events, _)| events.len()).sum::<usize>();
    if !arguments.dry_run && !arguments.yes && changes > 0 {
        permitted(config, &newly, changes)?;
    }
    let bar = progress::things(changes as u64);
    let (by, at) = (person(), Timestamp::from_second(Timestamp::now().as_second())?);
    let mut out = output::stdout();
    let mut first = true;
    let mut found = found.into_iter().peekable();
    while found.peek().is_some() {
        let (mut batch, mut judged, mut events) = (Vec::new(), Vec::new(), 0);
        while events < AT_ONCE
            && let Some((recipient_key, (all, conclusions))) = found.next()
        {
            events += all.len();
            batch.push(Reclassifying { recipient_key, events: conclusions });
            judged.push(all);
        }
        let done = store.reclassify(batch, by.clone(), at, arguments.dry_run).await?;
        for (mut events, done) in judged.into_iter().zip(done) {
            settle(&mut events, &done, &mut totals);
            if events.is_empty() {
                continue;
            }
            if arguments.json {
                let recipient = &events[0].recipient;
                let (dry_run, entries) = (arguments.dry_run, &done.entries);
                output::json_line(&mut out, &Told { recipient, dry_run, events: &events, entries })?;
            } else {
                table(&mut out, &events, &done, first)?;
                first = false;
            }
        }
        bar.inc(events as u64);
    }
    bar.finish_and_clear();
    out.flush()?;
    Ok(totals)
}

/// The events of each address that mean something else today; how many addresses each rule would newly suppress.
type Found = BTreeMap<String, (Vec<Judged>, Vec<NewConclusion>)>;

async fn judge_all(
    config: &Config,
    classifier: &Classifier,
    store: &SqliteStore,
    since: Option<Timestamp>,
    totals: &mut Totals,
) -> anyhow::Result<(Found, BTreeMap<String, u64>)> {
    let bar = progress::things(store.count_events(since).await?);
    let (mut found, mut newly) = (Found::new(), BTreeMap::new());
    let mut reread: Option<(i64, Reread)> = None;
    let mut after = 0;
    loop {
        let page = store.stored_events(after, since, PAGE).await?;
        for event in &page {
            if event.raw_kept && reread.as_ref().is_none_or(|(bounce, _)| *bounce != event.bounce) {
                let raw = store.raw(event.bounce).await?;
                let read = raw.map(|raw| Reread::of(classifier, &config.return_paths, event, &raw));
                reread = read.map(|read| (event.bounce, read));
            }
            let read = reread.as_ref().filter(|(bounce, _)| *bounce == event.bounce).map(|(_, read)| read);
            let Some(now) = reassess(classifier, event, read) else { continue };
            let old = &event.event;
            if now.class.as_str() == old.class && now.decision.as_str() == old.decision {
                continue;
            }
            if event.applies
                && now.decision == Decision::Suppress
                && old.decision != Decision::Suppress.as_str()
            {
                *newly.entry(now.rule.clone()).or_default() += 1;
            }
            let (judged, conclusions) = found.entry(event.recipient_key.clone()).or_default();
            judged.push(Judged::of(event, &now));
            let was = (old.class.clone(), old.decision.clone());
            conclusions.push(NewConclusion { event: old.event, was, now });
        }
        bar.inc(page.len() as u64);
        totals.judged += page.len() as u64;
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = last.event.event,
            _ => break,
        }
    }
    bar.finish_and_clear();
    Ok((found, newly))
}

/// Whether it may be done: a person is asked, and a script has to say so where a rule would empty a mailing list.
fn permitted(config: &Config, newly: &BTreeMap<String, u64>, changes: usize) -> anyhow::Result<()> {
    let usual = u64::from(config.breaker.min_per_hour);
    let most = newly.iter().max_by_key(|(_, count)| **count);
    let far = most.filter(|(_, count)| config.breaker.enabled && **count > usual);
    let what = match far {
        Some((rule, count)) => format!("rule {rule} would suppress for {count} bounces that did not before"),
        None => format!("{changes} bounces mean something else now"),
    };
    if is_at_terminal() {
        anyhow::ensure!(confirmed(&format!("{what}. Change them?"))?, "nothing was changed");
    } else {
        anyhow::ensure!(
            far.is_none(),
            "{what}; nothing was changed. --dry-run shows them, --yes changes them"
        );
    }
    Ok(())
}

/// Takes over what became of the events; those that were changed by others meanwhile are left out.
fn settle(events: &mut Vec<Judged>, done: &Reclassified, totals: &mut Totals) {
    events.retain_mut(|judged| {
        let Some(became) = done.events.iter().find(|became| became.event == judged.event) else {
            return false;
        };
        (judged.change_before, judged.change) = (became.before.to_owned(), became.after.to_owned());
        true
    });
    totals.changed += events.len() as u64;
    for entry in &done.entries {
        *match entry.action {
            "added" => &mut totals.added,
            "removed" => &mut totals.removed,
            _ => &mut totals.altered,
        } += 1;
    }
}

fn table(out: &mut impl Write, events: &[Judged], done: &Reclassified, first: bool) -> anyhow::Result<()> {
    let list: Vec<String> = done.entries.iter().map(entry).collect();
    let list = if list.is_empty() { "as it was".to_owned() } else { list.join(", ") };
    let cells = |judged: &Judged| {
        vec![
            judged.event.to_string(),
            judged.bounce.to_string(),
            judged.recipient.clone(),
            format!("{} → {}", judged.before.class, judged.after.class),
            format!("{} → {}", judged.before.decision, judged.after.decision),
            judged.after.rule.clone(),
            format!("{} → {}", judged.change_before, judged.change),
            list.clone(),
        ]
    };
    let headings = ["event", "bounce", "recipient", "class", "decision", "rule", "change", "the list"];
    output::rows(out, &headings, events.iter().map(cells).collect(), first)
}

/// What became of an entry, in short.
fn entry(entry: &ReclassifiedEntry) -> String {
    let stands = entry.after.as_ref().or(entry.before.as_ref());
    let word = |field: &str| stands.and_then(|entry| entry[field].as_str()).unwrap_or_default();
    let until = match word("expires_at") {
        "" => "for ever".to_owned(),
        end => format!("until {end}"),
    };
    match entry.action {
        "removed" => format!("removed: {}", word("reason")),
        action => format!("{action}: {} {until}", word("reason")),
    }
}

impl Judged {
    fn of(stored: &StoredEvent, now: &Classification) -> Self {
        let old = &stored.event;
        Self {
            event: old.event,
            bounce: stored.bounce,
            received_at: stored.received_at,
            recipient: old.recipient.clone(),
            before: Conclusion {
                class: old.class.clone(),
                decision: old.decision.clone(),
                rule: old.rule.clone(),
                evidence: old.evidence.clone(),
            },
            after: Conclusion {
                class: now.class.as_str().to_owned(),
                decision: now.decision.as_str().to_owned(),
                rule: now.rule.clone(),
                evidence: now.evidence.clone(),
            },
            change_before: old.change.clone(),
            change: old.change.clone(),
        }
    }
}

impl Totals {
    fn told(&self, dry_run: bool) -> String {
        let would = if dry_run { " would be" } else { "" };
        format!(
            "{} judged, {}{would} changed; entries{would} added: {}, changed: {}, removed: {}",
            self.judged, self.changed, self.added, self.altered, self.removed
        )
    }
}
