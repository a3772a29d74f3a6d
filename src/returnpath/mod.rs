//! Whose bounce is this? What the address a report came to says about it. Pure.

mod accept;
mod trust;

pub use accept::{Acceptance, LocalPartPattern, PatternError, ReturnPaths};
pub use trust::Trust;
