//! Hosted filters whose letters open with "We had trouble delivering your message".

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Trouble;

const OPENS: &[&str] = &["we had trouble delivering your message"];

const SHAPE: Shape = Shape {
    listed_after: &[
        "the following recipients returned permanent errors:",
        "the following recipients returned temporary errors:",
    ],
    reason_until: &["the attachment contains"],
    ..Shape::EMPTY
};

impl Family for Trouble {
    fn name(&self) -> &'static str {
        "trouble"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
