//! Trustwave MailMarshal: the reason before the recipients.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct MailMarshal;

const OPENS: &[&str] = &["the following recipients were affected:"];

const SHAPE: Shape = Shape {
    listed_after: &["the following recipients were affected:"],
    reason_after: &["could not be delivered because of"],
    original: &["additional information"],
    ..Shape::EMPTY
};

impl Family for MailMarshal {
    fn name(&self) -> &'static str {
        "mailmarshal"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
