//! Trend Micro InterScan: its notifications, and the lines it sent and received.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct InterScan;

const OPENS: &[&str] = &["message from interscan", "sent <<< rcpt to:"];

const SHAPE: Shape = Shape {
    listed_after: &["sent <<< rcpt to:", "unable to deliver message to"],
    reason_after: &["received >>>"],
    reason_until: &["end of message", "please check if address"],
    ..Shape::EMPTY
};

impl Family for InterScan {
    fn name(&self) -> &'static str {
        "interscan"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
