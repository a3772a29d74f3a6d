//! How results look: colours and tables on a terminal, tabs and plain text in a pipe, JSON on request.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::Value;

use super::table::table;
use crate::address::steers;

/// Standard output, which drops colours where nobody sees them.
pub(super) fn stdout() -> impl Write {
    anstream::AutoStream::auto(io::stdout().lock())
}

/// Standard output for many lines without colours: they are written together.
pub(super) fn together() -> impl Write {
    io::BufWriter::new(io::stdout().lock())
}

/// One line on standard error.
pub(super) fn error(message: &str) {
    let style = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let mut stderr = anstream::AutoStream::auto(io::stderr().lock());
    // When even standard error is gone there is nobody left to tell.
    // Some errors are lists, a line each.
    let message = message.lines().map(clean).collect::<Vec<_>>().join("\n");
    let _ = writeln!(stderr, "{style}dsnd:{style:#} {message}");
}

/// One line on standard error about the result, which is no error.
pub(super) fn note(message: &str) {
    let dim = Style::new().dimmed();
    let mut stderr = anstream::AutoStream::auto(io::stderr().lock());
    let _ = writeln!(stderr, "{dim}{}{dim:#}", clean(message));
}

/// So many things: "1 record", "2 records".
pub(super) fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// One object a line. Characters that steer a terminal are written as escapes, which mean the same in JSON.
pub(super) fn json_line(out: &mut impl Write, value: &impl Serialize) -> anyhow::Result<()> {
    let line = serde_json::to_string(value)?;
    let mut written = 0;
    for (at, c) in line.char_indices().filter(|(_, c)| steers(*c)) {
        write!(out, "{}\\u{:04x}", &line[written..at], u32::from(c))?;
        written = at + c.len_utf8();
    }
    out.write_all(&line.as_bytes()[written..])?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Rows under headings: a table on a terminal, tab-separated in a pipe (with the headings first).
pub(super) fn rows(
    out: &mut impl Write,
    headings: &[&str],
    rows: Vec<Vec<String>>,
    first: bool,
) -> anyhow::Result<()> {
    if !io::stdout().is_terminal() {
        if first {
            writeln!(out, "{}", headings.join("\t"))?;
        }
        for row in rows {
            let cells: Vec<String> = row.iter().map(|cell| clean(cell)).collect();
            writeln!(out, "{}", cells.join("\t"))?;
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let dim = Style::new().dimmed();
    let dim = [dim.render().to_string(), dim.render_reset().to_string()];
    let width = textwrap::termwidth();
    out.write_all(table(headings, &rows, width, [&dim[0], &dim[1]]).as_bytes())?;
    if first && rows.is_empty() {
        writeln!(out, "(none)")?;
    }
    Ok(())
}

/// A labelled line of a card; nothing when there is no value.
pub(super) fn field(out: &mut impl Write, label: &str, value: Option<&str>) -> io::Result<()> {
    match value {
        Some(value) if !value.is_empty() => styled_field(out, label, &clean(value)),
        _ => Ok(()),
    }
}

/// The same with a value that is clean and has its own styles.
pub(super) fn styled_field(out: &mut impl Write, label: &str, value: &str) -> io::Result<()> {
    let dim = Style::new().dimmed();
    writeln!(out, "{}", fitted(&format!("  {dim}{label:<16}{dim:#} "), value, &" ".repeat(19)))
}

/// A text behind its beginning: on a terminal no wider than that, with the lines after the first behind a margin.
pub(super) fn fitted(begin: &str, text: &str, margin: &str) -> String {
    if !io::stdout().is_terminal() {
        return format!("{begin}{text}");
    }
    // Words are not split at hyphens: host names and addresses are full of them.
    let options = textwrap::Options::with_termwidth()
        .initial_indent(begin)
        .subsequent_indent(margin)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit);
    textwrap::fill(text, options)
}

/// What else a deciding text tells, a line a fact: `listed ip`, `blocklist`, `retry after` …; without the host
/// that the report names already.
pub(super) fn facts(facts: Option<&Value>, known_host: Option<&str>) -> Vec<(String, String)> {
    let facts = facts.and_then(Value::as_object).into_iter().flatten();
    let told = facts.filter_map(|(name, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            seconds if name == "retry_after" => format!("{seconds} seconds"),
            other => other.to_string(),
        };
        let repeated = name == "remote_host" && known_host.is_some_and(|known| same_host(known, &value));
        let label = match name.as_str() {
            "remote_host" if known_host.is_some() => "host in the text".to_owned(),
            name => name.replace('_', " "),
        };
        (!repeated).then_some((label, value))
    });
    told.collect()
}

/// Whether two host names are the same, whatever stands behind the first of them.
fn same_host(mta: &str, host: &str) -> bool {
    let name = mta.split_whitespace().next().unwrap_or_default();
    name.trim_end_matches('.').eq_ignore_ascii_case(host)
}

/// The colour of a decision or a state: red where an address is lost, yellow where one is watched, green else.
pub(super) fn style_of(word: &str) -> Style {
    let colour = match word {
        "suppress" | "complaint" | "suppressed" | "hard" | "refused" => AnsiColor::Red,
        "count" | "host" | "sender" | "soft" | "unsigned" => AnsiColor::Yellow,
        _ => AnsiColor::Green,
    };
    Style::new().bold().fg_color(Some(colour.into()))
}

/// Text from outside without characters that would move a terminal's cursor or a column's end.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\tc\r\nd"), "a [2Jb c  d");
        assert_eq!(clean("\u{202e}moc.elpmaxe@a\u{9b}2J"), " moc.elpmaxe@a 2J");
    }

    #[test]
    fn json_holds_the_same_text_and_steers_nothing() {
        let text = "ä\u{9b}2J \u{7f} \x1b \u{202e}x \"\\ \u{2028}";
        let mut line = Vec::new();
        json_line(&mut line, &text).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(!line.trim_end_matches('\n').contains(steers), "{line:?}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
