//! FrontBridge, later Microsoft's hosted filter: "Your message to: … has not yet been delivered because".

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct FrontBridge;

const OPENS: &[&str] = &["this is an automated message created by mail delivery software"];

const SHAPE: Shape = Shape {
    listed_after: &["your message to:"],
    reason_after: &["delivered because"],
    reason_until: &["this is just a warning"],
    delayed: &["has not yet been delivered"],
    ..Shape::EMPTY
};

impl Family for FrontBridge {
    fn name(&self) -> &'static str {
        "frontbridge"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
