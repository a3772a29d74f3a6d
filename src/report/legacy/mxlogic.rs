//! MX Logic, later McAfee SaaS: `<address>: reply` after Exim's opening words.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct MxLogic;

const OPENS: &[&str] = &["a message that you have sent could not be delivered to one or more"];

const SHAPE: Shape = Shape {
    listed_after: &["the following address failed:", "the following addresses failed:"],
    original: &["included is a copy of the message header"],
    ..Shape::EMPTY
};

impl Family for MxLogic {
    fn name(&self) -> &'static str {
        "mxlogic"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
