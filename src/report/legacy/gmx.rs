//! GMX, WEB.DE, 1&1, IONOS and mail.com, which share a mailer: Exim's opening words, then `"address":`,
//! `<address>` or a bare one, the reason behind `Reason:` or below.

use super::letter::Letter;
use super::service::{Shape, opens_with, paragraphs};
use super::{Family, Reading};

pub(super) struct Gmx;

const ORIGINAL: &[&str] = &[
    "--- the header of the original message is following",
    "--- the header of the original message follows",
    "--- original message",
];

const SHAPE: Shape = Shape {
    listed_after: &["the following address failed", "the following addresses failed", "failed:"],
    reason_after: &["for the following reason:", "reason:"],
    original: ORIGINAL,
    ..Shape::EMPTY
};

impl Family for Gmx {
    fn name(&self) -> &'static str {
        "gmx"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let marked = letter.header.has_any(&["X-UI-Out-Filterresults", "X-GMX-Antispam", "X-Provags-ID"])
            || opens_with(letter, &ORIGINAL[..2])
            || letter.from().contains("kundenserver.");
        if !marked || !opens_with(letter, &["a message that you sent could not be delivered"]) {
            return None;
        }
        paragraphs(letter, ORIGINAL).or_else(|| SHAPE.read(letter))
    }
}
