//! Gateways that put the reason in brackets behind the address, below "addresses had delivery errors".

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Bracketed;

const OPENS: &[&str] = &["---the following addresses had delivery errors---"];

const SHAPE: Shape = Shape {
    listed_after: &["the following addresses had delivery errors"],
    reason_after: &["transcript of session follows"],
    ..Shape::EMPTY
};

impl Family for Bracketed {
    fn name(&self) -> &'static str {
        "bracketed"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
