//! Which patterns may be in a text at all: one pass over the text finds the words that any pattern needs.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::needs::{Place, part, places};

/// How much of a word is looked up in one step, in bytes: as much as it has of these. Many words start alike with "user", few
/// with "user unk".
const STARTS: [(usize, u64); 3] = [(8, u64::MAX), (4, 0xffff_ffff), (2, 0xffff)];

/// Bits of the filter that most of a text's places do not pass.
const BITS: usize = 1 << 16;

/// The words of all patterns, which are named by their numbers. Everything lies in a few flat lists: a bounce has a
/// hundred places to look at, and each way through memory costs more than all comparisons.
#[derive(Debug)]
pub(in crate::classify) struct Index {
    /// By the hash of a start: whether any word may begin so.
    filter: Box<[u64]>,
    /// The words that begin so.
    of_start: HashMap<u64, Range<u32>, Hashed>,
    /// Words of one byte.
    short: Vec<(u8, u32)>,
    words: Vec<Word>,
    /// What words have beyond their first twelve bytes.
    rests: Vec<u8>,
    /// The places that words fill.
    places: Vec<u32>,
    /// The pattern that a place belongs to.
    of_place: Vec<u32>,
    /// How many places a pattern has to have filled.
    needed: Vec<u8>,
    /// Patterns of which no word is known.
    always: Vec<u32>,
}

/// A word, behind its start.
#[derive(Debug)]
struct Word {
    /// The next eight bytes, and which of them count.
    next: u64,
    mask: u64,
    rest: Range<u32>,
    places: Range<u32>,
}

impl Index {
    /// From patterns for texts in lower case that name no lists of words.
    pub(in crate::classify) fn of_patterns(patterns: &[&str]) -> Self {
        let needed = |pattern: &&str| part(pattern, &|_| None).map(places).unwrap_or_default();
        let needed: Vec<Vec<Place>> = patterns.iter().map(needed).collect();
        Self::new(needed.iter().map(Vec::as_slice))
    }

    /// From the places of every pattern.
    pub(super) fn new<'p>(patterns: impl Iterator<Item = &'p [Place]>) -> Self {
        let mut of_word: BTreeMap<&[u8], Vec<u32>> = BTreeMap::new();
        let (mut of_place, mut needed, mut always) = (Vec::new(), Vec::new(), Vec::new());
        for (pattern, places) in (0..).zip(patterns) {
            needed.push(places.len() as u8);
            if places.is_empty() {
                always.push(pattern);
            }
            for words in places {
                for word in words {
                    of_word.entry(word.as_bytes()).or_default().push(of_place.len() as u32);
                }
                of_place.push(pattern);
            }
        }
        let mut index = Self {
            filter: vec![0; BITS / 64].into(),
            of_start: HashMap::default(),
            short: Vec::new(),
            words: Vec::with_capacity(of_word.len()),
            rests: Vec::new(),
            places: Vec::new(),
            of_place,
            needed,
            always,
        };
        // In their order, so that those with the same start lie side by side.
        for (length, _) in STARTS {
            let (these, others) = of_word.into_iter().partition(|(word, _)| word.len() >= length);
            of_word = others;
            let these: BTreeMap<&[u8], Vec<u32>> = these;
            these.iter().for_each(|(word, places)| index.add(word, length, places));
        }
        of_word.iter().for_each(|(word, places)| index.add(word, word.len(), places));
        index
    }

    fn add(&mut self, word: &[u8], length: usize, places: &[u32]) {
        let number = self.words.len() as u32;
        let (start, behind) = word.split_at(word.len().min(length));
        let (next, rest) = behind.split_at(behind.len().min(8));
        let from = (self.rests.len() as u32, self.places.len() as u32);
        self.rests.extend(rest);
        self.places.extend(places);
        self.words.push(Word {
            next: eight(next),
            mask: eight(&[0xff; 8][..next.len()]),
            rest: from.0..self.rests.len() as u32,
            places: from.1..self.places.len() as u32,
        });
        if let [byte] = start {
            self.short.push((*byte, number));
            return;
        }
        let start = eight(start);
        let bit = hash(start);
        self.filter[bit / 64] |= 1 << (bit % 64);
        self.of_start.entry(start).or_insert(number..number).end = number + 1;
    }

    /// The patterns that may be in the text, in their order.
    pub(in crate::classify) fn candidates(&self, text: &[u8]) -> Vec<u32> {
        let mut seen = vec![false; self.words.len()];
        let mut found = Found {
            patterns: self.always.clone(),
            filled: vec![false; self.of_place.len()],
            missing: self.needed.clone(),
        };
        for (word, number) in &self.short {
            if memchr::memchr(*word, text).is_some() {
                found.word(self, *number);
            }
        }
        for at in 0..text.len() {
            let rest = &text[at..];
            let start = first_eight(rest);
            for (length, mask) in STARTS {
                self.look(rest, length, start & mask, &mut seen, &mut found);
            }
        }
        found.patterns.sort_unstable();
        found.patterns
    }

    /// Looks for words with this start where the rest of a text begins.
    #[inline]
    fn look(&self, text: &[u8], length: usize, start: u64, seen: &mut [bool], found: &mut Found) {
        let bit = hash(start);
        if self.filter[bit / 64] & (1 << (bit % 64)) == 0 {
            return;
        }
        let (Some(words), Some(behind)) = (self.of_start.get(&start), text.get(length..)) else { return };
        let next = first_eight(behind);
        for number in words.clone() {
            let word = &self.words[number as usize];
            if (next ^ word.next) & word.mask != 0 || seen[number as usize] {
                continue;
            }
            let rest = &self.rests[word.rest.start as usize..word.rest.end as usize];
            if rest.is_empty() || behind[behind.len().min(8)..].starts_with(rest) {
                seen[number as usize] = true;
                found.word(self, number);
            }
        }
    }
}

/// What is found of a text so far.
struct Found {
    patterns: Vec<u32>,
    filled: Vec<bool>,
    missing: Vec<u8>,
}

impl Found {
    fn word(&mut self, index: &Index, number: u32) {
        let places = &index.words[number as usize].places;
        for &place in &index.places[places.start as usize..places.end as usize] {
            if std::mem::replace(&mut self.filled[place as usize], true) {
                continue;
            }
            let pattern = index.of_place[place as usize];
            let missing = &mut self.missing[pattern as usize];
            *missing -= 1;
            if *missing == 0 {
                self.patterns.push(pattern);
            }
        }
    }
}

/// Up to eight bytes as a number; what lacks is zero, which no word has.
fn eight(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The same of a text's beginning.
fn first_eight(text: &[u8]) -> u64 {
    text.first_chunk().map_or_else(|| eight(&text[..text.len().min(8)]), |bytes| u64::from_le_bytes(*bytes))
}

/// Where a start stands in the filter.
const fn hash(start: u64) -> usize {
    (start.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
}

/// The keys come from our own rules, so no stranger can make them collide.
type Hashed = std::hash::BuildHasherDefault<StartHasher>;

#[derive(Debug, Default)]
struct StartHasher(u64);

impl std::hash::Hasher for StartHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, start: u64) {
        self.0 = (self.0 ^ start).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}
