//! Rows that fit a terminal. A row is one line where that can be done: an address cut into pieces can be neither read nor
//! copied.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};
use jiff::Timestamp;
use textwrap::core::display_width;

/// Columns between two cells.
const GAP: usize = 2;

/// Nothing is made narrower than this.
const NARROW: usize = 10;

/// A cell keeps so many columns, or its whole text, before another one goes below the row; one of several words, so many.
const ROOMY: usize = 24;
const ROOMY_WORDS: usize = 40;

/// Before the details of a row.
const INDENT: &str = "    ";

/// Rows under headings, no wider than `width` columns. Columns that are empty everywhere are left out, numbers stand to
/// the right, times are written shorter, long texts are shortened in the middle; what has no place then stands below its
/// row. `dim` is put around the names of those.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>], width: usize, dim: [&str; 2]) -> String {
    let mut columns: Vec<Column> = headings
        .iter()
        .enumerate()
        .map(|(at, heading)| {
            Column::new(heading, rows.iter().map(|row| row.get(at).map_or("", String::as_str)))
        })
        .filter(|column| rows.is_empty() || column.widest > 0)
        .collect();
    if total(&columns) > width {
        columns.iter_mut().for_each(Column::shorten_times);
    }
    let mut beside = columns.len();
    while beside > 1 && needed(&columns[..beside]) > width {
        beside -= 1;
    }
    let below = columns.split_off(beside);
    while total(&columns) > width {
        let Some(widest) =
            columns.iter_mut().filter(|column| column.can_shrink()).max_by_key(|column| column.room())
        else {
            break;
        };
        widest.limit = widest.room() - 1;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|column| column.heading.to_uppercase()));
    for row in 0..rows.len() {
        table.add_row(columns.iter().map(|column| shortened(&column.cells[row], column.room())));
    }
    for (at, _) in columns.iter().enumerate().filter(|(_, column)| column.number) {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for (at, line) in table.trim_fmt().lines().enumerate() {
        text.push_str(line.strip_prefix(' ').unwrap_or(line));
        text.push('\n');
        if let Some(row) = at.checked_sub(1) {
            details(&mut text, &below, row, width, dim);
        }
    }
    text
}

/// What has no place in a row, below it.
fn details(text: &mut String, columns: &[Column], row: usize, width: usize, [dim, end]: [&str; 2]) {
    let mut used = 0;
    for column in columns.iter().filter(|column| !column.cells[row].is_empty()) {
        let label = display_width(&column.heading) + 1;
        let room = width.saturating_sub(INDENT.len() + label).max(NARROW);
        let cell = shortened(&column.cells[row], room);
        let wide = label + display_width(&cell);
        if used > 0 && used + GAP + wide > width {
            text.push('\n');
            used = 0;
        }
        if used == 0 {
            text.push_str(INDENT);
            used = INDENT.len();
        } else {
            text.push_str("  ");
            used += GAP;
        }
        let _ = write!(text, "{dim}{}{end} {cell}", column.heading); // a String takes everything
        used += wide;
    }
    if used > 0 {
        text.push('\n');
    }
}

struct Column {
    heading: String,
    cells: Vec<String>,
    /// The widest cell, without the heading.
    widest: usize,
    number: bool,
    /// Numbers and times say nothing when they are cut.
    fixed: bool,
    limit: usize,
}

