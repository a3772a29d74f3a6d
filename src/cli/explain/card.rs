//! A message on a terminal: a card a recipient, then what the codes mean.

use std::io::Write;
use std::ops::Range;

use super::Explain;
use crate::classify::guide::{Guide, Language, Said, of_code, of_reply};
use crate::classify::registry::Registry;
use crate::cli::guide::{self, words};
use crate::cli::output;
use crate::cli::paper::Paper;
use crate::ingest::{Explained, RecipientPart};
use crate::status::ReplyCode;

/// How much of a long text is shown on either side of the deciding words, in bytes.
const AROUND: usize = 160;

/// Prints a message's cards, and the guide to each code in them once.
pub(super) fn print(
    out: &mut impl Write,
    explained: &Explained<'_>,
    registry: &Registry,
    arguments: &Explain,
) -> anyhow::Result<()> {
    let language = arguments.lang;
    let german = language == Language::De;
    let word = |english: &'static str, deutsch: &'static str| if german { deutsch } else { english };
    let mut paper = Paper::new(out);
    paper.title(explained.source, explained.kind)?;
    paper.field(word("reported by", "gemeldet von"), explained.report.reporting_mta.as_deref())?;
    if let Some(original) = &explained.original {
        paper.field(word("about message", "zur Nachricht"), original.message_id.as_deref())?;
        paper.field(word("subject", "Betreff"), original.subject.as_deref())?;
    }
    if explained.recipients.is_empty() {
        paper.field(word("recipients", "Empfänger"), Some(word("none found", "keine gefunden")))?;
    }
    for recipient in &explained.recipients {
        paper.gap()?;
        card(&mut paper, recipient, language)?;
    }
    for defect in &explained.defects {
        paper.field(word("could not read", "nicht lesbar"), Some(defect))?;
    }
    if !arguments.short {
        let mut told: Vec<String> = Vec::new();
        for recipient in &explained.recipients {
            let Some(guide) = guide_to(registry, recipient, language) else { continue };
            let key = format!("{} {}", guide.code, guide.provider.unwrap_or_default());
            if !told.contains(&key) {
                paper.gap()?;
                guide::print(&mut paper, &guide, language)?;
                told.push(key);
            }
        }
    }
    paper.gap()?;
    Ok(())
}

/// Who, what becomes of the address, and why.
fn card<W: Write>(
    paper: &mut Paper<'_, W>,
    recipient: &RecipientPart,
    language: Language,
) -> std::io::Result<()> {
    let german = language == Language::De;
    let word = |english: &'static str, deutsch: &'static str| if german { deutsch } else { english };
    let words = words::words(language);
    paper.title(recipient.recipient.as_deref().unwrap_or(word("(no address)", "(keine Adresse)")), "")?;
    let decision = words::decision(recipient.decision, recipient.class, language);
    paper.coloured_field(words.decision, Some(&decision), output::style_of(recipient.decision.as_str()))?;
    let said = word(recipient.class.describe(), recipient.class.describe_de());
    let class = format!("{}: {said}", recipient.class);
    paper.field(words.class, Some(&class))?;
    let success = recipient.class == crate::classify::Class::Delivered;
    let kind = format!(
        "{}, {}",
        words::bounce(recipient.bounce_type, success, language),
        words::category(recipient.category, language)
    );
    paper.field(words.kind, Some(&kind))?;
    let status = match (&recipient.status, &recipient.effective_status) {
        (Some(status), Some(effective)) if status != effective => {
            Some(format!("{status}, {} {effective}", word("effectively", "tatsächlich")))
        }
        (status, effective) => status.clone().or_else(|| effective.clone()),
    };
    let reported: Vec<&str> = [recipient.action, status.as_deref()].into_iter().flatten().collect();
    paper.field(word("reported", "gemeldet"), Some(&reported.join(", ")))?;
    paper.field(word("remote host", "Gegenstelle"), recipient.remote_mta.as_deref())?;
    // The deciding words, where they stand; the diagnostic besides, where it is another text.
    if let Some(context) = &recipient.context {
        let (shown, mark) = around(context, &recipient.evidence);
        let label = match recipient.evidence_field {
            "text" => word("text", "Text"),
            "extension" => word("extension field", "Zusatzfeld"),
            _ => word("diagnostic", "Diagnose"),
        };
        paper.marked_field(label, &shown, mark)?;
    }
    if recipient.context.is_none() || recipient.evidence_field != "diagnostic_code" {
        paper.field(word("diagnostic", "Diagnose"), recipient.diagnostic_code.as_deref())?;
    }
    let why = match recipient.evidence.as_str() {
        "" => recipient.rule.clone(),
        words => format!("{} ({words:?} in {})", recipient.rule, recipient.evidence_field),
    };
    paper.field(words.rule, Some(&why))?;
    paper.field(word("trust", "Vertrauen"), Some(recipient.trust))?;
    let facts = serde_json::to_value(&recipient.facts).unwrap_or_default();
    for (label, value) in output::facts(Some(&facts), recipient.remote_mta.as_deref()) {
        let label = if german { words::fact(&label) } else { label.as_str() };
        paper.field(label, Some(&value))?;
    }
    Ok(())
}

/// The guide to the code that decided.
fn guide_to<'r>(registry: &'r Registry, recipient: &RecipientPart, language: Language) -> Option<Guide<'r>> {
    if let Some(code) = recipient.effective_status.as_deref().and_then(|code| code.parse().ok()) {
        let text = recipient.context.as_deref().or(recipient.diagnostic_code.as_deref()).unwrap_or_default();
        let said = Said { class: recipient.class, text };
        return Some(of_code(registry, code, Some(said), language));
    }
    let entry = registry.reply(recipient.reply_code.and_then(ReplyCode::new)?)?;
    Some(of_reply(registry, entry, language))
}

/// The words and what stands around them, cut at spaces, and where the words are in that.
fn around(text: &str, words: &str) -> (String, Range<usize>) {
    let found = if words.is_empty() { None } else { text.find(words) };
    let start = found.unwrap_or(0);
    let end = start + found.map_or(0, |_| words.len());
    let mut from = text.floor_char_boundary(start.saturating_sub(AROUND));
    if from > 0 {
        from = text[from..start].find(' ').map_or(start, |space| from + space + 1);
    }
    let mut to = text.ceil_char_boundary((end + AROUND).min(text.len()));
    if to < text.len() {
        to = text[end..to].rfind(' ').map_or(end, |space| end + space);
    }
    let (before, after) = (if from > 0 { "… " } else { "" }, if to < text.len() { " …" } else { "" });
    let at = before.len() + start - from;
    (format!("{before}{}{after}", &text[from..to]), at..at + (end - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_shown_where_it_matters() {
        let long = format!("{}the mailbox is full{}", "word ".repeat(100), " more".repeat(100));
        let (shown, mark) = around(&long, "mailbox is full");
        assert_eq!(&shown[mark], "mailbox is full");
        assert!(shown.starts_with("… word") && shown.ends_with("more …"), "{shown}");
        assert!(shown.len() < 2 * AROUND + 40);
        assert_eq!(around("550 gone", "550 gone"), ("550 gone".to_owned(), 0..8));
        assert_eq!(around("ää gone", "nowhere"), ("ää gone".to_owned(), 0..0));
        assert_eq!(around("", ""), (String::new(), 0..0));
    }
}
