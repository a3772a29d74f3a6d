//! TransWARE Active! hunter: sendmail's layout with `>>> address <address>`.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct ActiveHunter;

const OPENS: &[&str] = &[">>> "];

const SHAPE: Shape = Shape {
    listed_after: &["the following addresses had permanent fatal errors"],
    reason_after: &["transcript of session follows"],
    original: &["unsent message follows", "original message follows"],
    ..Shape::EMPTY
};

impl Family for ActiveHunter {
    fn name(&self) -> &'static str {
        "activehunter"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
