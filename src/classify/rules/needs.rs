//! What must be in a text for a pattern to be in it. These words are looked for in one pass, before any pattern is.
//!
//! Patterns are read here by a small reader of their syntax. What it does not know narrows nothing down.

/// Words of one place that are made by joining others; where there were more, each of those is a place of its own.
const MAX_WORDS: usize = 24;

/// More words in the same place narrow nothing down.
const MAX_UNION: usize = 512;

/// How much of a word is looked for, in bytes: more costs memory and time, and tells hardly more.
const MAX_WORD: usize = 12;

/// How many places of one pattern are kept.
const MAX_PLACES: usize = 3;

/// How many characters a class may have to be taken as so many words.
const MAX_CLASS: usize = 4;

/// Words of which one is in every text that has the pattern.
pub(super) type Place = Vec<String>;

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
        Self::Exact(vec![String::new()])
    }

    const fn anything() -> Self {
        Self::Needs(Vec::new())
    }

    fn word(letter: char) -> Self {
        Self::Exact(vec![letter.to_string()])
    }

    fn into_places(self) -> Vec<Place> {
        match self {
            Self::Exact(words) if words.iter().any(String::is_empty) => Vec::new(),
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
        for word in place.iter_mut() {
            word.truncate(word.floor_char_boundary(MAX_WORD));
        }
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
    let shortest = place.iter().map(String::len).min().unwrap_or(0);
    (shortest.min(8), std::cmp::Reverse(place.len()))
}

/// A text that holds "mailbox" holds "mail".
fn keep_shortest(place: &mut Place) {
    place.sort_by_key(String::len);
    let mut kept: Place = Vec::with_capacity(place.len());
    for word in place.drain(..) {
        if !kept.iter().any(|short| word.contains(short.as_str())) {
            kept.push(word);
        }
    }
    *place = kept;
}

/// What is known of a pattern in lower case, with what is known of the lists of words that it names; nothing where it
/// has syntax that is not read here.
pub(super) fn part(pattern: &str, of_list: &dyn Fn(&str) -> Option<Part>) -> Option<Part> {
    let mut reader = Reader { rest: pattern, of_list };
    let whole = reader.alternatives()?;
    reader.rest.is_empty().then_some(whole)
}

struct Reader<'p> {
    rest: &'p str,
    of_list: &'p dyn Fn(&str) -> Option<Part>,
}

impl<'p> Reader<'p> {
    fn take(&mut self, mark: &str) -> bool {
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// What stands before the mark, which is passed.
    fn until(&mut self, mark: char) -> Option<&'p str> {
        let (before, behind) = self.rest.split_once(mark)?;
        self.rest = behind;
        Some(before)
    }

    fn alternatives(&mut self) -> Option<Part> {
        let mut branches = vec![self.sequence()?];
        while self.take("|") {
            branches.push(self.sequence()?);
        }
        Some(if branches.len() == 1 { branches.remove(0) } else { of_branches(branches) })
    }

    fn sequence(&mut self) -> Option<Part> {
        let mut parts = Vec::new();
        let mut letters = String::new();
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let item = self.item()?;
            let (item, repeated) = self.repeated(item)?;
            match item {
                // Letter after letter is a word.
                Part::Exact(words) if !repeated && words.len() == 1 => letters.push_str(&words[0]),
                item => {
                    parts.push(Part::Exact(vec![std::mem::take(&mut letters)]));
                    parts.push(item);
                }
            }
        }
        parts.push(Part::Exact(vec![letters]));
        Some(of_sequence(parts))
    }

    fn item(&mut self) -> Option<Part> {
        Some(match self.next()? {
            '(' => {
                if !self.take("?:") && self.rest.starts_with('?') {
                    return None;
                }
                let inner = self.alternatives()?;
                if !self.take(")") {
                    return None;
                }
                inner
            }
            '[' => self.class()?,
            '.' => Part::anything(),
            '^' | '$' => Part::nothing(),
            '{' => (self.of_list)(self.until('}')?)?,
            '\\' => match self.next()? {
                'b' | 'B' | 'A' | 'z' => Part::nothing(),
                'd' | 'D' | 's' | 'S' | 'w' | 'W' => Part::anything(),
                escaped if escaped.is_alphanumeric() => return None,
                escaped => Part::word(escaped),
            },
            '?' | '*' | '+' => return None,
            letter => Part::word(letter),
        })
    }

    /// A class of few characters is so many words.
    fn class(&mut self) -> Option<Part> {
        let none_of = self.take("^");
        let mut words = Place::new();
        let mut range = false;
        loop {
            match self.next()? {
                ']' if !words.is_empty() => break,
                '[' | '&' | '~' => return None,
                '\\' => {
                    range |= self.rest.starts_with(char::is_alphanumeric);
                    words.push(self.next()?.to_string());
                }
                letter => {
                    range |= letter == '-';
                    words.push(letter.to_string());
                }
            }
        }
        Some(if none_of || range || words.len() > MAX_CLASS { Part::anything() } else { Part::Exact(words) })
    }

    /// The item as often as it says, and whether it says so.
    fn repeated(&mut self, item: Part) -> Option<(Part, bool)> {
        let (mut item, mut repeated) = (item, false);
        loop {
            let counted = self.rest.starts_with('{')
                && self.rest[1..].starts_with(|c: char| c.is_ascii_digit() || c == ',');
            let (least, most) = match self.rest.chars().next() {
                Some('?') => (0, Some(1)),
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('{') if counted => {
                    let counts = self.until('}')?;
                    let (least, most) = counts[1..].split_once(',').unwrap_or((&counts[1..], &counts[1..]));
                    (least.trim().parse().ok()?, most.trim().parse().ok())
                }
                _ => return Some((item, repeated)),
            };
            if !counted {
                self.next();
            }
            self.take("?"); // as little as may be
            repeated = true;
            item = match (least, most, item) {
                (0, Some(1), Part::Exact(mut words)) if words.len() < MAX_WORDS => {
                    words.push(String::new());
                    Part::Exact(words)
                }
                (0, ..) => Part::anything(),
                (1, Some(1), once) => once,
                (_, _, several) => Part::Needs(several.into_places()),
            };
        }
    }
}

