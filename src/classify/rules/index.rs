//! Which patterns may be in a text at all: one pass over the text finds the words that any pattern needs.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

use super::needs::Place;

/// The words of all patterns, which are named by their numbers.
#[derive(Debug)]
pub(super) struct Index {
    words: AhoCorasick,
    /// The places that a word may fill.
    of_word: Vec<Vec<u32>>,
    /// The pattern that a place belongs to.
    of_place: Vec<u32>,
    /// How many places a pattern has to have filled.
    needed: Vec<u8>,
    /// Patterns of which no word is known.
    always: Vec<u32>,
}

impl Index {
    /// From the places of every pattern.
    pub(super) fn new<'p>(patterns: impl Iterator<Item = &'p [Place]>) -> Result<Self, BuildError> {
        let mut numbers: HashMap<&[u8], usize> = HashMap::new();
        let (mut words, mut of_word): (Vec<&[u8]>, Vec<Vec<u32>>) = (Vec::new(), Vec::new());
        let (mut of_place, mut needed, mut always) = (Vec::new(), Vec::new(), Vec::new());
        for (pattern, places) in (0..).zip(patterns) {
            needed.push(places.len() as u8);
            if places.is_empty() {
                always.push(pattern);
            }
            for place in places {
                let number = of_place.len() as u32;
                of_place.push(pattern);
                for word in place {
                    let at = *numbers.entry(word).or_insert_with_key(|word| {
                        words.push(word);
                        of_word.push(Vec::new());
                        words.len() - 1
                    });
                    of_word[at].push(number);
                }
            }
        }
        let words = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&words)?;
        Ok(Self { words, of_word, of_place, needed, always })
    }

    /// The patterns that may be in the text, in their order.
    pub(super) fn candidates(&self, text: &[u8]) -> Vec<u32> {
        let mut found = self.always.clone();
        let mut seen = vec![false; self.of_word.len()];
        let mut filled = vec![false; self.of_place.len()];
        let mut missing = self.needed.clone();
        for word in self.words.find_overlapping_iter(text) {
            if std::mem::replace(&mut seen[word.pattern()], true) {
                continue;
            }
            for place in &self.of_word[word.pattern()] {
                if std::mem::replace(&mut filled[*place as usize], true) {
                    continue;
                }
                let pattern = self.of_place[*place as usize];
                missing[pattern as usize] -= 1;
                if missing[pattern as usize] == 0 {
                    found.push(pattern);
                }
            }
        }
        found.sort_unstable();
        found
    }
}
