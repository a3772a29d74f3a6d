//! One command line, without its CRLF: what samotop's grammar takes, our own reader takes as well and makes the same of.
//!
//! So it does not matter which of the two is asked, and neither can be led astray where the other is not.

#![no_main]

use dsnd::smtp::command::{Command, grammar, ours};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let read = Command::parse(line);
    let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    let line = &line[..end];
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        assert!(read.is_err(), "a control character in a command");
    } else if let Some(by_grammar) = grammar::read(line) {
        assert_eq!(by_grammar, ours(line), "{}", String::from_utf8_lossy(line));
        assert_eq!(by_grammar, read);
    } else {
        assert_eq!(ours(line), read);
    }
});
