//! Barracuda gateways: "could not be delivered to the following recipients" with the reason below.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Barracuda;

const OPENS: &[&str] = &[
    "your message could not be delivered to the following recipients",
    "message could not be delivered to the following recipients",
];

const SHAPE: Shape = Shape {
    listed_after: &["could not be delivered to the following recipients"],
    reason_after: &["reason:", "the reason given"],
    original: &["original message", "message headers"],
    ..Shape::EMPTY
};

impl Family for Barracuda {
    fn name(&self) -> &'static str {
        "barracuda"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
