//! A compiled pattern.
//!
//! Many patterns are two words with some room between them: `user.{0,60}unknown`. One automaton for such a pattern has a
//! state for every way in which words may lie within the room, which a text made for it can reach at every byte. So the
//! words are looked for one after the other, each by an automaton of its own, and the room is measured: the time is
//! linear in the text, whatever it says.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// Room for the program of one pattern, in bytes.
const PROGRAM: usize = 64 << 20;

/// A repetition of at least so many characters, of nearly any kind, is room between words.
const ROOM: u32 = 8;

/// How many words before the room are tried with a word behind it, the nearest first.
const TRIED: usize = 4;

/// See the module.
#[derive(Debug)]
pub(super) enum Matcher {
    /// One automaton.
    Whole(Regex),
    /// Parts with room between them.
    Chain {
        /// The first part.
        first: Regex,
        /// The others, each with the room before it.
        others: Vec<(Room, Regex)>,
    },
}

/// What may lie between two parts.
#[derive(Debug)]
pub(super) struct Room {
    shortest: usize,
    longest: Option<usize>,
    /// Matches what lies there as a whole.
    fill: Regex,
}

impl Matcher {
    /// # Errors
    /// When the pattern is too large.
    pub(super) fn new(pattern: &Hir) -> Result<Self, regex::Error> {
        let mut links = links(pattern);
        if links.len() == 1 {
            return Ok(Self::Whole(compile(pattern)?));
        }
        let (_, first) = links.remove(0);
        let last = links.len() - 1;
        let others = links.into_iter().enumerate().map(|(at, (room, part))| {
            let part = Hir::concat(part);
            let part = if at == last { part } else { shortest_first(&part) };
            Ok((Room::new(Hir::concat(room))?, compile(&part)?))
        });
        Ok(Self::Chain {
            first: compile(&shortest_first(&Hir::concat(first)))?,
            others: others.collect::<Result<_, regex::Error>>()?,
        })
    }

    /// Where the pattern is in the text.
    pub(super) fn find(&self, text: &[u8]) -> Option<Range<usize>> {
        match self {
            Self::Whole(regex) => regex.find(text).map(|found| found.range()),
            Self::Chain { first, others } => {
                let mut reached = all(first, text, 0);
                for (room, part) in others {
                    reached.sort_by_key(|found| found.end);
                    let start = reached.first()?.end;
                    let mut further = all(part, text, start);
                    further.retain_mut(|found| match room.reaches(&reached, found.start, text) {
                        Some(origin) => {
                            found.start = origin;
                            true
                        }
                        None => false,
                    });
                    reached = further;
                }
                reached.into_iter().next()
            }
        }
    }
}

impl Room {
    fn new(room: Hir) -> Result<Self, regex::Error> {
        let size = room.properties();
        let (shortest, longest) = (size.minimum_len().unwrap_or(0), size.maximum_len());
        let fill = compile_text(&format!(r"\A(?:{room})\z"))?;
        Ok(Self { shortest, longest, fill })
    }

    /// Where what was found before began, if the room lets it reach to `start`.
    fn reaches(&self, before: &[Range<usize>], start: usize, text: &[u8]) -> Option<usize> {
        let nearest = before.partition_point(|found| found.end + self.shortest <= start);
        let near = before[..nearest].iter().rev().take(TRIED);
        let mut within =
            near.take_while(|found| self.longest.is_none_or(|longest| start - found.end <= longest));
        within.find(|found| self.fill.is_match(&text[found.end..start])).map(|found| found.start)
    }
}

/// Every place where a part begins, with the end of the match that begins there.
fn all(part: &Regex, text: &[u8], start: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = start;
    while at <= text.len()
        && let Some(next) = part.find_at(text, at)
    {
        at = next.start() + 1;
        found.push(next.range());
    }
    found
}

/// The pattern as parts, each with the room before it; the first has none.
fn links(pattern: &Hir) -> Vec<(Vec<Hir>, Vec<Hir>)> {
    let mut links: Vec<(Vec<Hir>, Vec<Hir>)> = vec![(Vec::new(), Vec::new())];
    let HirKind::Concat(items) = pattern.kind() else { return links };
    let mut room = Vec::new();
    for item in items {
        if is_room(item) {
            room.push(item.clone());
        } else if room.is_empty() {
            links.last_mut().expect("one at least").1.push(item.clone());
        } else {
            links.push((std::mem::take(&mut room), vec![item.clone()]));
        }
    }
    // Room at an end is no room between words.
    if !room.is_empty() || links[0].1.is_empty() {
        links.truncate(1);
    }
    links
}

