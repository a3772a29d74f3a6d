//! Netstrings: `<length>:<octets>,`, what socketmap requests and replies are wrapped in.

use std::io::Write;

/// Digits of a length: more than any request may have.
const MAX_DIGITS: usize = 9;

/// Why octets are no netstring that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Something else than digits, or a number with a zero in front.
    #[error("no length in digits before the \":\"")]
    Length,
    /// More than is taken.
    #[error("longer than a request may be")]
    TooLong,
    /// Something else behind the octets.
    #[error("no \",\" behind the octets")]
    End,
}

/// The netstring at the beginning of `input`: its octets, and how many of the input it takes. `None` where more has to
/// come. It may hold `limit` octets.
///
/// # Errors
/// [`Malformed`], as soon as it can be told.
pub fn decode(input: &[u8], limit: usize) -> Result<Option<(&[u8], usize)>, Malformed> {
    let digits = input.iter().take(MAX_DIGITS + 1).take_while(|octet| octet.is_ascii_digit()).count();
    if digits > 1 && input[0] == b'0' {
        return Err(Malformed::Length);
    }
    let length =
        input[..digits.min(MAX_DIGITS)].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    if digits > MAX_DIGITS || length > limit {
        return Err(Malformed::TooLong);
    }
    match input.get(digits) {
        None => return Ok(None),
        Some(b':') if digits > 0 => {}
        Some(_) => return Err(Malformed::Length),
    }
    let (start, end) = (digits + 1, digits + 1 + length);
    match input.get(end) {
        None => Ok(None),
        Some(b',') => Ok(Some((&input[start..end], end + 1))),
        Some(_) => Err(Malformed::End),
    }
}

/// Appends a netstring to `output`.
pub fn encode(octets: &[u8], output: &mut Vec<u8>) {
    let _ = write!(output, "{}:", octets.len()); // a vector takes everything
    output.extend_from_slice(octets);
    output.push(b',');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_a_netstring_and_what_is_not() {
        let limit = 100;
        for (input, expected) in [
            ("0:,", Ok(Some(("", 3)))),
            ("5:hello,", Ok(Some(("hello", 8)))),
            ("5:hello,3:abc,", Ok(Some(("hello", 8)))),
            ("3:,,,,", Ok(Some((",,,", 6)))),
            ("", Ok(None)),
            ("1", Ok(None)),
            ("12", Ok(None)),
            ("5:", Ok(None)),
            ("5:hello", Ok(None)),
            ("101:", Err(Malformed::TooLong)),
            ("101", Err(Malformed::TooLong)),
            ("99999999999999999999999999", Err(Malformed::TooLong)),
            (":", Err(Malformed::Length)),
            ("05:hello,", Err(Malformed::Length)),
            ("00:,", Err(Malformed::Length)),
            ("-1:", Err(Malformed::Length)),
            ("+5:hello,", Err(Malformed::Length)),
            (" 5:hello,", Err(Malformed::Length)),
            ("5 :hello,", Err(Malformed::Length)),
            ("EHLO a\r\n", Err(Malformed::Length)),
            ("5:hello;", Err(Malformed::End)),
            ("4:hello,", Err(Malformed::End)),
        ] {
            let expected = expected.map(|found| found.map(|(octets, taken)| (octets.as_bytes(), taken)));
            assert_eq!(decode(input.as_bytes(), limit), expected, "{input:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_whatever_follows(
            octets in proptest::collection::vec(any::<u8>(), 0..300),
            rest in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut wire = Vec::new();
            encode(&octets, &mut wire);
            let length = wire.len();
            wire.extend_from_slice(&rest);
            prop_assert_eq!(decode(&wire, 300), Ok(Some((octets.as_slice(), length))));
            // In pieces: nothing is concluded too early.
            for cut in 0..length {
                prop_assert_eq!(decode(&wire[..cut], 300), Ok(None));
            }
        }

        #[test]
        fn no_octets_make_it_panic_or_take_more_than_there_is(
            input in proptest::collection::vec(any::<u8>(), 0..100),
            limit in 0_usize..120,
        ) {
            if let Ok(Some((octets, taken))) = decode(&input, limit) {
                prop_assert!(octets.len() <= limit && taken <= input.len());
                let mut again = Vec::new();
                encode(octets, &mut again);
                prop_assert_eq!(again, &input[..taken]); // there is one way to write it
            }
        }
    }
}
