//! SurfControl E-mail Filter: a transcript of the attempts.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct SurfControl;

const OPENS: &[&str] = &["a transcript of the attempts to send the message follows", "addressed to:"];

const SHAPE: Shape = Shape {
    listed_after: &["addressed to:"],
    reason_after: &["failed to send to identified host", "failed to send to "],
    reason_until: &["message non-deliverable"],
    original: &["--- message non-deliverable"],
    ..Shape::EMPTY
};

impl Family for SurfControl {
    fn name(&self) -> &'static str {
        "surfcontrol"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
