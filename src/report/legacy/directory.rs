//! Gateways with a directory of their own: "The address to which your message was addressed, …, did not exactly match".

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Directory;

const OPENS: &[&str] = &["which your message was addressed, "];

const SHAPE: Shape = Shape {
    listed_after: &["which your message was addressed, "],
    reason_until: &["the following locator information"],
    original: &["original message as received"],
    ..Shape::EMPTY
};

impl Family for Directory {
    fn name(&self) -> &'static str {
        "directory"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
