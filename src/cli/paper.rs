//! Text as on paper: headings, paragraphs and lists, wrapped to the terminal or to 80 columns.

use std::io::{self, IsTerminal, Write};
use std::ops::Range;

use anstyle::{AnsiColor, Style};
use textwrap::Options;

use super::output::clean;

/// Width in a pipe, in columns.
const PIPE_WIDTH: usize = 80;

/// Lines longer than this are tiring to read, however wide the terminal is.
const MAX_WIDTH: usize = 100;

/// Room for labels.
const LABEL: usize = 16;

/// Something to write on. What is written is cleaned of control characters.
pub(super) struct Paper<'w, W> {
    out: &'w mut W,
    width: usize,
}

impl<'w, W: Write> Paper<'w, W> {
    /// Paper as wide as standard output.
    pub(super) fn new(out: &'w mut W) -> Self {
        let width = if io::stdout().is_terminal() { textwrap::termwidth() } else { PIPE_WIDTH };
        Self { out, width: width.clamp(40, MAX_WIDTH) }
    }

    /// An empty line.
    pub(super) fn gap(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// The first line of all: a code and its name, or a file and its kind.
    pub(super) fn title(&mut self, first: &str, rest: &str) -> io::Result<()> {
        let bold = Style::new().bold();
        let (first, rest) = (clean(first), clean(rest));
        for (at, line) in
            textwrap::wrap(format!("{first}  {rest}").trim_end(), self.options("", "    ")).iter().enumerate()
        {
            match line.strip_prefix(first.as_str()) {
                Some(after) if at == 0 => {
                    let colour = bold.fg_color(Some(AnsiColor::Cyan.into()));
                    writeln!(self.out, "{colour}{first}{colour:#}{bold}{after}{bold:#}")?;
                }
                _ => writeln!(self.out, "{bold}{line}{bold:#}")?,
            }
        }
        Ok(())
    }

    /// A section's heading, with an empty line before it.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        let style = Style::new().bold().fg_color(Some(AnsiColor::Blue.into()));
        writeln!(self.out)?;
        for line in textwrap::wrap(&clean(text), self.options("", "  ")) {
            writeln!(self.out, "{style}{line}{style:#}")?;
        }
        Ok(())
    }

    /// A paragraph; nothing where there is no text.
    pub(super) fn paragraph(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() { Ok(()) } else { self.wrapped("  ", "  ", &clean(text)) }
    }

    /// Items one below the other, with numbers.
    pub(super) fn numbered(&mut self, items: &[String]) -> io::Result<()> {
        for (at, item) in items.iter().enumerate() {
            self.wrapped(&format!("{:>3}. ", at + 1), "     ", &clean(item))?;
        }
        Ok(())
    }

    /// Items one below the other, with bullets.
    pub(super) fn bullets<T: AsRef<str>>(&mut self, items: &[T]) -> io::Result<()> {
        for item in items {
            self.wrapped("  - ", "    ", &clean(item.as_ref()))?;
        }
        Ok(())
    }

    /// A labelled line; nothing when there is no value.
    pub(super) fn field(&mut self, label: &str, value: Option<&str>) -> io::Result<()> {
        self.coloured_field(label, value, Style::new())
    }

    /// A labelled line whose value has a colour.
    pub(super) fn coloured_field(
        &mut self,
        label: &str,
        value: Option<&str>,
        style: Style,
    ) -> io::Result<()> {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(()) };
        let value = clean(value);
        let whole = 0..if style.is_plain() { 0 } else { value.len() };
        self.labelled(label, &marked(&value, whole, style))
    }

    /// A labelled text with a part of it marked.
    pub(super) fn marked_field(&mut self, label: &str, text: &str, mark: Range<usize>) -> io::Result<()> {
        let style = Style::new().bold().fg_color(Some(AnsiColor::Black.into()));
        self.labelled(label, &marked(text, mark, style.bg_color(Some(AnsiColor::Yellow.into()))))
    }

    fn labelled(&mut self, label: &str, value: &str) -> io::Result<()> {
        let dim = Style::new().dimmed();
        let room = " ".repeat(LABEL + 3);
        for (at, line) in textwrap::wrap(value, self.options(&room, &room)).iter().enumerate() {
            match line.get(room.len()..) {
                Some(rest) if at == 0 => writeln!(self.out, "  {dim}{label:<LABEL$}{dim:#} {rest}")?,
                _ => writeln!(self.out, "{line}")?,
            }
        }
        Ok(())
    }

    fn wrapped(&mut self, first: &str, next: &str, text: &str) -> io::Result<()> {
        for line in textwrap::wrap(text, self.options(first, next)) {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    fn options<'o>(&self, first: &'o str, next: &'o str) -> Options<'o> {
        // Words are not split at hyphens: host names, addresses and header fields are full of them.
        Options::new(self.width)
            .initial_indent(first)
            .subsequent_indent(next)
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit)
    }
}

/// The text with a range in a style, word by word, so that a line may be broken in between; cleaned.
fn marked(text: &str, range: Range<usize>, style: Style) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let (before, inside, after) =
        match (text.get(..range.start), text.get(range.clone()), text.get(range.end..)) {
            (Some(before), Some(inside), Some(after)) => (before, inside, after),
            _ => (text, "", ""),
        };
    out.push_str(&clean(before));
    for (at, word) in clean(inside).split(' ').enumerate() {
        if at > 0 {
            out.push(' ');
        }
        if !word.is_empty() {
            out.push_str(&format!("{style}{word}{style:#}"));
        }
    }
    out.push_str(&clean(after));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_paper(write: impl FnOnce(&mut Paper<'_, Vec<u8>>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut Paper { out: &mut out, width: 40 }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn long_items_hang_under_their_own_text() {
        let items = ["the quick brown fox jumps over the lazy dog and on".to_owned(), "short".to_owned()];
        assert_eq!(
            on_paper(|paper| paper.numbered(&items)),
            "  1. the quick brown fox jumps over the\n     lazy dog and on\n  2. short\n"
        );
    }

    #[test]
    fn a_mark_survives_a_line_break_and_colours_no_margin() {
        let text = "550 5.1.1 the mailbox that you wanted is unknown here";
        let start = text.find("is unknown").unwrap();
        let shown = on_paper(|paper| paper.marked_field("said", text, start..start + 10));
        for line in shown.lines() {
            assert!(!line.starts_with('\x1b'), "{line:?}");
        }
        assert_eq!(shown.matches("\x1b[43m").count() + shown.matches(";43m").count(), 2, "{shown:?}");
    }

    #[test]
    fn what_a_stranger_wrote_cannot_steer_the_terminal() {
        let shown = on_paper(|paper| paper.marked_field("said", "a\x1b[2Jb\u{9b}c", 0..0));
        assert_eq!(shown.matches('\x1b').count(), 2, "{shown:?}"); // the label's own
        assert!(!shown.contains('\u{9b}'));
    }
}
