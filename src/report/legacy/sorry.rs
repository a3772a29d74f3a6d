//! Hosts that say "Sorry, unable to deliver your message to … for the following reason".

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Sorry;

const OPENS: &[&str] = &["sorry, unable to deliver your message to "];

const SHAPE: Shape = Shape {
    listed_after: &["unable to deliver your message to "],
    reason_after: &["the following reason:"],
    reason_until: &["a copy of the original message"],
    original: &["a copy of the original message"],
    ..Shape::EMPTY
};

impl Family for Sorry {
    fn name(&self) -> &'static str {
        "sorry"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
