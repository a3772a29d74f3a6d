//! `[streams]`: names for the numbers that signed return paths carry.

use super::reader::Reader;
use crate::store::{HIGHEST_STREAM as HIGHEST, Streams};

pub(super) fn streams(reader: &mut Reader) -> Streams {
    let mut streams = Streams::default();
    for (at, name, number) in reader.numbers("streams") {
        let in_words = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !name.chars().all(in_words) || !name.contains(|c: char| c.is_ascii_alphabetic()) {
            reader.wrong(
                &at,
                format!("{name:?} is no name: letters, digits, \"-\", \"_\" and \".\", one letter at least"),
            );
            continue;
        }
        if name.eq_ignore_ascii_case("all") {
            reader.wrong(&at, "\"all\" stands for every stream; give this one another name");
            continue;
        }
        match u32::try_from(number).ok().filter(|number| (1..=HIGHEST).contains(number)) {
            None => {
                reader.wrong(&at, format!("{name} = {number} is out of range; 1 to {HIGHEST} is possible"))
            }
            Some(number) => match streams.name(number.into()) {
                Some(other) => reader.wrong(&at, format!("{name} and {other} have the same number {number}")),
                None => {
                    streams.insert(name, number);
                }
            },
        }
    }
    streams
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Streams, Vec<String>) {
        let mut reader = Reader::new("f", text, std::iter::empty());
        let streams = streams(&mut reader);
        (streams, reader.finish().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn streams_go_by_name_and_by_number() {
        let (streams, problems) = read("[streams]\nnews = 7\n\"receipts.eu\" = 8\n");
        assert_eq!(problems, [""; 0]);
        assert_eq!(
            (streams.number("news"), streams.number("7"), streams.number("9")),
            (Some(7), Some(7), Some(9))
        );
        assert_eq!((streams.number("new"), streams.number("16777216")), (None, None));
        assert_eq!((streams.name(8), streams.name(9)), (Some("receipts.eu"), None));
    }

    #[test]
    fn a_number_has_one_name_and_room_in_a_token() {
        let (_, problems) =
            read("[streams]\na = 0\nb = 16777216\nc = 7\nd = 7\ne = \"x\"\n12 = 3\nall = 4\n");
        assert_eq!(problems.len(), 6, "{problems:#?}");
        assert!(problems.iter().all(|problem| problem.contains("streams: ")), "{problems:#?}");
    }
}
