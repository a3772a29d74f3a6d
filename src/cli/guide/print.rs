//! A guide on paper.

use std::io::{self, Write};

use super::words::{self, words};
use crate::classify::Decision;
use crate::classify::guide::{Guide, Language, Verdict};
use crate::cli::output;
use crate::cli::paper::Paper;
use crate::status::EnhancedStatusCode;

/// Prints everything that a guide has.
pub(in crate::cli) fn print<W: Write>(
    paper: &mut Paper<'_, W>,
    guide: &Guide<'_>,
    language: Language,
) -> io::Result<()> {
    let words = words(language);
    paper.title(&guide.code, guide.name)?;
    let code: Option<EnhancedStatusCode> = guide.code.parse().ok();
    if let Some(code) = code.filter(|_| guide.explained_by.is_none()) {
        let name = guide.provider.is_none().then_some(guide.name);
        paper.paragraph(&words::anatomy(code, name, language))?;
    }
    match (guide.registered, guide.provider, &guide.explained_by) {
        (false, Some(provider), _) => paper.paragraph(&format!("{} {provider}", words.only_provider))?,
        (_, _, Some(found)) => paper.paragraph(&format!("{} {found}", words.unregistered))?,
        (true, provider, None) => paper.field(words.provider, provider)?,
        (false, None, None) => {}
    }
    if let Some(verdict) = guide.verdict {
        let success = code.is_some_and(|code| code.class == crate::status::StatusClass::Success);
        print_verdict(paper, verdict, success, language)?;
    }
    let replies: Vec<String> = guide.replies.iter().map(ToString::to_string).collect();
    paper.field(words.replies, Some(&replies.join(", ")))?;
    paper.field(words.reference, Some(guide.reference))?;
    paper.heading(words.meaning)?;
    paper.paragraph(guide.meaning)?;
    // Where the text told which meaning it is, the others would only distract.
    if !guide.registered || guide.provider.is_none() {
        print_uses(paper, &guide.providers, language)?;
    }
    paper.heading(words.action)?;
    paper.paragraph(guide.action)?;
    print_lists(paper, guide, language)
}

/// Type, category, class and decision.
pub(in crate::cli) fn print_verdict<W: Write>(
    paper: &mut Paper<'_, W>,
    verdict: Verdict,
    success: bool,
    language: Language,
) -> io::Result<()> {
    let words = words(language);
    let kind = words::bounce(verdict.bounce_type, success, language);
    paper.coloured_field(words.kind, Some(kind), output::style_of(verdict.bounce_type.as_str()))?;
    paper.field(words.category, Some(words::category(verdict.category, language)))?;
    paper.field(words.class, Some(verdict.class.as_str()))?;
    let decision: Decision = verdict.decision;
    let does = words::decision(decision, verdict.class, language);
    paper.coloured_field(words.decision, Some(&does), output::style_of(decision.as_str()))
}

/// What providers mean by the code, in short.
fn print_uses<W: Write>(paper: &mut Paper<'_, W>, uses: &[Guide<'_>], language: Language) -> io::Result<()> {
    if uses.is_empty() {
        return Ok(());
    }
    paper.heading(words(language).providers)?;
    let one = |guide: &Guide<'_>| {
        let verdict = guide.verdict.map(|verdict| format!(" [{}, {}]", verdict.class, verdict.decision));
        let uses = words::uses_it_for(guide.provider.unwrap_or_default(), guide.name, language);
        format!("{uses}. {}{}", guide.meaning, verdict.unwrap_or_default())
    };
    paper.bullets(&uses.iter().map(one).collect::<Vec<_>>())
}

fn print_lists<W: Write>(paper: &mut Paper<'_, W>, guide: &Guide<'_>, language: Language) -> io::Result<()> {
    let words = words(language);
    let lists = [
        (words.causes, guide.causes, true),
        (words.senders, guide.senders, false),
        (words.developers, guide.developers, false),
        (words.investigate, guide.investigate, true),
    ];
    for (heading, items, in_order) in lists.into_iter().filter(|(_, items, _)| !items.is_empty()) {
        paper.heading(heading)?;
        if in_order { paper.numbered(items)? } else { paper.bullets(items)? }
    }
    if !guide.examples.is_empty() {
        paper.heading(words.examples)?;
        paper.bullets(&guide.examples)?;
    }
    if !guide.related.is_empty() {
        paper.heading(words.related)?;
        for related in &guide.related {
            paper.field(&related.code, Some(related.name.unwrap_or("-")))?;
        }
    }
    Ok(())
}