fn is_room(item: &Hir) -> bool {
    fn wide(item: &Hir) -> bool {
        match item.kind() {
            HirKind::Class(Class::Bytes(class)) => {
                class.iter().map(|range| range.len()).sum::<usize>() >= 128
            }
            HirKind::Class(Class::Unicode(class)) => {
                class.iter().map(|range| range.len()).sum::<usize>() >= 128
            }
            HirKind::Alternation(branches) => branches.iter().any(wide),
            HirKind::Capture(capture) => wide(&capture.sub),
            _ => false,
        }
    }
    match item.kind() {
        HirKind::Repetition(Repetition { max, sub, .. }) => max.is_none_or(|max| max >= ROOM) && wide(sub),
        HirKind::Capture(capture) => is_room(&capture.sub),
        _ => false,
    }
}

/// What is left of an optional end belongs to the room behind it.
fn shortest_first(pattern: &Hir) -> Hir {
    match pattern.kind() {
        HirKind::Repetition(repeated) => Hir::repetition(Repetition {
            greedy: false,
            sub: Box::new(shortest_first(&repeated.sub)),
            ..repeated.clone()
        }),
        HirKind::Capture(capture) => shortest_first(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(shortest_first).collect()),
        HirKind::Alternation(branches) => Hir::alternation(branches.iter().map(shortest_first).collect()),
        _ => pattern.clone(),
    }
}

fn compile(pattern: &Hir) -> Result<Regex, regex::Error> {
    compile_text(&pattern.to_string())
}

/// As it is printed, what works on bytes is marked as such; what is not are lists of letters beyond ASCII.
fn compile_text(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(PROGRAM).build()
}

#[cfg(test)]
mod tests {
    use super::super::phrase::read;
    use super::*;

    fn find(pattern: &str, text: &str) -> Option<Range<usize>> {
        Matcher::new(&read(pattern).unwrap()).unwrap().find(text.as_bytes())
    }

    #[test]
    fn words_with_room_between_them_are_found_within_it() {
        for (pattern, text, found) in [
            ("user.{0,10}unknown", "550 user is unknown", Some(4..19)),
            ("user.{0,10}unknown", "user user user12345unknown", Some(10..26)),
            ("user.{0,10}unknown", "user 1234567890unknown", None),
            ("user[^.;]{0,40}unknown", "user. unknown", None),
            ("user[^.;]{0,40}unknown", "user. user unknown", Some(6..18)),
            (r"user(?:[^.;]|\.\S){0,40}unknown", "user a.b unknown", Some(0..16)),
            (r"user(?:[^.;]|\.\S){0,40}unknown", "user a. b unknown", None),
            ("a.{0,9}b.{0,9}c", "a c b", None),
            ("a.{0,9}b.{0,9}c", "b a b 123456789 b c", None),
            ("a.{0,9}b.{0,9}c", "b a b 1234 b c", Some(2..14)),
            (r"user\S*.{0,20}full", "user:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa is full", Some(0..54)),
            ("user( name)?.{1,9}is", "user name is", Some(0..12)),
            ("bo(î|i)te[^.;]{0,60}pleine?", "boîte aux lettres pleine", Some(0..25)),
            (r"^user.{0,9}gone$", "user is gone", Some(0..12)),
            (r"^user.{0,9}gone$", "the user is gone", None),
        ] {
            assert_eq!(find(pattern, text), found, "{pattern} in {text}");
        }
        assert!(matches!(Matcher::new(&read("a.{0,9}b").unwrap()), Ok(Matcher::Chain { .. })));
        assert!(matches!(Matcher::new(&read("a.{0,3}b").unwrap()), Ok(Matcher::Whole(_))));
    }

    proptest::proptest! {
        /// What is found is what the regular expression says, and nothing that it does not say.
        #[test]
        fn it_says_what_the_expression_says(
            text in "(user |box |is |un|known|\\.|;|a|  ){0,14}",
            pattern in "(user|\\(box\\|user\\))(\\.\\{0,12\\}|\\[\\^\\.;\\]\\{0,12\\}|\\.\\{0,9\\}is\\.\\{0,9\\})(unknown|\\(un\\|known\\)\\\\b|a)",
        ) {
            let expression = RegexBuilder::new(&pattern).unicode(false).build().unwrap();
            proptest::prop_assert_eq!(
                find(&pattern, &text).is_some(), expression.is_match(text.as_bytes()), "{} in {}", pattern, text
            );
        }
    }
}
