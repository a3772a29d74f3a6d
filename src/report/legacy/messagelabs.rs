//! Symantec.cloud, before it MessageLabs.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct MessageLabs;

const OPENS: &[&str] = &["this is the mail delivery agent at"];

const SHAPE: Shape = Shape {
    listed_after: &["i was unable to deliver your message to the following address"],
    reason_after: &["reason:"],
    reason_until: &["the message subject was:"],
    original: &["original message", "message headers"],
    ..Shape::EMPTY
};

impl Family for MessageLabs {
    fn name(&self) -> &'static str {
        "messagelabs"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
