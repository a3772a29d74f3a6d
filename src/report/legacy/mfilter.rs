//! m-FILTER of Digital Arts and mail hubs of its kind: addresses, then `-------server message`.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct MFilter;

const OPENS: &[&str] = &["-------server message"];

const SHAPE: Shape = Shape {
    listed_after: &["以下のメールアドレスへの送信に失敗しました", "failed to send to the following"],
    reason_after: &["-------server message"],
    reason_until: &["-------smtp command"],
    original: &["-------original message", "-------original mail info"],
    ..Shape::EMPTY
};

impl Family for MFilter {
    fn name(&self) -> &'static str {
        "mfilter"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
