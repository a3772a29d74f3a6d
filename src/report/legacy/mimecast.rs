//! Mimecast: "The problem appears to be", then further lines set off by two hyphens.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Mimecast;

const OPENS: &[&str] = &["this is a delivery failure notification message indicating that"];

const SHAPE: Shape = Shape {
    listed_after: &["addressed to email address"],
    reason_after: &["the problem appears to be", "additional information follows"],
    reason_until: &["with subject", "this condition occurred"],
    ..Shape::EMPTY
};

impl Family for Mimecast {
    fn name(&self) -> &'static str {
        "mimecast"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
