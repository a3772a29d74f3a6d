//! French gateways that say it twice, with the address below each sentence.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Bilingual;

const OPENS: &[&str] = &[
    "votre message n'a pas pu etre delivre a",
    "votre message n'a pas pu être délivré à",
    "votre message n'a pas pu être remis à",
];

const SHAPE: Shape = Shape {
    listed_after: &[
        "votre message n'a pas pu etre delivre a",
        "votre message n'a pas pu être délivré à",
        "votre message n'a pas pu être remis à",
        "your message could not be delivered to",
    ],
    original: &["message original", "original message"],
    ..Shape::EMPTY
};

impl Family for Bilingual {
    fn name(&self) -> &'static str {
        "bilingual"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
