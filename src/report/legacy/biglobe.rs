//! Biglobe and other gateways of Japanese providers: addresses with delivery problems, then information.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Biglobe;

const OPENS: &[&str] = &["----- the following addresses had delivery problems -----"];

const SHAPE: Shape = Shape {
    listed_after: &["the following addresses had delivery problems"],
    reason_after: &["----- non-delivered information -----"],
    original: &["----- original message", "----- message header"],
    ..Shape::EMPTY
};

impl Family for Biglobe {
    fn name(&self) -> &'static str {
        "biglobe"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
