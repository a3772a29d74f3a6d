//! DragonFly Mail Agent: one recipient a letter, the reply below a line about the failing command.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct DragonFly;

const OPENS: &[&str] = &["this is the dragonfly mail agent"];

const SHAPE: Shape = Shape {
    listed_after: &["there was an error delivering your mail to"],
    original: &["message headers follow", "original message follows"],
    ..Shape::EMPTY
};

impl Family for DragonFly {
    fn name(&self) -> &'static str {
        "dragonfly"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
