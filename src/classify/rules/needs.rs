//! What must be in a text for a pattern to be in it. These words are looked for in one pass, before any pattern is.

use regex_syntax::hir::{Class, Hir, HirKind};

/// More words in the same place narrow nothing down.
const MAX_WORDS: usize = 128;

/// How many places of one pattern are kept.
const MAX_PLACES: usize = 3;

/// How many characters a class may have to be taken as so many words.
const MAX_CLASS: usize = 4;

/// Stands before the number of a list of words, in a pattern that names lists; no text holds this byte.
pub(super) const LIST: u8 = 0xFF;

/// Words of which one is in every text that has the pattern.
pub(super) type Place = Vec<Vec<u8>>;

/// What is known of a part of a pattern.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// It matches these and nothing else.
    Exact(Place),
    /// A match holds a word of each place.
    Needs(Vec<Place>),
}

impl Part {
    fn nothing() -> Self {
        Self::Exact(vec![Vec::new()])
    }

    fn into_places(self) -> Vec<Place> {
        match self {
            Self::Exact(words) if words.iter().any(Vec::is_empty) => Vec::new(),
            Self::Exact(words) => vec![words],
            Self::Needs(places) => places,
        }
    }
}

/// The places of which each has at least one word in every text that the pattern matches; none where nothing is known
/// of such a text.
pub(super) fn places(pattern: Part) -> Vec<Place> {
    let mut places = pattern.into_places();
    for place in &mut places {
        keep_shortest(place);
    }
    places.sort_by_key(|place| std::cmp::Reverse(worth(place)));
    // One character is in every text.
    let telling = places.iter().take_while(|place| worth(place).0 > 1).count();
    places.truncate(telling.clamp(1, MAX_PLACES));
    places
}

/// How rarely a place is found in a text that does not have the pattern.
fn worth(place: &Place) -> (usize, std::cmp::Reverse<usize>) {
    let shortest = place.iter().map(Vec::len).min().unwrap_or(0);
    (shortest.min(8), std::cmp::Reverse(place.len()))
}

/// A text that holds "mailbox" holds "mail".
fn keep_shortest(place: &mut Place) {
    place.sort_by_key(Vec::len);
    let mut kept: Place = Vec::with_capacity(place.len());
    for word in place.drain(..) {
        if !kept.iter().any(|short| word.windows(short.len()).any(|part| part == short)) {
            kept.push(word);
        }
    }
    *place = kept;
}

/// What is known of a pattern, with what is known of the lists of words in it.
pub(super) fn part(pattern: &Hir, of_list: &dyn Fn(u8) -> Option<Part>) -> Part {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => Part::nothing(),
        HirKind::Literal(literal) => of_literal(&literal.0, of_list),
        HirKind::Class(class) => of_class(class),
        HirKind::Capture(capture) => part(&capture.sub, of_list),
        HirKind::Repetition(repeated) => match (repeated.min, repeated.max, part(&repeated.sub, of_list)) {
            (0, Some(1), Part::Exact(mut words)) if words.len() < MAX_WORDS => {
                words.push(Vec::new());
                Part::Exact(words)
            }
            (0, ..) => Part::Needs(Vec::new()),
            (1, Some(1), once) => once,
            (_, _, several) => Part::Needs(several.into_places()),
        },
        HirKind::Concat(parts) => of_sequence(parts.iter().map(|next| part(next, of_list))),
        HirKind::Alternation(branches) => of_branches(branches.iter().map(|branch| part(branch, of_list))),
    }
}

fn of_literal(bytes: &[u8], of_list: &dyn Fn(u8) -> Option<Part>) -> Part {
    let mut pieces = bytes.split(|byte| *byte == LIST);
    let first = pieces.next().unwrap_or_default().to_vec();
    let others = pieces.flat_map(|piece| {
        let (number, rest) = piece.split_first().unwrap_or((&0, &[]));
        let list = of_list(*number).unwrap_or(Part::Needs(Vec::new()));
        [list, Part::Exact(vec![rest.to_vec()])]
    });
    of_sequence(std::iter::once(Part::Exact(vec![first])).chain(others))
}

