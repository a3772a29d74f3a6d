//! `[breaker]`: when suppressions wait for a person.

use super::reader::Reader;
use super::small;
use crate::policy::Breaker;

pub(super) fn breaker(reader: &mut Reader) -> Breaker {
    let default = Breaker::default();
    let enabled = reader.boolean("breaker.enabled").map_or(default.enabled, |(_, enabled)| enabled);
    let mut number = |key, default: u32, most| small(reader.integer(key, default.into(), 1..=most));
    Breaker {
        enabled,
        history_days: number("breaker.history_days", default.history_days, 90),
        min_per_hour: number("breaker.min_per_hour", default.min_per_hour, 1_000_000),
        factor: number("breaker.factor", default.factor, 1_000),
        recheckable_per_hour: number("breaker.recheckable_per_hour", default.recheckable_per_hour, 1_000_000),
        pass_hours: number("breaker.pass_hours", default.pass_hours, 8_760),
    }
}