impl Column {
    fn new<'c>(heading: &str, cells: impl Iterator<Item = &'c str>) -> Self {
        let cells: Vec<String> = cells.map(str::to_owned).collect();
        let widest = cells.iter().map(|cell| display_width(cell)).max().unwrap_or(0);
        let digits = |cell: &String| cell.bytes().all(|octet| octet.is_ascii_digit());
        let number = widest > 0 && cells.iter().all(digits);
        Self { heading: heading.to_owned(), cells, widest, number, fixed: number, limit: usize::MAX }
    }

    /// Times to the minute, in every cell: nobody reads a table for seconds.
    fn shorten_times(&mut self) {
        let there = self.cells.iter().any(|cell| !cell.is_empty());
        self.fixed |= there && self.cells.iter().all(|cell| cell.is_empty() || is_time(cell));
        for cell in &mut self.cells {
            let words = cell.split(' ').map(|word| match word.get(..TIME).filter(|time| is_time(time)) {
                Some(time) => format!("{} {}{}", &time[..10], &time[11..16], &word[TIME..]),
                None => word.to_owned(),
            });
            *cell = words.collect::<Vec<_>>().join(" ");
        }
        self.widest = self.cells.iter().map(|cell| display_width(cell)).max().unwrap_or(0);
    }

    /// How wide it is.
    fn room(&self) -> usize {
        self.widest.max(display_width(&self.heading)).min(self.limit)
    }

    fn can_shrink(&self) -> bool {
        !self.fixed && self.room() > NARROW.max(display_width(&self.heading))
    }

    /// How wide it is before another one goes below the row.
    fn wanted(&self) -> usize {
        let roomy = if self.cells.iter().any(|cell| cell.contains(' ')) { ROOMY_WORDS } else { ROOMY };
        if self.fixed { self.room() } else { self.room().min(roomy.max(display_width(&self.heading))) }
    }
}

/// The length of a time to the second in UTC.
const TIME: usize = "2026-11-21T20:00:00Z".len();

fn is_time(text: &str) -> bool {
    text.len() == TIME && text.parse::<Timestamp>().is_ok()
}

fn total(columns: &[Column]) -> usize {
    columns.iter().map(Column::room).sum::<usize>() + GAP * columns.len().saturating_sub(1)
}

fn needed(columns: &[Column]) -> usize {
    columns.iter().map(Column::wanted).sum::<usize>() + GAP * columns.len().saturating_sub(1)
}

/// A text of at most so many columns: its beginning and its end, of whole words where there are several.
pub(super) fn shortened(text: &str, room: usize) -> String {
    if display_width(text) <= room {
        return text.to_owned();
    }
    if let Some(words) = whole_words(text, room) {
        return words;
    }
    let half = room.saturating_sub(1);
    let end: String = {
        let mut used = 0;
        let fits = |c: &char| {
            used += display_width(c.encode_utf8(&mut [0; 4]));
            used <= half / 2
        };
        let backwards: Vec<char> = text.chars().rev().take_while(fits).collect();
        backwards.into_iter().rev().collect()
    };
    let mut used = display_width(&end);
    let begin: String = text
        .chars()
        .take_while(|c| {
            used += display_width(c.encode_utf8(&mut [0; 4]));
            used <= half
        })
        .collect();
    format!("{begin}…{end}")
}

