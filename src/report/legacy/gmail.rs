//! Gmail and Google Workspace before their reports were DSNs, and the same words without the machine's part.

use super::letter::Letter;
use super::service::{Shape, opens_with};
use super::{Family, Reading};

pub(super) struct Gmail;

const OPENS: &[&str] = &[
    "delivery to the following recipient failed permanently",
    "delivery to the following recipients failed permanently",
    "delivery to the following recipient has been delayed",
    "delivery to the following recipients has been delayed",
    "there was a temporary problem delivering your message to",
    "your message wasn't delivered to",
    "your message couldn't be delivered to",
];

const SHAPE: Shape = Shape {
    listed_after: OPENS,
    reason_after: &[
        "the error that the other server returned was:",
        "technical details of permanent failure:",
        "technical details of temporary failure:",
        "the response from the remote server was:",
        "the response was:",
    ],
    original: &["----- original message -----", "----- message header follows -----"],
    delayed: &[
        "has been delayed",
        "there was a temporary problem delivering",
        "technical details of temporary failure",
    ],
    ..Shape::EMPTY
};

impl Family for Gmail {
    fn name(&self) -> &'static str {
        "gmail"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        opens_with(letter, OPENS).then(|| SHAPE.read(letter))?
    }
}
