//! MailEnable, and Merak before it: `Recipient:` and `Reason:`.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct MailEnable;

const OPENS: &[&str] = &[
    "mailenable: message could not be delivered",
    "could not deliver message to the following recipient(s):",
];

const SHAPE: Shape = Shape {
    listed_after: &["recipient: [smtp:", "failed recipient:"],
    reason_after: &["reason:"],
    original: &["message headers follow", "-- the header and top"],
    ..Shape::EMPTY
};

impl Family for MailEnable {
    fn name(&self) -> &'static str {
        "mailenable"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
