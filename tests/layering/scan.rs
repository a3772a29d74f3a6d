//! Which paths of its own crate a source file names. Plain text in, absolute paths out.
//!
//! It reads `use` trees, inline paths, `super` and `self`, names bound by `use … as`, and names of child modules.
//! It does not expand macros and knows no scopes within a file: a name means what any `use` of the file says.

use std::collections::HashMap;

/// A path from the crate's root: `["smtp", "listener", "Server"]`.
pub(crate) type CratePath = Vec<String>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    Separator,
    Other(char),
}

/// Code without comments, strings and characters; spaces stand where they were.
pub(crate) fn strip(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut out = String::with_capacity(source.len());
    let mut index = 0;
    while index < chars.len() {
        let end = match at(index) {
            '/' if at(index + 1) == '/' => find(&chars, index, |rest| rest[0] == '\n'),
            '/' if at(index + 1) == '*' => block_comment(&chars, index),
            '"' => quoted(&chars, index + 1, '"'),
            '\'' if at(index + 1) == '\\' || at(index + 2) == '\'' => quoted(&chars, index + 1, '\''),
            'r' if !(index > 0 && is_word(at(index - 1)) && !matches!(at(index - 1), 'b' | 'c')) => {
                raw_string(&chars, index).unwrap_or(index)
            }
            _ => index,
        };
        if end == index {
            out.push(chars[index]);
            index += 1;
        } else {
            out.extend(chars[index..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            index = end;
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn find(chars: &[char], from: usize, is_end: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|index| is_end(&chars[*index..])).unwrap_or(chars.len())
}

fn block_comment(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut index = start;
    while index < chars.len() {
        match chars[index..] {
            ['/', '*', ..] => depth += 1,
            ['*', '/', ..] => depth -= 1,
            _ => {
                index += 1;
                continue;
            }
        }
        index += 2;
        if depth == 0 {
            return index;
        }
    }
    chars.len()
}

fn quoted(chars: &[char], mut index: usize, end: char) -> usize {
    while index < chars.len() && chars[index] != end {
        index += if chars[index] == '\\' { 2 } else { 1 };
    }
    (index + 1).min(chars.len())
}

/// The end of `r"…"` or `r##"…"##`; `None` where the `r` begins a word.
fn raw_string(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    let open = start + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |rest: &[char]| {
        rest[0] == '"' && rest[1..].len() >= hashes && rest[1..=hashes].iter().all(|c| *c == '#')
    };
    Some((find(chars, open + 1, closes) + 1 + hashes).min(chars.len()))
}

/// Words, `::`, and every other character.
pub(crate) fn tokens(stripped: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = stripped;
    while let Some(first) = rest.chars().next() {
        let length = if is_word(first) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..length].to_owned()));
            length
        } else if rest.starts_with("::") {
            tokens.push(Token::Separator);
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Other(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// Every path of the crate that a file names. `module` is the file's own path.
pub(crate) fn references(module: &[String], source: &str) -> Vec<CratePath> {
    let tokens = tokens(&strip(source));
    let mut file = File { module, names: HashMap::new(), found: Vec::new() };
    // Twice, so that a name bound further down is known as well.
    for _ in 0..2 {
        file.found.clear();
        file.walk(&tokens);
    }
    file.found.sort();
    file.found.dedup();
    file.found
}

struct File<'m> {
    module: &'m [String],
    /// What a bare name stands for.
    names: HashMap<String, CratePath>,
    found: Vec<CratePath>,
}

impl File<'_> {
    fn walk(&mut self, tokens: &[Token]) {
        // Inline modules around the place, with the depth of braces at which each ends.
        let mut inside: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        let mut index = 0;
        while index < tokens.len() {
            match &tokens[index..] {
                [Token::Word(word), Token::Word(name), Token::Other(next @ ('{' | ';')), ..]
                    if word == "mod" =>
                {
                    let mut path = self.here(&inside);
                    path.push(name.clone());
                    self.names.insert(name.clone(), path);
                    if *next == '{' {
                        inside.push((name.clone(), depth));
                        depth += 1;
                    }
                    index += 3;
                    continue;
                }
                [Token::Word(word), next, ..] if word == "use" && *next != Token::Other('<') => {
                    index += 1;
                    if tokens[index] == Token::Separator {
                        continue; // `use ::name` is another crate
                    }
                    let here = self.here(&inside);
                    self.tree(tokens, &mut index, &here, None);
                    continue;
                }
                [Token::Other('{'), ..] => depth += 1,
                [Token::Other('}'), ..] => {
                    depth = depth.saturating_sub(1);
                    if inside.last().is_some_and(|(_, end)| *end == depth) {
                        inside.pop();
                    }
                }
                [Token::Word(word), Token::Separator, ..] if index == 0 || !continues(&tokens[index - 1]) => {
                    let here = self.here(&inside);
                    if let Some(path) = self.start(word, &here) {
                        self.path(tokens, &mut index, path);
                        continue;
                    }
                }
                _ => {}
            }
            index += 1;
        }
    }

    fn here(&self, inside: &[(String, usize)]) -> CratePath {
        self.module.iter().chain(inside.iter().map(|(name, _)| name)).cloned().collect()
    }

    /// What the first word of a path stands for; `None` for another crate.
    fn start(&self, word: &str, here: &[String]) -> Option<CratePath> {
        match word {
            "crate" | "dsnd" => Some(Vec::new()),
            "self" => Some(here.to_vec()),
            "super" => Some(here[..here.len().saturating_sub(1)].to_vec()),
            name => self.names.get(name).cloned(),
        }
    }

    /// An inline path; `index` is at its first word and is left behind its last.
    fn path(&mut self, tokens: &[Token], index: &mut usize, mut path: CratePath) {
        *index += 1;
        while let [Token::Separator, Token::Word(word), ..] = &tokens[*index..] {
            extend(&mut path, word);
            *index += 2;
        }
        self.found.push(path);
    }

    /// One branch of a `use` tree; `prefix` is `None` at its root, and within another crate's.
    fn tree(&mut self, tokens: &[Token], index: &mut usize, here: &[String], prefix: Option<&CratePath>) {
        let mut path = prefix.cloned();
        let mut root = path.is_none();
        loop {
            match &tokens[*index..] {
                [Token::Word(word), ..] if word != "as" => {
                    if root {
                        path = self.start(word, here);
                    } else if let Some(path) = &mut path {
                        extend(path, word);
                    }
                    root = false;
                    *index += 1;
                }
                [Token::Separator, ..] => *index += 1,
                [Token::Other('{'), ..] => {
                    *index += 1;
                    while !matches!(tokens.get(*index), None | Some(Token::Other('}' | ';'))) {
                        if root || path.is_some() {
                            self.tree(tokens, index, here, path.as_ref());
                        } else {
                            self.skip(tokens, index);
                        }
                        if tokens.get(*index) == Some(&Token::Other(',')) {
                            *index += 1;
                        }
                    }
                    *index += 1;
                    return;
                }
                [Token::Other('*'), ..] => {
                    *index += 1;
                    self.found.extend(path);
                    return;
                }
                rest => {
                    let Some(path) = path else { return };
                    let mut name = path.last().cloned();
                    if let [Token::Word(_), Token::Word(alias), ..] = rest {
                        name = Some(alias.clone());
                        *index += 2;
                    }
                    self.names.extend(name.map(|name| (name, path.clone())));
                    self.found.push(path);
                    return;
                }
            }
        }
    }

    /// A branch within another crate's tree.
    fn skip(&mut self, tokens: &[Token], index: &mut usize) {
        let mut depth = 0;
        while let Some(token) = tokens.get(*index) {
            match token {
                Token::Other('{') => depth += 1,
                Token::Other('}') if depth == 0 => return,
                Token::Other('}') => depth -= 1,
                Token::Other(',') if depth == 0 => return,
                Token::Other(';') => return,
                _ => {}
            }
            *index += 1;
        }
    }
}

/// Whether a token makes the word after it a part of something else: `a::b`, `a.b`.
fn continues(token: &Token) -> bool {
    matches!(token, Token::Separator | Token::Other('.'))
}

fn extend(path: &mut CratePath, word: &str) {
    match word {
        "self" => {}
        "super" => {
            path.pop();
        }
        _ => path.push(word.to_owned()),
    }
}
