//! Cisco IronPort without its machine's part: "The following message to <…> was undeliverable".

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct IronPort;

const OPENS: &[&str] = &["the following message to <"];

const SHAPE: Shape = Shape {
    listed_after: &["the following message to <"],
    reason_after: &["the reason for the problem:"],
    original: &["original message"],
    ..Shape::EMPTY
};

impl Family for IronPort {
    fn name(&self) -> &'static str {
        "ironport"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
