//! MailFoundry appliances.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct MailFoundry;

const OPENS: &[&str] = &["unable to deliver message to: <"];

const SHAPE: Shape = Shape {
    listed_after: &["unable to deliver message to:"],
    reason_after: &["delivery failed for the following reason:"],
    reason_until: &["this has been a permanent failure"],
    ..Shape::EMPTY
};

impl Family for MailFoundry {
    fn name(&self) -> &'static str {
        "mailfoundry"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
