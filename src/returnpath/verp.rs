//! Variable envelope return paths that nobody signed: `bounces+user=example.com@…`.

use std::str::FromStr;

use crate::address::Mailbox;

/// The two characters of one habit: what stands before the recipient, and what stands for its `@`.
/// Postfix calls them `default_verp_delimiters` and writes `+=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerpDelimiters {
    before: char,
    at: char,
}

/// A text that is no pair of delimiters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no pair of delimiters; write two of -=+/_. and the like, such as \"+=\" (Postfix's own)")]
pub struct VerpError(String);

impl FromStr for VerpDelimiters {
    type Err = VerpError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let delimiter = |c: &char| "!#$%&'*+-/=?^_`{|}~.".contains(*c);
        match text.chars().collect::<Vec<_>>()[..] {
            [before, at] if delimiter(&before) && delimiter(&at) => Ok(Self { before, at }),
            _ => Err(VerpError(text.to_owned())),
        }
    }
}

impl VerpDelimiters {
    /// What Postfix writes, `bounces+user=example.com`, and the same with `=` alone, `bounces=user=example.com`.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        vec![Self { before: '+', at: '=' }, Self { before: '=', at: '=' }]
    }

    fn recipient(self, local_part: &str, base: usize) -> Option<Mailbox> {
        let (local, domain) = local_part.get(base..)?.rsplit_once(self.at)?;
        Mailbox::new(local, domain).ok()
    }
}

/// The recipient in a local part. `bases` are beginnings that the operator named, such as `list-bounces-`: where
/// one ends in a delimiter, the recipient begins behind it; else at the delimiter that comes first.
#[must_use]
pub fn recipient<'a>(
    delimiters: &[VerpDelimiters],
    local_part: &str,
    bases: impl IntoIterator<Item = &'a str>,
) -> Option<Mailbox> {
    let base = bases
        .into_iter()
        .filter(|base| local_part.get(..base.len()).is_some_and(|start| start.eq_ignore_ascii_case(base)))
        .max_by_key(|base| base.len());
    if let Some(base) = base
        && let Some(found) = delimiters
            .iter()
            .filter(|pair| base.ends_with(pair.before))
            .find_map(|pair| pair.recipient(local_part, base.len()))
    {
        return Some(found);
    }
    let begins = |pair: &VerpDelimiters| local_part.find(pair.before).filter(|at| *at > 0);
    let (at, pair) =
        delimiters.iter().filter_map(|pair| Some((begins(pair)?, pair))).min_by_key(|(at, _)| *at)?;
    pair.recipient(local_part, at + pair.before.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipient_is_read_in_every_habit() {
        let all: Vec<VerpDelimiters> = ["+=", "==", "-="].map(|text| text.parse().unwrap()).to_vec();
        for (local_part, bases, found) in [
            ("bounces+user=example.com", &["bounces+"][..], Some("user@example.com")),
            ("bounces+user=example.com", &[""], Some("user@example.com")),
            ("bounces+a=b=example.com", &[""], Some("a=b@example.com")),
            ("bounces=a+b=example.com", &[""], Some("a+b@example.com")),
            ("bounces-a+b=example.com", &[""], Some("a+b@example.com")),
            ("list-bounces-user=example.com", &["list-bounces-", "list-"], Some("user@example.com")),
            ("LIST-bounces-user=example.com", &["list-bounces-"], Some("user@example.com")),
            ("bounces", &[""], None),
            ("bounces+", &["bounces+"], None),
            ("bounces+user", &["bounces+"], None),
            ("bounces+user=", &["bounces+"], None),
            ("+user=example.com", &[""], None),
        ] {
            let read = recipient(&all, local_part, bases.iter().copied());
            assert_eq!(read.map(|read| read.to_string()).as_deref(), found, "{local_part}");
        }
    }

    #[test]
    fn delimiters_are_two_marks() {
        for text in ["", "+", "+==", "a=", "+@", " ="] {
            assert!(text.parse::<VerpDelimiters>().is_err(), "{text:?}");
        }
    }
}
