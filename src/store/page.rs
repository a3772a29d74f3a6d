//! Pages of lists: bounded in items and in octets, whatever strangers have sent.

use std::io::Write;

use serde::Serialize;

/// Octets of a page, as JSON: the item that goes beyond them is its last.
pub const PAGE_OCTETS: usize = 4 << 20;

/// Recipients of one message that a list of messages shows.
pub const LISTED_RECIPIENTS: usize = 100;

/// Recipients of one message that are shown at once where it is asked for by its number.
pub const SHOWN_RECIPIENTS: usize = 1_000;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it: as many as were asked for, or fewer where these are large.
    pub items: Vec<T>,
    /// Whether there are more after the last.
    pub more: bool,
}

impl<T> Page<T> {
    /// The first `limit` of `items`, of which one more was asked for.
    #[must_use]
    pub fn cut(mut items: Vec<T>, limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

/// Octets that a page may still have.
#[derive(Debug)]
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(PAGE_OCTETS)
    }
}

impl Room {
    /// Takes what an item has in JSON.
    pub(super) fn take(&mut self, item: &impl Serialize) {
        self.0 = self.0.saturating_sub(octets(item));
    }

    /// Whether there is none.
    pub(super) const fn is_gone(&self) -> bool {
        self.0 == 0
    }
}

/// How many octets a value has in JSON.
fn octets(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl Write for Count {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0 += octets.len();
            Ok(octets.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What cannot be written is not sent either.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_full_by_items_or_by_octets() {
        assert_eq!(Page::cut(vec![1, 2, 3], 2), Page { items: vec![1, 2], more: true });
        assert_eq!(Page::cut(vec![1, 2], 2), Page { items: vec![1, 2], more: false });
        let mut room = Room::default();
        room.take(&"x".repeat(PAGE_OCTETS - 3));
        assert!(!room.is_gone());
        room.take(&"x");
        assert!(room.is_gone());
    }
}
