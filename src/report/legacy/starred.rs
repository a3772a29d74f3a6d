//! Gateways that list addresses by stars below "Delivery to the following recipients failed permanently", and give `Technical details:`.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Starred;

const OPENS: &[&str] = &["this is an automatically generated delivery status notification."];

const SHAPE: Shape = Shape {
    listed_after: &[
        "recipients failed permanently:",
        "recipients was aborted after",
        "recipients is delayed",
    ],
    reason_after: &["technical details:"],
    delayed: &["recipients is delayed"],
    ..Shape::EMPTY
};

impl Family for Starred {
    fn name(&self) -> &'static str {
        "starred"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
