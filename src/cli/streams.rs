//! Streams by their names: what a person writes becomes a number, and what is shown gets its name.

use crate::store::{ANY_STREAM, Bounce, Quarantined, Story, Streams, Suppression};

/// The number of a stream, given by name or in digits.
pub(super) fn number(streams: &Streams, named: &str) -> anyhow::Result<i64> {
    match streams.number(named) {
        Some(number) => Ok(number.into()),
        None if !named.is_empty() && named.chars().all(|c| c.is_ascii_digit()) => {
            anyhow::bail!("stream {named} is out of range; numbers go up to 16777215")
        }
        None => {
            let all: Vec<String> = streams.all().map(|(name, number)| format!("{name} ({number})")).collect();
            if all.is_empty() {
                anyhow::bail!(
                    "{named:?} is no stream; [streams] names none, so give a number up to 16777215"
                );
            }
            anyhow::bail!("{named:?} is no stream; the streams are {}", all.join(", "));
        }
    }
}

/// How far an entry reaches: `all`, or the name or number of its stream.
pub(super) fn reach(streams: &Streams, stream: i64) -> String {
    if stream == ANY_STREAM { "all".to_owned() } else { label(streams, stream) }
}

/// The name or number of the stream of an event; empty where it has none.
pub(super) fn label(streams: &Streams, stream: i64) -> String {
    match streams.name(stream) {
        Some(name) => name.to_owned(),
        None if stream == ANY_STREAM => String::new(),
        None => stream.to_string(),
    }
}

/// Gives an entry the name of its stream.
pub(super) fn name_entry(streams: &Streams, entry: &mut Suppression) {
    streams.name_entry(entry);
}

/// Gives every event of a message the name of its stream.
pub(super) fn name_bounce(streams: &Streams, bounce: &mut Bounce) {
    streams.name_bounce(bounce);
}

/// Gives an event that waits the name of its stream.
pub(super) fn name_waiting(streams: &Streams, event: &mut Quarantined) {
    streams.name_waiting(event);
}

/// Gives everything in a story the name of its stream.
pub(super) fn name_story(streams: &Streams, story: &mut Story) {
    streams.name_story(story);
}