fn of_sequence(parts: Vec<Part>) -> Part {
    let mut run: Place = vec![String::new()];
    let mut places = Vec::new();
    let mut whole = true;
    for next in parts {
        match next {
            Part::Exact(words) if run.len() * words.len() <= MAX_WORDS => {
                run = run
                    .iter()
                    .flat_map(|start| words.iter().map(move |end| format!("{start}{end}")))
                    .collect();
            }
            Part::Exact(words) => {
                places.extend(Part::Exact(std::mem::replace(&mut run, words)).into_places());
                whole = false;
            }
            Part::Needs(needed) => {
                places.extend(Part::Exact(std::mem::replace(&mut run, vec![String::new()])).into_places());
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

fn of_branches(branches: Vec<Part>) -> Part {
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
    if exact && union.len() <= MAX_UNION {
        return Part::Exact(union);
    }
    Part::Needs(if union.iter().any(String::is_empty) || union.len() > MAX_UNION {
        Vec::new()
    } else {
        vec![union]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(pattern: &str) -> Vec<Place> {
        let vowels = || Some(Part::Exact(vec!["a".to_owned(), "e".to_owned()]));
        part(pattern, &|name| if name == "vowel" { vowels() } else { None }).map(places).unwrap_or_default()
    }

    #[test]
    fn a_pattern_tells_the_words_it_needs() {
        for (pattern, words) in [
            ("user unknown here", vec![vec!["user unknown"]]),
            ("(user|mail ?box) off", vec![vec!["user off", "mailbox off", "mail box off"]]),
            (r"\bquota\b.{0,40}(full|exceeded)", vec![vec!["quota"], vec!["full", "exceeded"]]),
            ("spam(my|med)?", vec![vec!["spam"]]),
            (
                r"(user|box).{0,9}un(known|(fit)+)",
                vec![vec!["box", "user"], vec!["fit", "known"], vec!["un"]],
            ),
            (r"[a-z]+@x", vec![vec!["@x"]]),
            (r"5\.1\.1 gr[ea]y x{2}", vec![vec!["5.1.1 grey ", "5.1.1 gray "]]),
            ("h{vowel}y", vec![vec!["hay", "hey"]]),
            (r"@\S+", vec![vec!["@"]]),
        ] {
            assert_eq!(needed(pattern), words, "{pattern}");
        }
        for pattern in
            ["", r"\d+", "(user|.*)", "(spam)?", "[^ ]{3}", "(?i)user", r"\x{75}ser", "{unknown} user"]
        {
            assert!(needed(pattern).is_empty(), "{pattern}");
        }
    }

    proptest::proptest! {
        /// What a pattern matches holds a word of every place.
        #[test]
        fn no_match_is_overlooked(
            text in "[abc.]{0,12}",
            pattern in r"(a|b|ab|\(a\|b\)|\(\?:ab\|c\)\?|a\?|b\+|c\*\?|\.\{0,3\}|b\{2\}|\(ab\|\.b\)|\[ab\]|\[\^a\]|\[a-c\]|\\\.|\\b|\\w){1,5}",
        ) {
            if regex::Regex::new(&pattern).unwrap().is_match(&text) {
                for place in needed(&pattern) {
                    proptest::prop_assert!(place.iter().any(|word| text.contains(word.as_str())), "{pattern} in {text}");
                }
            }
        }
    }
}
