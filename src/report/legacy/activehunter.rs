//! TransWARE Active! hunter: sendmail's layout with `>>> address <address>`.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::text::address_in;
use super::{Family, Reading};

pub(super) struct ActiveHunter;

const OPENS: &[&str] = &["the following addresses had permanent fatal errors"];

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
        // ">>> address <address>", where sendmail has the address alone and ">>>" before commands
        let marked = letter.lines().take(60).any(|(_, line)| {
            line.strip_prefix(">>> ")
                .is_some_and(|rest| address_in(rest).is_some_and(|address| rest.starts_with(&address)))
        });
        (marked && opens_with(letter, OPENS)).then(|| SHAPE.read(letter))?
    }
}
