//! Yahoo, the providers it hosts and newmail.ru, whose `<address>:` paragraphs are qmail's with other opening
//! words; and AOL since it moved there.

use super::letter::Letter;
use super::service::{Shape, opens_with, paragraphs};
use super::{Family, Reading};

pub(super) struct Yahoo;

/// The words that open such a letter, in lower case.
const OPENS: &[&str] = &[
    "sorry, we were unable to deliver your message to the following address",
    "unable to deliver message to the following address(es)",
    "we were not able to deliver your message to the following address(es)",
    "your message could not be delivered.", // "Su mensaje no pudo ser entregado - … - …", qmail in three languages
];

const ORIGINAL: &[&str] = &[
    "--- below this line is a copy of the message",
    "---below this line is a copy of the message",
    "--- below the next line is a copy of the message",
    "--- original message follows",
    "--- mensaje original adjunto",
    "--- attachment is a copy of the message",
];

/// "I'm afraid I wasn't able to deliver the following message", with the addresses on a `To:` line.
const FOLLOWING_MESSAGE: Shape = Shape { listed_after: &["to: "], original: ORIGINAL, ..Shape::EMPTY };

impl Family for Yahoo {
    fn name(&self) -> &'static str {
        "yahoo"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if opens_with(letter, OPENS) {
            return paragraphs(letter, ORIGINAL);
        }
        let mut lines = letter.lines().map(|(_, line)| line.trim()).filter(|line| !line.is_empty());
        let first = lines.next()?.to_lowercase();
        if !first.starts_with("i'm afraid i wasn't able to deliver the following message") {
            return None;
        }
        FOLLOWING_MESSAGE.read(letter)
    }
}
