//! Amazon WorkMail, and others that put the fields of a delivery status into the text: "Technical report:".

use super::letter::Letter;
use super::service::contains;
use super::text::lines;
use super::{Family, Reading};
use crate::report::defects::Defects;
use crate::report::dsn;

pub(super) struct WorkMail;

/// Lines after which the fields stand, in lower case.
const REPORTS: &[&str] = &["technical report:", "delivery status:", "reporting-mta:"];

impl Family for WorkMail {
    fn name(&self) -> &'static str {
        "workmail"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let (start, line) =
            letter.lines().take(100).find(|(_, line)| contains(&line.trim().to_lowercase(), REPORTS))?;
        let start = if line.to_lowercase().contains("reporting-mta") { start } else { start + line.len() };
        let fields = letter.text[start..].trim_start_matches('\n');
        // What a family of its own calls its fields "Final-Recipient" for is no accident: both must be there.
        let has = |name: &str| lines(fields).take(60).any(|(_, line)| starts_with(line, name));
        if !has("final-recipient:") || !(has("action:") || has("status:")) {
            return None;
        }
        let mut reader = dsn::Reader::default();
        let mut defects = Defects::default();
        let end = lines(fields).find(|(_, line)| ends(line)).map_or(fields.len(), |(at, _)| at);
        reader.read(&fields.as_bytes()[..end], &mut defects);
        reader.finish(&mut defects);
        Some(Reading { recipients: reader.recipients, message: reader.message, ..Reading::default() })
    }
}

fn starts_with(line: &str, name: &str) -> bool {
    line.trim_start().get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// A line that cannot be among fields: a rule, or the header of the returned message.
fn ends(line: &str) -> bool {
    line.starts_with("---")
        || line.starts_with("===")
        || starts_with(line, "received:")
        || starts_with(line, "return-path:")
}
