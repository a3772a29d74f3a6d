//! Gateways that name the address behind a label of their own, as usa.net and HotPOP did.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Labelled;

const OPENS: &[&str] =
    &["undeliverable address:", "intended recipient:", "failing recipient:", "undelivered recipient:"];

const SHAPE: Shape = Shape {
    listed_after: &[
        "undeliverable address:",
        "intended recipient:",
        "failing recipient:",
        "undelivered recipient:",
    ],
    reason_after: &["reason:", "error:"],
    original: &["returned mail follows", "original message", "message headers"],
    ..Shape::EMPTY
};

impl Family for Labelled {
    fn name(&self) -> &'static str {
        "labelled"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
