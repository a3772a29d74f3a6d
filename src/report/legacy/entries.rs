//! Recipients as a family reads them, line by line.

use std::collections::HashMap;

use super::super::RecipientFields;
use super::{MAX_RECIPIENTS, MAX_SAID, MAX_SHARED, failed, same_address};
use crate::address::{TypedAddress, comparison_form};

/// Recipients in the making: an address, and the lines about it.
#[derive(Debug, Default)]
pub(super) struct Entries {
    list: Vec<Entry>,
    /// Where each address stands in the list, by its comparison form.
    places: HashMap<String, usize>,
    /// Which one lines are about.
    last: usize,
}

#[derive(Debug)]
struct Entry {
    address: String,
    alias: Option<String>,
    said: String,
}

impl Entries {
    /// A recipient begins; `text` is what already stands about it on the same line. One that was there before
    /// goes on.
    pub(super) fn begin(&mut self, address: &str, text: &str) {
        let next = self.list.len();
        if next >= MAX_RECIPIENTS && !self.has(address) {
            self.last = usize::MAX; // what follows is about one that is not kept
            return;
        }
        self.last = *self.places.entry(comparison_form(address)).or_insert(next);
        if self.last == next {
            self.list.push(Entry { address: address.to_owned(), alias: None, said: String::new() });
        }
        self.add(text);
    }

    /// A line about the last recipient. Lines that hold no word, and the same line again, say nothing.
    pub(super) fn add(&mut self, line: &str) {
        let line = line.trim();
        if let Some(Entry { said, .. }) = self.list.get_mut(self.last)
            && line.contains(char::is_alphanumeric)
            && said.len() < MAX_SAID
            && said.lines().next_back() != Some(line)
        {
            said.push_str(line);
            said.push('\n');
        }
    }

    /// A line about the last recipient, unless it was said before.
    pub(super) fn add_new(&mut self, line: &str) {
        if !self.list.get(self.last).is_some_and(|last| last.said.contains(line.trim())) {
            self.add(line);
        }
    }

    /// The last recipient came from this one, by an alias or a forward.
    pub(super) fn came_from(&mut self, address: String) {
        if let Some(last) = self.list.get_mut(self.last)
            && !same_address(&last.address, &address)
        {
            last.alias.get_or_insert(address);
        }
    }

    /// Whether this one is among them.
    pub(super) fn has(&self, address: &str) -> bool {
        self.places.contains_key(&comparison_form(address))
    }

    /// Whether there is none yet.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// A text for those of whom nothing was said.
    pub(super) fn fill(&mut self, text: &str) {
        let text = &text[..text.floor_char_boundary(MAX_SHARED)];
        for entry in self.list.iter_mut().filter(|entry| entry.said.is_empty()) {
            text.trim().clone_into(&mut entry.said);
        }
    }

    /// All of them, failed.
    pub(super) fn finish(self) -> Vec<RecipientFields> {
        self.list
            .into_iter()
            .map(|entry| RecipientFields {
                original_recipient: entry.alias.map(|value| TypedAddress { kind: None, value }),
                ..failed(&entry.address, &entry.said)
            })
            .collect()
    }
}
