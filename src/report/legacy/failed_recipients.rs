//! X-Failed-Recipients alone: Exim's field, which others took over. The addresses stand in it; the text about
//! them may be of any form.

use super::entries::Entries;
use super::letter::Letter;
use super::text::addresses_in;
use super::{Family, Reading};

pub(super) struct FailedRecipients;

impl Family for FailedRecipients {
    fn name(&self) -> &'static str {
        "failed-recipients"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let mut entries = Entries::default();
        let failed = &letter.report.failed_recipients;
        for address in failed.iter().flat_map(|one| addresses_in(one)) {
            entries.begin(&address, "");
        }
        Some(Reading::of(entries.finish()))
    }
}