/// The first and the last words of a text, as many as fit; none where not even the first one does.
fn whole_words(text: &str, room: usize) -> Option<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let mut left = room.checked_sub(2)?;
    let fitting = |left: &mut usize, words: &mut dyn Iterator<Item = &&str>| {
        words
            .take_while(|word| {
                let rest = left.checked_sub(display_width(word) + 1);
                *left = rest.unwrap_or(*left);
                rest.is_some()
            })
            .count()
    };
    // A little less than half of it is for the end.
    let end = left * 2 / 5;
    left -= end;
    let first = fitting(&mut left, &mut words.iter());
    left += end;
    let last = fitting(&mut left, &mut words[first..].iter().rev());
    let more = fitting(&mut left, &mut words[first..words.len() - last].iter());
    let (begin, end) = (&words[..first + more], &words[words.len() - last..]);
    (!begin.is_empty()).then(|| [begin, &["…"], end].concat().join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::bounces::HEADINGS;
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |id: &str, recipient: &str, class: &str, subject: &str| {
            let cells = [
                id,
                "2026-11-20T10:00:00Z",
                recipient,
                class,
                "5.1.1",
                "suppress",
                "suppressed",
                "proven",
                "",
                subject,
            ];
            cells.map(str::to_owned).to_vec()
        };
        let long = "a.rather.long.local.part.of.an.address.that.never.ends@a.domain.with.many.labels.example";
        vec![
            row("7", "dead@example.net", "recipient_unknown", "Our news of the week, and what else happened"),
            row("12345", long, "mailbox_full", "Ünïcode 🎉 and so on"),
        ]
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_every_row_can_be_told() {
        for width in [40, 60, 80, 100, 132, 200] {
            let text = table(&HEADINGS, &rows(), width, ["", ""]);
            for line in text.lines() {
                assert!(display_width(line) <= width, "{width}: {line:?}");
            }
            let wanted: &[&str] = if width >= 80 {
                &["12345", "dead@example.net", "els.example", "5.1.1", "suppressed", "Our news"]
            } else {
                &["12345", "suppressed", "Our news"]
            };
            assert!(wanted.iter().all(|words| text.contains(words)), "{width}:\n{text}");
            assert!(!text.to_lowercase().contains("stream"), "an empty column: {text}");
        }
    }

    #[test]
    fn at_80_columns_a_bounce_has_its_line_and_its_details_below() {
        let text = table(&HEADINGS, &rows(), 80, ["", ""]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("   ID  RECEIVED"), "numbers stand to the right:\n{text}");
        assert!(lines[1].starts_with("    7  2026-11-20 10:00  dead@example.net"), "{text}");
        assert!(lines[2].starts_with("    decision suppress  change suppressed"), "{text}");
        assert!(lines[3].starts_with("    subject Our news of the week"), "{text}");
        assert!(lines[4].contains('…') && lines[4].starts_with("12345"), "{text}");
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        let rows = vec![vec!["1".to_owned(), "2026-11-20T10:00:00Z".to_owned(), "a@example.net".to_owned()]];
        let text = table(&["id", "at", "address"], &rows, 80, ["", ""]);
        assert_eq!(text, "ID  AT                    ADDRESS\n 1  2026-11-20T10:00:00Z  a@example.net\n");
        assert_eq!(table(&["id", "at"], &[], 80, ["", ""]), "ID  AT\n");
    }

    #[test]
    fn all_times_of_a_row_have_one_form() {
        let long = "expired 2027-01-01T10:00:00Z, and then a good many words of a person who explained it";
        let row = ["2026-11-20T10:00:00Z", "complaint until 2027-11-20T10:00:00Z", long, "for ever"];
        let text = table(&["at", "what", "why", "until"], &[row.map(str::to_owned).to_vec()], 80, ["", ""]);
        assert!(text.contains("2026-11-20 10:00  complaint until 2027-11-20 10:00"), "{text}");
        assert!(text.contains("expired 2027-01-01 10:00, and") && !text.contains("00Z"), "{text}");
    }

    #[test]
    fn a_sentence_is_shortened_between_its_words() {
        let text = "554 5.7.1 Service unavailable; Client host blocked using cbl.abuseat.org (state 13).";
        for room in 12..display_width(text) {
            let short = shortened(text, room);
            assert!(display_width(&short) <= room, "{room}: {short}");
            assert!(short.contains('…') && short.starts_with("554"), "{room}: {short}");
            assert!(
                short.split(' ').all(|word| word == "…" || text.split(' ').any(|whole| whole == word)),
                "{short}"
            );
        }
        assert_eq!(shortened(text, 40), "554 5.7.1 Service … (state 13).");
        assert_eq!(shortened("averyveryverylongword and more", 12), "averyv… more");
    }

    #[test]
    fn a_text_is_shortened_in_the_middle() {
        assert_eq!(shortened("abcdefghij", 10), "abcdefghij");
        assert_eq!(shortened("abcdefghijk", 10), "abcde…hijk");
        assert_eq!(shortened("äöüäöüäöüäöü", 5), "äö…öü");
        assert_eq!(display_width(&shortened("日本語日本語日本語", 8)), 7);
    }
}
