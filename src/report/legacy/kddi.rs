//! KDDI's au one net: "Your mail sent on … Could not be delivered to".

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Kddi;

const OPENS: &[&str] = &["your mail sent on:", "your mail attempted to be delivered on:"];

const SHAPE: Shape = Shape { listed_after: &["could not be delivered to:"], ..Shape::EMPTY };

impl Family for Kddi {
    fn name(&self) -> &'static str {
        "kddi"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
