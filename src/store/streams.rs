//! Names for the numbers of streams, which signed return paths carry.

use std::collections::BTreeMap;

use super::{Bounce, Quarantined, Story, Suppression};

/// Highest number of a stream: a token has three octets for it.
pub const HIGHEST_STREAM: u32 = 0xff_ffff;

/// The operator's names of streams. Number 0 is "no stream".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Streams(BTreeMap<String, u32>);

impl Streams {
    /// The number of a stream, given by its name or in digits.
    #[must_use]
    pub fn number(&self, named: &str) -> Option<u32> {
        self.0.get(named).copied().or_else(|| named.parse().ok().filter(|number| *number <= HIGHEST_STREAM))
    }

    /// The name of a number, where it has one.
    #[must_use]
    pub fn name(&self, number: i64) -> Option<&str> {
        self.0.iter().find(|(_, known)| i64::from(**known) == number).map(|(name, _)| name.as_str())
    }

    /// Every name with its number, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(name, number)| (name.as_str(), *number))
    }

    /// Gives a number a name.
    pub fn insert(&mut self, name: String, number: u32) {
        self.0.insert(name, number);
    }

    /// Gives an entry the name of its stream.
    pub fn name_entry(&self, entry: &mut Suppression) {
        entry.stream_name = self.name(entry.stream).map(str::to_owned);
    }

    /// Gives an event that waits the name of its stream.
    pub fn name_waiting(&self, event: &mut Quarantined) {
        event.stream_name = self.name(event.stream).map(str::to_owned);
    }

    /// Gives everything in a story the name of its stream.
    pub fn name_story(&self, story: &mut Story) {
        story.entries.iter_mut().for_each(|entry| self.name_entry(entry));
        for change in &mut story.changes {
            change.stream_name = self.name(change.stream).map(str::to_owned);
        }
        for told in &mut story.events {
            told.event.stream_name = self.name(told.event.stream).map(str::to_owned);
        }
    }

    /// Gives every event of a message the name of its stream.
    pub fn name_bounce(&self, bounce: &mut Bounce) {
        for event in &mut bounce.recipients {
            event.stream_name = self.name(event.stream).map(str::to_owned);
        }
    }
}
