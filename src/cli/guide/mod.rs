//! The explanation of a code on paper.

mod print;
pub(super) mod words;

pub(super) use print::{print, print_verdict};
