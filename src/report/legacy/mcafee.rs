//! McAfee WebShield and Email Gateway: addresses with delivery problems, the reason in parentheses.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct McAfee;

const OPENS: &[&str] = &["--- the following addresses had delivery problems ---"];

const SHAPE: Shape = Shape {
    listed_after: &["the following addresses had delivery problems"],
    reason_until: &["original message"],
    original: &["--- original message", "---original message"],
    ..Shape::EMPTY
};

impl Family for McAfee {
    fn name(&self) -> &'static str {
        "mcafee"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
