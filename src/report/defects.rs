//! Collects what could not be read, within bounds.

use super::Defect;

/// Defects kept of one message; a hundred thousand broken groups need no hundred thousand complaints.
const MAX_DEFECTS: usize = 100;

/// Longest piece of offending text that a defect quotes, in bytes.
const MAX_QUOTE: usize = 120;

/// The defects of one message.
#[derive(Debug, Default)]
pub(super) struct Defects {
    list: Vec<Defect>,
    more: usize,
}

impl Defects {
    /// Notes that something at `place` could not be read; `text` is the offending text, or empty.
    pub(super) fn add(&mut self, place: &str, what: &str, text: &str) {
        if self.list.len() >= MAX_DEFECTS {
            self.more += 1;
            return;
        }
        let mut what = what.to_owned();
        if !text.is_empty() {
            let cut = text.floor_char_boundary(MAX_QUOTE.min(text.len()));
            let dots = if cut < text.len() { "…" } else { "" };
            what = format!("{what}: {:?}", format!("{}{dots}", &text[..cut]));
        }
        self.list.push(Defect { place: place.to_owned(), what });
    }

    /// Takes over the defects of a part that was read on its own.
    pub(super) fn append(&mut self, other: Self) {
        let room = MAX_DEFECTS.saturating_sub(self.list.len());
        self.more += other.more + other.list.len().saturating_sub(room);
        self.list.extend(other.list.into_iter().take(room));
    }

    /// All of them; where there were too many, the last one counts the rest.
    pub(super) fn into_list(mut self) -> Vec<Defect> {
        if self.more > 0 {
            let what = format!("{} more defects of this message are not listed", self.more);
            self.list.push(Defect { place: "report".to_owned(), what });
        }
        self.list
    }
}
