//! Which patterns may be in a text at all: one pass over the text finds the words that any pattern needs.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

use super::needs::{Place, part, places};

/// How much of a word the pass looks for, in bytes; the rest is compared. An automaton of whole words is many times as
/// large, and every start of the program makes it.
const START: usize = 4;

/// The words of all patterns, which are named by their numbers.
#[derive(Debug)]
pub(in crate::classify) struct Index {
    /// How words start.
    starts: AhoCorasick,
    /// The words that start so.
    of_start: Vec<Vec<Word>>,
    /// The pattern that a place belongs to.
    of_place: Vec<u32>,
    /// How many places a pattern has to have filled.
    needed: Vec<u8>,
    /// Patterns of which no word is known.
    always: Vec<u32>,
}

/// A word in a place.
#[derive(Debug)]
struct Word {
    /// What comes behind its start.
    rest: Box<[u8]>,
    place: u32,
}

impl Index {
    /// From patterns for texts in lower case that name no lists of words.
    pub(in crate::classify) fn of_patterns(patterns: &[&str]) -> Result<Self, BuildError> {
        let needed = |pattern: &&str| part(pattern, &|_| None).map(places).unwrap_or_default();
        let needed: Vec<Vec<Place>> = patterns.iter().map(needed).collect();
        Self::new(needed.iter().map(Vec::as_slice))
    }

    /// From the places of every pattern.
    pub(super) fn new<'p>(patterns: impl Iterator<Item = &'p [Place]>) -> Result<Self, BuildError> {
        let mut numbers: HashMap<&[u8], usize> = HashMap::new();
        let (mut starts, mut of_start): (Vec<&[u8]>, Vec<Vec<Word>>) = (Vec::new(), Vec::new());
        let (mut of_place, mut needed, mut always) = (Vec::new(), Vec::new(), Vec::new());
        for (pattern, places) in (0..).zip(patterns) {
            needed.push(places.len() as u8);
            if places.is_empty() {
                always.push(pattern);
            }
            for words in places {
                let place = of_place.len() as u32;
                of_place.push(pattern);
                for word in words {
                    let (start, rest) = word.as_bytes().split_at(word.len().min(START));
                    let at = *numbers.entry(start).or_insert_with(|| {
                        starts.push(start);
                        of_start.push(Vec::new());
                        starts.len() - 1
                    });
                    of_start[at].push(Word { rest: rest.into(), place });
                }
            }
        }
        let starts = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&starts)?;
        Ok(Self { starts, of_start, of_place, needed, always })
    }

    /// The patterns that may be in the text, in their order.
    pub(in crate::classify) fn candidates(&self, text: &[u8]) -> Vec<u32> {
        let mut found = self.always.clone();
        let mut filled = vec![false; self.of_place.len()];
        let mut missing = self.needed.clone();
        for start in self.starts.find_overlapping_iter(text) {
            let behind = &text[start.end()..];
            for word in &self.of_start[start.pattern()] {
                let place = word.place as usize;
                if filled[place] || !behind.starts_with(&word.rest) {
                    continue;
                }
                filled[place] = true;
                let pattern = self.of_place[place];
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
