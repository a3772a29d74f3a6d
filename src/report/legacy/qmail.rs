//! qmail's bounces, QSBMF: an opening line, a paragraph a recipient that begins with `<address>:`, a line of
//! three or more hyphens before the returned message. (The form its author published as "qmail-send bounce
//! message format".)

use super::letter::{Letter, address_in};
use super::{Family, Reading, failed};

pub(super) struct Qmail;

impl Family for Qmail {
    fn name(&self) -> &'static str {
        "qmail"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        letter.lines().take(20).find(|(_, line)| line.trim_start().starts_with("Hi. This is "))?;
        let mut reading = Reading::default();
        let mut current: Option<(String, String)> = None;
        for (at, line) in letter.lines() {
            let line = line.trim();
            if line.len() >= 3 && line.starts_with("---") {
                reading.original_at = Some(at + letter.text[at..].find('\n').map_or(0, |end| end + 1));
                break;
            }
            if line.starts_with('<') && line.ends_with(">:") {
                reading.recipients.extend(current.take().map(|(address, text)| failed(&address, &text)));
                current = address_in(line).map(|address| (address, String::new()));
            } else if let Some((_, text)) = &mut current {
                text.push_str(line);
                text.push('\n');
            }
        }
        reading.recipients.extend(current.take().map(|(address, text)| failed(&address, &text)));
        Some(reading)
    }
}
