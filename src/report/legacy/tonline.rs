//! T-Online, and smail before it: boxes of bars around "Failed addresses follow".

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct TOnline;

const OPENS: &[&str] = &["- failed addresses follow:"];

const SHAPE: Shape = Shape {
    listed_after: &["failed addresses follow:"],
    original: &["message header follows:", "message text follows:", "message follows:"],
    ..Shape::EMPTY
};

impl Family for TOnline {
    fn name(&self) -> &'static str {
        "tonline"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
