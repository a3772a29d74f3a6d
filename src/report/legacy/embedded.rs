//! The fields of a delivery status (RFC 3464) in the middle of the text, where a gateway or a careless program
//! lost the part around them.

use super::letter::Letter;
use super::text::lines;
use super::{Family, Reading};
use crate::report::defects::Defects;
use crate::report::dsn;

pub(super) struct Embedded;

impl Family for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let is_recipient = |line: &str| field(line, "final-recipient:") || field(line, "original-recipient:");
        let mut start = None;
        let mut named = false;
        let mut end = letter.body.len();
        for (at, line) in lines(letter.body) {
            if start.is_none() && (field(line, "reporting-mta:") || is_recipient(line)) {
                start = Some(at);
            }
            named |= is_recipient(line);
            if start.is_some()
                && (line.starts_with("--") || field(line, "received:") || field(line, "return-path:"))
            {
                end = at;
                break;
            }
        }
        let status = &letter.body[start?..end];
        let mut reader = dsn::Reader::default();
        // What cannot be read in it costs its field; the letter's other defects are told apart from it.
        let mut defects = Defects::default();
        reader.read(status.as_bytes(), &mut defects);
        reader.finish(&mut defects);
        named.then(|| Reading {
            recipients: reader.recipients,
            message: reader.message,
            original_at: (end < letter.body.len()).then_some(end),
            ..Reading::default()
        })
    }
}

fn field(line: &str, name: &str) -> bool {
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}
