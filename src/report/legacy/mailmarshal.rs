//! Trustwave MailMarshal: the reason before the recipients.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct MailMarshal;

const OPENS: &[&str] = &["the following recipients were affected:"];

const SHAPE: Shape = Shape {
    listed_after: &["the following recipients were affected:"],
    original: &["additional information"],
    ..Shape::EMPTY
};

impl Family for MailMarshal {
    fn name(&self) -> &'static str {
        "mailmarshal"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