fn of_class(class: &Class) -> Part {
    let words: Option<Place> = match class {
        Class::Bytes(class) => {
            let count: usize = class.iter().map(|range| range.len()).sum();
            let known = count <= MAX_CLASS && class.iter().all(|range| range.end() != LIST);
            let bytes = class.iter().flat_map(|range| range.start()..=range.end());
            known.then(|| bytes.map(|byte| vec![byte]).collect())
        }
        Class::Unicode(class) => {
            let count: usize = class.iter().map(|range| range.len()).sum();
            let chars = class.iter().flat_map(|range| range.start()..=range.end());
            (count <= MAX_CLASS).then(|| chars.map(|c| c.to_string().into_bytes()).collect())
        }
    };
    words.map_or(Part::Needs(Vec::new()), Part::Exact)
}

fn of_sequence(parts: impl Iterator<Item = Part>) -> Part {
    let mut run: Place = vec![Vec::new()];
    let mut places = Vec::new();
    let mut whole = true;
    for next in parts {
        match next {
            Part::Exact(words) if run.len() * words.len() <= MAX_WORDS => {
                run = run
                    .iter()
                    .flat_map(|start| words.iter().map(move |end| [&start[..], end].concat()))
                    .collect();
            }
            Part::Exact(words) => {
                places.extend(Part::Exact(std::mem::replace(&mut run, words)).into_places());
                whole = false;
            }
            Part::Needs(needed) => {
                places.extend(Part::Exact(std::mem::replace(&mut run, vec![Vec::new()])).into_places());
                places.extend(needed);
                whole = false;
            }
        }
    }
    if whole {
        return Part::Exact(run);
    }
    places.extend(Part::Exact(run).into_places());
    Part::Needs(places)
}

fn of_branches(branches: impl Iterator<Item = Part>) -> Part {
    let mut union: Place = Vec::new();
    let mut exact = true;
    for branch in branches {
        match branch {
            Part::Exact(words) if exact => union.extend(words),
            branch => {
                exact = false;
                let Some(best) = branch.into_places().into_iter().max_by_key(worth) else {
                    return Part::Needs(Vec::new());
                };
                union.extend(best);
            }
        }
    }
    if exact && union.len() <= MAX_WORDS {
        return Part::Exact(union);
    }
    Part::Needs(if union.iter().any(Vec::is_empty) || union.len() > 4 * MAX_WORDS {
        Vec::new()
    } else {
        vec![union]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pattern: &str) -> Vec<Vec<String>> {
        let hir = super::super::phrase::read(pattern).unwrap();
        let text = |word: Vec<u8>| String::from_utf8(word).unwrap();
        places(part(&hir, &|_| None)).into_iter().map(|place| place.into_iter().map(text).collect()).collect()
    }

    #[test]
    fn a_pattern_tells_the_words_it_needs() {
        for (pattern, needed) in [
            ("user unknown", vec![vec!["user unknown"]]),
            ("(user|mail ?box) gone", vec![vec!["user gone", "mailbox gone", "mail box gone"]]),
            (r"\bquota\b.{0,40}(full|exceeded)", vec![vec!["quota"], vec!["full", "exceeded"]]),
            ("spam(my|med)?", vec![vec!["spam"]]),
            (
                r"(user|box).{0,9}un(known|(fit)+)",
                vec![vec!["box", "user"], vec!["fit", "known"], vec!["un"]],
            ),
            (r"[a-z]+@x", vec![vec!["@x"]]),
            (r"@\S+", vec![vec!["@"]]),
        ] {
            assert_eq!(told(pattern), needed, "{pattern}");
        }
        for pattern in ["", r"\d+", "(user|.*)", "(spam)?", "[^ ]{3}"] {
            assert!(told(pattern).is_empty(), "{pattern}");
        }
    }

    proptest::proptest! {
        /// What a pattern matches holds a word of every place.
        #[test]
        fn no_match_is_overlooked(
            text in "[ab.]{0,12}",
            pattern in "(a|b|ab|\\(a\\|b\\)|a\\?|b\\+|\\.\\{0,3\\}|\\(ab\\|\\.b\\)|\\[ab\\]|\\\\b){1,5}",
        ) {
            let hir = super::super::phrase::read(&pattern).unwrap();
            if regex::Regex::new(&pattern).unwrap().is_match(&text) {
                for place in places(part(&hir, &|_| None)) {
                    let held = |word: &Vec<u8>| text.as_bytes().windows(word.len()).any(|part| part == &word[..]);
                    proptest::prop_assert!(place.iter().any(held), "{pattern} in {text}");
                }
            }
        }
    }
}
