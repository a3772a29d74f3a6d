//! `[events]`: what is told to others.

use super::reader::Reader;
use super::small;

pub(super) fn keep_days(reader: &mut Reader) -> u32 {
    small(reader.integer("events.keep_days", 30, 1..=3_650))
}
