//! Whose bounce is this? What the address a report came to says about it. Pure.
//!
//! - [`token`]: the 20 signed octets, minted and verified;
//! - [`keys`]: the keys that sign them, and the file they stand in;
//! - [`spelling`]: a token as a local part, with or without a readable address;
//! - [`batv`], [`verp`]: what others put into their return paths;
//! - [`ReturnPaths`]: what is ours, and what each forward-path is;
//! - [`mint()`]: the return path of a message to one recipient;
//! - [`prove()`]: which recipient a token was minted for.

mod accept;
pub mod batv;
pub mod keys;
mod mint;
mod paths;
mod prove;
pub mod spelling;
pub mod token;
mod trust;
pub mod verp;

pub use accept::{LocalPartPattern, PatternError};
pub use keys::{Key, KeyError, Keys};
pub use mint::{MintError, Minted, mint};
pub use paths::{MAX_AGE_DAYS, Refusal, ReturnPath, ReturnPaths};
pub use prove::{Candidates, Proof, prove};
pub use spelling::{Prefix, PrefixError, Spelling};
pub use token::{Token, TokenError};
pub use trust::{NetworkError, Trust, UnsignedTrust, network};
pub use verp::{VerpDelimiters, VerpError};

use jiff::Timestamp;

/// Days since 1970-01-01, UTC.
fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

#[cfg(test)]
mod tests;
