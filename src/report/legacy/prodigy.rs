//! Prodigy and its heirs: `User's mailbox is full: <address>`.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Prodigy;

const OPENS: &[&str] = &["user's mailbox is full: <"];

const SHAPE: Shape = Shape {
    listed_after: &["user's mailbox is full:"],
    reason_until: &["unable to deliver mail"],
    ..Shape::EMPTY
};

impl Family for Prodigy {
    fn name(&self) -> &'static str {
        "prodigy"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
